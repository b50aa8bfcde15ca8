/**
 * Takes a run from stage to stage, as the holder of a job's lease: delivers a stage, commits what came
 * of it together with what comes next, and goes on with that. Each commit is guarded by the lease and
 * by the run's status; so a worker that was too late, or whose run was cancelled, changes nothing.
 */
import type { Change, Guard, Violation } from "../changes/index.ts";
import { ServiceError, type Status } from "../contract/index.ts";
import type {
  Before,
  JsonText,
  Next,
  StageAnswer,
  StageDelivery,
  StageRunner,
} from "../engine/delivery.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { type Claimed, dutyOf, type GroupDone, groupOf, type StageCall } from "./delivery.ts";
import { entered, type GoesOn, type After } from "./enter.ts";
import { keepLateAnswer } from "./late.ts";
import { type Lease, whileIn } from "./lease.ts";
import { noted } from "./notes.ts";
import { failedRun, parked, settled, suspendedJob } from "./outcome.ts";
import { event, type Moment } from "./rows.ts";
import { stageTools } from "./tools.ts";
import { type Landed, unlessImpossible, written } from "./write.ts";

export interface DriveOptions {
  readonly unit: OwnUnit;
  readonly runner: StageRunner;
  /** Aborted when the lease is lost, or the time is up. */
  readonly signal: AbortSignal;
  /** Whether the worker may go on with another stage. Default: with any. */
  readonly goesOn?: GoesOn;
}

/** The worker has completed the run, which gave this. */
export interface Finished {
  readonly finished: JsonText;
}

/** What a worker does next with the lease that it has; null: it is done with the job. */
type Onward = StageCall | GroupDone | Finished | null;

/**
 * Takes the run on from the job's stage, as far as it goes: to its end, to a wait, or to where another
 * delivery takes over. Resolves when the job is settled, or when the lease is lost.
 * @throws when a commit could not be made: then the lease expires, and the job is delivered again.
 */
export async function drive(claimed: Claimed, options: DriveOptions): Promise<Finished | null> {
  return driveOn(await begun(claimed, options), options);
}

/** As {@link drive}, from a stage that the worker has come to with its lease. */
export async function driveOn(from: Onward, options: DriveOptions): Promise<Finished | null> {
  let onward = from;
  while (onward !== null && !("finished" in onward)) {
    onward = "siblings" in onward ? await wentOn(onward, options) : await called(onward, options);
  }
  return onward;
}

function goesOnOf({ goesOn = () => true }: DriveOptions): GoesOn {
  return goesOn;
}

interface Looking extends DriveOptions {
  /** How often it has looked at the rows since it began. */
  readonly looks?: number;
}

/**
 * How often a worker looks at the rows anew because others changed them: then the lease expires, and
 * another delivery looks.
 */
const LOOKS_MAX = 25;

async function begun(claimed: Claimed, { looks = 0, ...given }: Looking): Promise<Onward> {
  if (looks >= LOOKS_MAX) {
    const { workflowRunId: id } = claimed;
    throw new ServiceError("CONFLICT", `Others kept changing run ${id}`, {
      entity: "WorkflowRun",
      id,
    });
  }
  const options: Looking = { ...given, looks: looks + 1 };
  const { unit } = options;
  const duty = await dutyOf(unit, claimed);
  switch (duty.duty) {
    case "lost":
      return null;
    case "end":
      return over(claimed, unit);
    case "park":
      return park(claimed.stageId, duty.lease, options);
    case "wait": {
      const { lease, until, forSignal } = duty;
      const at = await unit.now();
      const { workflowRunId, stageId } = claimed;
      // A signal that comes meanwhile makes only those jobs due that are suspended already.
      const noSignal: Guard[] = forSignal ? [{ on: "noSignal", workflowRunId, name: stageId }] : [];
      const waiting = await unit.write({
        guards: [...whileIn("RUNNING", stageId, lease), ...noSignal],
        changes: [suspendedJob(lease, until, at)],
      });
      return waiting.applied ? null : againFrom(waiting.violation, lease, options);
    }
    case "take up": {
      const { lease } = duty;
      const taking = await takenUp(claimed.stageId, lease, unit);
      return taking.applied ? begun(claimed, options) : againFrom(taking.violation, lease, options);
    }
    case "fail": {
      const { lease, error } = duty;
      const at = await unit.now();
      const failed = await unit.write({
        guards: whileIn("RUNNING", claimed.stageId, lease),
        changes: failedRun({ lease, at }, claimed.stageId, error),
      });
      return failed.applied ? null : againFrom(failed.violation, lease, options);
    }
    case "go on":
      return duty.group;
    case "run":
      return duty.begins ? started(duty.call, options) : duty.call;
  }
}

/** The job's run or stage has ended: nothing is left to do for it. */
async function over(
  { workflowRunId, ordinal, attempt, stageId }: Claimed,
  unit: OwnUnit,
): Promise<null> {
  const at = await unit.now();
  // A job whose lease has ended belongs to the next attempt, also while nobody has claimed it.
  await unit.write({
    guards: [{ on: "job", workflowRunId, ordinal, expect: { is: "leased", attempt, stageId } }],
    changes: [{ kind: "completeJob", workflowRunId, ordinal, attempt, at }],
  });
  return null;
}

/** A run that a caller has made PENDING goes on, as one does that is claimed. */
async function takenUp(stageId: string, lease: Lease, unit: OwnUnit) {
  const at = await unit.now();
  return unit.write({
    guards: whileIn("PENDING", stageId, lease),
    changes: [{ kind: "updateRun", id: lease.run.id, set: { status: "RUNNING" }, at, bump: 1 }],
  });
}

/** The run is paused: the job waits until it is resumed. Where it was resumed meanwhile, it goes on. */
async function park(stageId: string, lease: Lease, options: Looking): Promise<Onward> {
  const { unit } = options;
  const at = await unit.now();
  const parking = await unit.write({
    guards: whileIn("SUSPENDED", stageId, lease),
    changes: [parked({ lease, at })],
  });
  return parking.applied ? null : againFrom(parking.violation, lease, options);
}

/** Marks the stage as RUNNING, in this try. */
async function started(call: StageCall, options: Looking): Promise<Onward> {
  const { unit } = options;
  const { lease, stage } = call;
  const { run } = lease;
  const { stageId, attempt } = stage;
  const at = await unit.now();
  const set = { status: "RUNNING", startedAt: at, attempt } as const;
  const begin = await unit.write({
    guards: whileIn("RUNNING", stageId, lease),
    changes: [
      { kind: "updateStage", workflowRunId: run.id, stageId, set, at, bump: 1 },
      event(run, at, "stage:started", { stageId, attempt }),
    ],
  });
  return begin.applied
    ? { ...call, stage: { ...stage, startedAt: at } }
    : againFrom(begin.violation, lease, options);
}

/** A commit was refused: the rows are looked at again, unless it was by guard 1: the lease is lost. */
async function againFrom(
  { guard }: Violation,
  { run, ordinal, attempt }: Lease,
  options: Looking,
): Promise<Onward> {
  if (guard === 1) return null;
  const workflowRunId = run.id;
  const [job] = await options.unit.read([{ q: "job", workflowRunId, ordinal }]);
  if (job === null) return null;
  return begun({ workflowRunId, ordinal, attempt, stageId: job.stageId }, options);
}

/** Null: the run is gone, or the lease is lost. */
async function statusNow(stageId: string, lease: Lease, unit: OwnUnit): Promise<Status | null> {
  const [status] = await unit.read([{ q: "runStatus", id: lease.run.id }]);
  if (status !== "PENDING") return status;
  const taking = await takenUp(stageId, lease, unit);
  return taking.applied || taking.violation.guard === 0 ? "RUNNING" : null;
}

async function called(call: StageCall, options: DriveOptions): Promise<Onward> {
  const { lease, stage, occasion, before } = call;
  const { unit, runner, signal } = options;
  const { stageId, recordId, attempt, triesLeft } = stage;
  const run = lease.run.delivered;
  const delivery: StageDelivery = { run, stageId, recordId, attempt, triesLeft, occasion, before };
  const { tools, answered } = stageTools({ unit, lease, stage, signal });
  const answer = await runner.runStage(delivery, tools);
  await answered();
  return committed(answer, call, options);
}

/** Commits the outcome. If the run was paused meanwhile, what the stage gave is stored all the same. */
async function committed(
  answer: StageAnswer,
  call: StageCall,
  options: DriveOptions,
): Promise<Onward> {
  const { lease, stage } = call;
  const { unit } = options;
  const { run, ordinal, attempt } = lease;
  const { stageId } = stage;
  const claimed = { workflowRunId: run.id, ordinal, attempt, stageId };
  let given: StageAnswer = answer;
  let status: Status = "RUNNING";
  for (;;) {
    const moment = await momentOf(unit);
    const paused = status === "SUSPENDED";
    const { changes, after } = settled(given, {
      ...moment,
      lease,
      stage,
      goesOn: goesOnOf(options),
      paused,
    });
    const notes = await noted(answer.notes, run, stage, moment);
    const guards = [...whileIn(status, stageId, lease), asDelivered(call), ...nothingCame(call)];
    const commit = { guards, changes: [...changes, ...notes] };
    const write = async (): Promise<Landed> => written(unit, commit, after, lease);
    const landed = given === answer ? await unlessImpossible(write, unit, changes) : await write();
    if ("reason" in landed) {
      // The failure is possible: it has a few changes, beside what the stage said.
      const failed = { outcome: "failed", error: landed.reason, retryInMs: null } as const;
      given = { ...failed, notes: answer.notes };
      continue;
    }
    if (landed.applied) {
      if (after.does === "leave") return paused || !("next" in given) ? null : finishIn(given.next);
      if (!landed.kept) return null;
      if (after.does === "join") return { lease, stage, siblings: after.siblings };
      const onward = next(after, lease, beforeNext(given, call), landed);
      return given.outcome === "met" ? { ...onward, lease } : onward;
    }
    const { guard } = landed.violation;
    // A signal came after the wait was found to be over. It counts.
    if (guards[guard]?.on === "noSignal") return begun(claimed, options);
    const found = guard === 0 ? await statusNow(stageId, lease, unit) : null;
    if (found !== "RUNNING" && found !== "SUSPENDED") {
      await keepLateAnswer(unit, answer, call);
      // What has become of the stage tells how the run goes on.
      if (guards[guard]?.on === "stage") return begun(claimed, options);
      return found === null ? null : over(claimed, unit);
    }
    status = found;
  }
}

/** Of a wait that ends without its signal. */
function nothingCame({ lease, stage, occasion }: StageCall): Guard[] {
  const timedOut = occasion.kind === "signal" && occasion.payload === null;
  return timedOut ? [{ on: "noSignal", workflowRunId: lease.run.id, name: stage.stageId }] : [];
}

/**
 * Nobody has ended the stage, or made it anew: neither a caller of the contract, nor another worker
 * with the same attempt, where the job stays at the stage.
 */
function asDelivered({ lease, stage, occasion }: StageCall): Guard {
  const begins = occasion.kind === "run" || occasion.kind === "decide";
  const status = begins ? "RUNNING" : "SUSPENDED";
  const { stageId, recordId: id } = stage;
  const expect = { is: "recordIn", id, status } as const;
  return { on: "stage", workflowRunId: lease.run.id, stageId, expect };
}

async function momentOf(unit: OwnUnit): Promise<Moment> {
  const at = await unit.now();
  return { at, ordinal: () => unit.ordinal(at) };
}

/** What comes before the next group: what this stage gave, or what it let pass. */
function beforeNext(answer: StageAnswer, { stage, before }: StageCall): Before {
  return answer.outcome === "completed"
    ? { group: stage.group, outputs: { [stage.stageId]: answer.output } }
    : before;
}

/** The stage that the worker has come to, with all that it needs in its hands. */
function next(
  after: Extract<After, { does: "run" | "wait" }>,
  { run, ordinal, attempt }: Lease,
  before: Before,
  { signal }: Extract<Landed, { applied: true }>,
): StageCall {
  const from = before.group === 0 ? [] : Object.keys(before.outputs);
  const fresh = { maxWaitUntil: null, pollInterval: null, from };
  const signalId = after.does === "wait" ? (signal?.id ?? null) : null;
  return {
    // A stage with a key begins with a claim.
    lease: { run, ordinal, attempt, key: null },
    stage: { ...fresh, ...after.stage, signalId },
    occasion:
      after.does === "wait"
        ? { kind: "signal", payload: signal?.payload ?? null }
        : { kind: after.stage.decides ? "decide" : "run" },
    before,
  };
}

/** A group is done: the app says what comes next, and the run comes to it. */
async function wentOn(done: GroupDone, options: DriveOptions): Promise<Onward> {
  const { lease, stage } = done;
  const { unit, runner, signal } = options;
  const { run } = lease;
  const guards = whileIn("RUNNING", stage.stageId, lease);
  const before = await groupOf(unit, done);
  const fails = async (reason: string): Promise<Onward> => {
    const changes: Change[] = failedRun({ lease, at: await unit.now() }, stage.stageId, reason);
    const failed = await unit.write({ guards, changes });
    return failed.applied ? null : againFrom(failed.violation, lease, options);
  };
  if ("error" in before) return fails(before.error);
  const { tools } = stageTools({ unit, lease, stage, signal });
  const answer = await runner.afterGroup({ run: run.delivered, group: stage.group, before }, tools);
  if (answer.outcome === "failed") return fails(answer.error);
  const moment = await momentOf(unit);
  const from = before.group === 0 ? [] : Object.keys(before.outputs);
  const goesOn = goesOnOf(options);
  const { changes, after } = entered(answer.next, { ...moment, lease, from, goesOn });
  const write = async () => written(unit, { guards, changes }, after, lease);
  const landed = await unlessImpossible(write, unit, changes);
  if ("reason" in landed) return fails(landed.reason);
  if (!landed.applied) return againFrom(landed.violation, lease, options);
  if (after.does === "leave") return finishIn(answer.next);
  return landed.kept ? next(after, lease, before, landed) : null;
}

/** Null: the run goes on elsewhere, or waits. */
function finishIn(coming: Next): Finished | null {
  return coming.kind === "finish" ? { finished: coming.output } : null;
}
