/** Signals to a run, and its end, pause and resumption. */
import type { Change } from "../changes/index.ts";
import { ServiceError } from "../contract/index.ts";
import { checkedSignal } from "../engine/checked.ts";
import type { SignalNameOf } from "../engine/runs.ts";
import type { SignalsOf, Workflow } from "../engine/workflow.ts";
import { keyField } from "../model/fields.ts";
import {
  encodeJson,
  GROUP_STAGES_MAX,
  isParked,
  LONG_TEXT,
  signalId,
  type StageRow,
  takesStages,
} from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { act, checkedAct, definitionOf, requireField, wrongStatus } from "./act.ts";
import { jobAgain } from "./again.ts";
import { engineRunOf } from "./lease.ts";
import { event } from "./rows.ts";

export async function sendSignal<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
  name: SignalNameOf<W>,
  payload: SignalsOf<W>[keyof SignalsOf<W>],
  { key }: { readonly key?: string } = {},
): Promise<void> {
  if (key !== undefined) requireField(keyField, key, "key");
  let checked: string | null = null;
  await act(unit, id, async (found, { at, ordinal }) => {
    const { row } = found;
    if (!isLive(row)) throw wrongStatus(id, row.status, "takes no signals");
    // A run of an earlier definition waits for what that says.
    checked ??= encodeJson(
      await checkedSignal(definitionOf(found, workflow) ?? workflow, name, payload),
      "payload",
    );
    const made = ordinal();
    const signal = {
      workflowRunId: id,
      id: signalId(name, key ?? made),
      name,
      ordinal: made,
      receivedAt: at,
      payload: checked,
      takenAt: null,
    };
    return checkedAct("signal", [
      { kind: "sendSignal", row: signal },
      { kind: "dueJobs", workflowRunId: id, stageId: name, wakes: 1, at },
    ]);
  });
}

export async function cancel(unit: OwnUnit, id: string, reason?: string): Promise<void> {
  const told = reason ?? "cancelled";
  if (typeof told !== "string") {
    throw new ServiceError("INVALID_ARGUMENT", "reason must be a string", { field: "reason" });
  }
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "CANCELLED") return null;
    if (!isLive(row)) throw wrongStatus(id, row.status, "cannot be cancelled any more");
    const duration = at - row.createdAt;
    return checkedAct("cancel", [
      {
        kind: "updateRun",
        id,
        set: { status: "CANCELLED", completedAt: at, duration },
        at,
        bump: 1,
      },
      { kind: "cancelStages", workflowRunId: id, at },
      { kind: "cancelJobs", workflowRunId: id, leased: true, at },
      event(run, at, "workflow:cancelled", { reason: told }),
    ]);
  });
}

export async function pause(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "SUSPENDED") return null;
    if (row.status !== "RUNNING") throw wrongStatus(id, row.status, "cannot be paused");
    return [
      { kind: "updateRun", id, set: { status: "SUSPENDED" }, at, bump: 1 },
      event(run, at, "workflow:suspended", {}),
    ];
  });
}

/** Wake-ups of one commit. The jobs beyond are due as well, and the sweep sends the rest. */
const WAKES_MAX = GROUP_STAGES_MAX;

/**
 * The jobs that a paused run has left lying are due again: each gets a wake-up. Where callers of the
 * contract have ended all of them, the run gets new ones. A caller may have made the run RUNNING or
 * PENDING: then only its jobs are left.
 */
export async function resume(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, moment) => {
    const { at } = moment;
    if (!isLive(row)) throw wrongStatus(id, row.status, "cannot be resumed");
    const [all] = await unit.read([{ q: "jobs", workflowRunId: id }]);
    const jobs = all.filter(takesStages);
    const parked = jobs.filter((job) => job.status === "SUSPENDED" && isParked(job)).length;
    const wakes = Math.min(parked, WAKES_MAX);
    const due: Change = { kind: "dueJobs", workflowRunId: id, stageId: null, wakes, at };
    if (row.status !== "SUSPENDED") return parked === 0 ? null : [due];
    const lost = jobs.some(isLive) ? [] : await unattended(unit, id);
    // Of stages that an earlier rerun has not come to, the last job knows.
    const again = engineRunOf(row, jobs.at(-1)?.payload) ?? run;
    return [
      { kind: "updateRun", id, set: { status: "RUNNING" }, at, bump: 1 },
      due,
      event(run, at, "workflow:resumed", {}),
      ...lost.map((stage): Change => ({
        kind: "enqueueJob",
        row: jobAgain(again, stage, jobs, moment),
      })),
    ];
  });
}

/** The stages from which a run without a job goes on: those that are open, or one of its last group. */
async function unattended(unit: OwnUnit, workflowRunId: string): Promise<StageRow[]> {
  const [stages] = await unit.read([
    {
      q: "stages",
      workflowRunId,
      status: null,
      beforeGroup: null,
      withoutNextPoll: false,
      descending: true,
      limit: GROUP_STAGES_MAX,
      omit: LONG_TEXT.stages,
    },
  ]);
  const open = stages.filter(isLive);
  return open.length > 0 ? open : stages.slice(0, 1);
}
