/** A leased job, as a delivery of the stage that it stands at: what the rows say is to be done now. */
import type { Before, Occasion } from "../engine/delivery.ts";
import {
  decodeJson,
  decodeText,
  fittingReason,
  GROUP_STAGES_MAX,
  type JobRow,
  LONG_TEXT,
  type RunRow,
  type SignalRow,
  type StageRow,
} from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { StageInput } from "../queries/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { engineRunOf, type Lease } from "./lease.ts";
import type { Delivered } from "./outcome.ts";
import { waitsFor } from "./rows.ts";

/** A job that was claimed, by its key and the attempt that has it. */
export interface Claimed {
  readonly workflowRunId: string;
  readonly ordinal: string;
  readonly attempt: number;
  readonly stageId: string;
}

/** A stage to be called, and what the call needs. */
export interface StageCall {
  readonly lease: Lease;
  readonly stage: Delivered;
  readonly occasion: Occasion;
  readonly before: Before;
}

/** A group whose stages are done. `stage`: the one at which the job stands. */
export interface GroupDone {
  readonly lease: Lease;
  readonly stage: Pick<Delivered, "stageId" | "recordId" | "group">;
  /** The other stages of the group. Null: they have to be looked up. */
  readonly siblings: readonly string[] | null;
}

/** What is to be done with the job. */
export type Duty =
  /** Call the stage. `begins`: it is not RUNNING yet, or another attempt was at it. */
  | { readonly duty: "run"; readonly call: StageCall; readonly begins: boolean }
  /** The stage is done, and was the last of its group: what comes next has to be found out. */
  | { readonly duty: "go on"; readonly group: GroupDone }
  /** The run is paused. */
  | { readonly duty: "park"; readonly lease: Lease }
  /** Nothing is due yet: the stage waits until then, or for the signal of its name. */
  | {
      readonly duty: "wait";
      readonly lease: Lease;
      readonly until: number;
      readonly forSignal: boolean;
    }
  /** A caller of the contract has made the run PENDING. */
  | { readonly duty: "take up"; readonly lease: Lease }
  /** A caller of the contract has ended or deleted the stage, and the run cannot go on from it. */
  | { readonly duty: "fail"; readonly lease: Lease; readonly error: string }
  /** The run has ended: the job is over. */
  | { readonly duty: "end" }
  /** A later attempt owns the job, or it was settled. */
  | { readonly duty: "lost" };

/** Reads what the job's stage needs to go on: one round trip. */
export async function dutyOf(unit: OwnUnit, claimed: Claimed): Promise<Duty> {
  const { workflowRunId, ordinal, stageId } = claimed;
  const [run, job, stage, inputs, signal] = await unit.read([
    { q: "run", id: workflowRunId },
    { q: "job", workflowRunId, ordinal },
    { q: "stage", workflowRunId, stageId },
    { q: "stageInputs", workflowRunId, stageId },
    { q: "nextSignal", workflowRunId, name: stageId },
  ]);
  if (job?.status !== "RUNNING" || job.attempt !== claimed.attempt) return { duty: "lost" };
  // Another worker with the same attempt has taken it on.
  if (job.stageId !== stageId) return { duty: "lost" };
  const engineRun = run === null ? null : engineRunOf(run, job.payload);
  if (run === null || engineRun === null || !isLive(run)) return { duty: "end" };
  const lease: Lease = {
    run: engineRun,
    ordinal,
    attempt: claimed.attempt,
    key: job.concurrencyKey,
  };
  if (run.status === "SUSPENDED") return { duty: "park", lease };
  if (run.status === "PENDING") return { duty: "take up", lease };
  if (stage === null) return { duty: "fail", lease, error: `Stage ${stageId} was deleted` };
  return dutyAt({ run, job, stage, inputs, signal, lease }, await unit.now());
}

interface Found {
  readonly run: RunRow;
  readonly job: JobRow;
  readonly stage: StageRow;
  readonly inputs: readonly StageInput[];
  readonly signal: SignalRow | null;
  readonly lease: Lease;
}

function dutyAt({ run, job, stage, inputs, signal, lease }: Found, now: number): Duty {
  const { stageId, executionGroup: group } = stage;
  const taken = new Set(inputs.map((given) => given.stageId));
  const [gone] = sourcesOf(stage.inputData).filter((id) => !taken.has(id));
  if (gone !== undefined) {
    const error = `Stage ${gone} was deleted, and stage ${stageId} takes what it gave`;
    return { duty: "fail", lease, error };
  }
  const error = endOf(stage);
  if (error !== null) return { duty: "fail", lease, error };
  const due = dueOccasion(stage, signal, now);
  switch (stage.status) {
    case "COMPLETED":
    case "SKIPPED":
      return {
        duty: "go on",
        group: { lease, stage: { stageId, recordId: stage.id, group }, siblings: null },
      };
    case "FAILED":
    case "CANCELLED":
      break;
    case "SUSPENDED":
      if (due !== null || stage.nextPollAt === null) break;
      return {
        duty: "wait",
        lease,
        until: stage.nextPollAt,
        forSignal: isForSignal(stage),
      };
    case "PENDING":
    case "RUNNING":
      break;
  }
  const begins = stage.status !== "SUSPENDED";
  const occasion = due ?? ({ kind: decides(stage) ? "decide" : "run" } as const);
  const call = {
    lease,
    stage: {
      stageId,
      recordId: stage.id,
      group,
      attempt: Math.max(stage.attempt + (begins ? 1 : 0), 1),
      startedAt: stage.startedAt ?? now,
      maxWaitUntil: stage.maxWaitUntil,
      pollInterval: stage.pollInterval,
      hasFailed: stage.errorMessage !== null,
      from: inputs.map((given) => given.stageId),
      signalId: occasion.kind === "signal" && signal !== null ? signal.id : null,
      triesLeft: Math.max(job.maxAttempts - job.attempt, 0),
    },
    occasion,
    before: beforeOf(run, inputs),
  };
  return { duty: "run", call, begins };
}

/** The run cannot go on, for this reason. */
export interface Broken {
  readonly error: string;
}

/**
 * What a group gave that is done; what came before it, if it let that pass. A caller of the contract
 * may have ended or deleted a stage of it.
 */
export async function groupOf(
  unit: OwnUnit,
  { lease, stage, siblings }: GroupDone,
): Promise<Before | Broken> {
  const { id } = lease.run;
  const stageIds = [stage.stageId, ...(siblings ?? (await siblingsOf(unit, id, stage)))];
  const [outputs, inputs, run] = await unit.read([
    { q: "stageOutputs", workflowRunId: id, stageIds },
    { q: "stageInputs", workflowRunId: id, stageId: stage.stageId },
    { q: "run", id },
  ]);
  const there = new Map(outputs.map((each) => [each.stageId, each]));
  for (const each of stageIds) {
    const member = there.get(each);
    const error = member === undefined ? `Stage ${each} was deleted` : endOf(member);
    if (error !== null) return { error };
  }
  const given = outputsOf(outputs);
  if (Object.keys(given).length > 0) return { group: stage.group, outputs: given };
  return beforeOf(run ?? { input: "null" }, inputs);
}

/** Found among all stages of the run: only a worker that takes over from another has to look. */
async function siblingsOf(
  unit: OwnUnit,
  workflowRunId: string,
  { stageId, group }: GroupDone["stage"],
): Promise<string[]> {
  const [stages] = await unit.read([
    {
      q: "stages",
      workflowRunId,
      status: null,
      beforeGroup: group + 1,
      withoutNextPoll: false,
      descending: true,
      limit: GROUP_STAGES_MAX,
      omit: LONG_TEXT.stages,
    },
  ]);
  return stages
    .filter((other) => other.executionGroup === group && other.stageId !== stageId)
    .map((other) => other.stageId);
}

/** Why a suspended stage is delivered now; null: it is not due. */
function dueOccasion(stage: StageRow, signal: SignalRow | null, now: number): Occasion | null {
  if (stage.status !== "SUSPENDED") return null;
  const isDue = stage.nextPollAt === null || stage.nextPollAt <= now;
  if (stage.pollInterval !== null) {
    return isDue ? { kind: "poll", state: stage.suspendedState ?? "null" } : null;
  }
  if (isForSignal(stage)) {
    if (signal !== null) return { kind: "signal", payload: signal.payload };
    return isDue ? { kind: "signal", payload: null } : null;
  }
  return isDue ? { kind: "wake" } : null;
}

/** Why the run cannot go on with the stage, which ended without its worker; null: it can. */
function endOf({ stageId, status, errorMessage }: Omit<StageInput, "outputData">): string | null {
  if (status !== "FAILED" && status !== "CANCELLED") return null;
  const reason = errorMessage === null ? "" : `: ${decodeText(errorMessage)}`;
  return fittingReason(`Stage ${stageId} was set to ${status}${reason}`);
}

/** A stage that polls has a state of its own. */
function isForSignal({ pollInterval, suspendedState }: StageRow): boolean {
  return pollInterval === null && suspendedState === waitsFor("signal");
}

/** As {@link isForSignal}. */
function decides({ pollInterval, suspendedState }: StageRow): boolean {
  return pollInterval === null && suspendedState === waitsFor("condition");
}

/** The stages whose outputs a stage takes, as its inputData names them. */
export function sourcesOf(inputData: string | null): string[] {
  const value: unknown = inputData === null ? null : decodeJson(inputData);
  if (typeof value !== "object" || value === null || !("from" in value)) return [];
  return Array.isArray(value.from) ? value.from.filter((each) => typeof each === "string") : [];
}

/** What came before: the outputs that the stage takes, or the run's input. */
export function beforeOf(run: Pick<RunRow, "input">, inputs: readonly StageInput[]): Before {
  const [first] = inputs;
  if (first === undefined) return { group: 0, outputs: { "": run.input } };
  return { group: first.executionGroup, outputs: outputsOf(inputs) };
}

/** The outputs by stage id. Stages that gave none are left out. */
export function outputsOf(inputs: readonly StageInput[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    inputs.flatMap(({ stageId, outputData }) =>
      outputData === null ? [] : [[stageId, outputData]],
    ),
  );
}
