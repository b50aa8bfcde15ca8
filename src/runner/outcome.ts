/** What came of one stage, as the changes of its commit. Pure. */
import type { Change } from "../changes/index.ts";
import type { StageAnswer } from "../engine/delivery.ts";
import { encodeText, JOB_MAX_ATTEMPTS_DEFAULT, parkedUntil, RETRY_MS_MAX } from "../model/index.ts";
import { entered, freedBy, type GoesOn, type After, waiting } from "./enter.ts";
import type { Lease } from "./lease.ts";
import { event, type Moment } from "./rows.ts";

/** The stage that was delivered, as far as its outcome depends on it. */
export interface Delivered {
  readonly stageId: string;
  readonly recordId: string;
  readonly group: number;
  readonly attempt: number;
  readonly startedAt: number | null;
  /** Of a stage that suspended itself: when it fails, and the pause between its polls. */
  readonly maxWaitUntil: number | null;
  readonly pollInterval: number | null;
  /** Its row has the reason of a try that failed. */
  readonly hasFailed: boolean;
  /** The stages whose outputs it took. */
  readonly from: readonly string[];
  /** The signal that it takes with it. */
  readonly signalId: string | null;
  readonly triesLeft: number;
}

export interface Settling extends Moment {
  readonly lease: Lease;
  readonly stage: Delivered;
  readonly goesOn: GoesOn;
  /** The run is paused: what the stage gave is stored, and the run stays where it is. */
  readonly paused: boolean;
}

export interface Settled {
  readonly changes: readonly Change[];
  readonly after: After | { readonly does: "join"; readonly siblings: readonly string[] };
}

/** The changes of an outcome. The guards are the caller's: the lease, and the run's status. */
export function settled(answer: StageAnswer, settling: Settling): Settled {
  switch (answer.outcome) {
    case "completed":
      return done(answer.next, settling, [settling.stage.stageId], {
        status: "COMPLETED",
        outputData: answer.output,
      });
    case "passed":
      return done(answer.next, settling, settling.stage.from, { status: answer.as });
    case "met":
      return met(answer, settling);
    case "suspended":
      return suspended(answer, settling);
    case "waiting":
      return waits(answer, settling);
    case "failed":
      return {
        changes:
          answer.retryInMs === null ? failed(answer.error, settling) : retried(answer, settling),
        after: { does: "leave" },
      };
  }
}

type Done =
  | { readonly status: "COMPLETED"; readonly outputData: string }
  | { readonly status: "SKIPPED" | "COMPLETED" };

function done(
  next: Extract<StageAnswer, { next: unknown }>["next"],
  settling: Settling,
  from: readonly string[],
  set: Done,
): Settled {
  const { lease, stage, at } = settling;
  const { run, ordinal, attempt } = lease;
  const { stageId, signalId, hasFailed } = stage;
  const type = set.status === "SKIPPED" ? "stage:skipped" : "stage:completed";
  const ended = { ...set, completedAt: at, nextPollAt: null, ...since(settling) };
  const changes: Change[] = [
    hasFailed
      ? update(settling, { ...ended, errorMessage: null })
      : // A record of a stage gives its output once.
        { ...update(settling, ended), first: true },
    ...(signalId === null
      ? []
      : [{ kind: "takeSignal" as const, workflowRunId: run.id, id: signalId, at }]),
  ];
  const told = event(run, at, type, { stageId, attempt: stage.attempt });
  if (next.kind === "join") {
    const { siblings } = next;
    const leaving = { kind: "leaveGroup" as const, workflowRunId: run.id, ordinal, attempt, at };
    return {
      changes: [...changes, told, { ...leaving, siblings: [...siblings] }],
      after: { does: "join", siblings },
    };
  }
  if (settling.paused) return { changes: [...changes, told, parked(settling)], after: LEAVE };
  const entry = entered(next, { ...settling, from });
  // Events stand side by side, so that they share a statement.
  const events = entry.changes.filter(({ kind }) => kind === "appendOutboxEvent");
  const rest = entry.changes.filter(({ kind }) => kind !== "appendOutboxEvent");
  return { changes: [...changes, told, ...events, ...rest], after: entry.after };
}

const LEAVE = { does: "leave" } as const;

/** A job that nothing makes due again while the run is paused. */
export function parked({ lease, at }: { readonly lease: Lease; readonly at: number }): Change {
  return suspendedJob(lease, parkedUntil(at), at);
}

export function suspendedJob({ run, ordinal, attempt }: Lease, until: number, at: number): Change {
  return {
    kind: "suspendJob",
    workflowRunId: run.id,
    ordinal,
    attempt,
    nextPollAt: until,
    resumeAt: until,
    at,
  };
}

function suspended(
  { state, pollInMs, withinMs }: Extract<StageAnswer, { outcome: "suspended" }>,
  settling: Settling,
): Settled {
  const { lease, stage, at } = settling;
  const interval = pollInMs ?? stage.pollInterval ?? 0;
  const until = withinMs === null ? stage.maxWaitUntil : at + withinMs;
  if (until !== null && at >= until && state === null) {
    const reason = `Not ready within its time, which ended at ${new Date(until).toISOString()}`;
    return { changes: failed(reason, settling), after: LEAVE };
  }
  const nextPollAt = until === null ? at + interval : Math.min(at + interval, until);
  const changes: Change[] = [
    update(settling, {
      status: "SUSPENDED",
      ...(state === null ? {} : { suspendedState: state }),
      nextPollAt,
      pollInterval: interval,
      maxWaitUntil: until,
    }),
    ...(state === null
      ? []
      : [event(lease.run, at, "stage:suspended", { stageId: stage.stageId, until: nextPollAt })]),
    suspendedJob(lease, nextPollAt, at),
  ];
  return { changes, after: LEAVE };
}

function waits(answer: Extract<StageAnswer, { outcome: "waiting" }>, settling: Settling): Settled {
  const { lease, stage, at } = settling;
  const { run, ordinal, attempt } = lease;
  const { stageId, recordId, group, attempt: tried } = stage;
  const until = at + answer.ms;
  const unlessSignal = answer.for === "signal" ? stageId : null;
  const changes: Change[] = [
    update(settling, waiting(answer.for, until)),
    event(run, at, "stage:suspended", { stageId, until }),
    {
      kind: "moveJob",
      workflowRunId: run.id,
      ordinal,
      attempt,
      stageId,
      tries: JOB_MAX_ATTEMPTS_DEFAULT,
      concurrencyKey: null,
      concurrencyLimit: null,
      frees: freedBy(lease, null),
      to: { state: "suspended", until, unlessSignal },
      at,
    },
  ];
  const triesLeft = JOB_MAX_ATTEMPTS_DEFAULT - 1;
  const startedAt = stage.startedAt ?? at;
  const where = { stageId, recordId, group, attempt: tried, hasFailed: stage.hasFailed };
  const reached = { ...where, startedAt, triesLeft, decides: false };
  return { changes, after: unlessSignal === null ? LEAVE : { does: "wait", stage: reached } };
}

/** The decision is kept, so that no later try makes another. */
function met(
  { stage: next }: Extract<StageAnswer, { outcome: "met" }>,
  settling: Settling,
): Settled {
  const { lease, stage, goesOn, at, paused } = settling;
  const { run, ordinal, attempt } = lease;
  const { stageId, recordId, group, attempt: tried, hasFailed, triesLeft } = stage;
  const decided = { suspendedState: null };
  if (paused) {
    const changes = [update(settling, { ...decided, status: "PENDING" }), parked(settling)];
    return { changes, after: LEAVE };
  }
  if (goesOn(next)) {
    const startedAt = stage.startedAt ?? at;
    const reached = { stageId, recordId, group, attempt: tried, startedAt, hasFailed, triesLeft };
    return {
      changes: [update(settling, decided)],
      after: { does: "run", stage: { ...reached, decides: false } },
    };
  }
  const changes: Change[] = [
    update(settling, { ...decided, status: "PENDING" }),
    {
      kind: "moveJob",
      workflowRunId: run.id,
      ordinal,
      attempt,
      stageId,
      tries: triesLeft + 1,
      concurrencyKey: next.concurrency?.key ?? null,
      concurrencyLimit: next.concurrency?.limit ?? null,
      frees: freedBy(lease, next.concurrency?.key ?? null),
      to: { state: "pending" },
      at,
    },
  ];
  return { changes, after: LEAVE };
}

function retried(
  { error, retryInMs }: Extract<StageAnswer, { outcome: "failed" }>,
  settling: Settling,
): Change[] {
  const { lease, stage, at } = settling;
  const { run, ordinal, attempt } = lease;
  const pauseMs = Math.min(retryInMs ?? 0, RETRY_MS_MAX);
  return [
    update(settling, { status: "PENDING", errorMessage: encodeText(error) }),
    event(run, at, "stage:retrying", {
      stageId: stage.stageId,
      attempt: stage.attempt,
      error,
      retryAt: at + pauseMs,
    }),
    {
      kind: "failJob",
      workflowRunId: run.id,
      ordinal,
      attempt,
      error: encodeText(error),
      retry: { baseMs: pauseMs, capMs: pauseMs, jitterPermille: 0 },
      at,
    },
  ];
}

/** The stage ends the run. */
function failed(error: string, settling: Settling): Change[] {
  const { lease, stage, at } = settling;
  const { stageId, attempt } = stage;
  return [
    update(settling, {
      status: "FAILED",
      completedAt: at,
      nextPollAt: null,
      errorMessage: encodeText(error),
      ...since(settling),
    }),
    event(lease.run, at, "stage:failed", { stageId, attempt, error }),
    ...failedRun(settling, stageId, error),
  ];
}

/** The run ends as FAILED, and with it what it has open. */
export function failedRun(
  { lease, at }: { readonly lease: Lease; readonly at: number },
  stageId: string,
  error: string,
): Change[] {
  const { run, ordinal, attempt } = lease;
  return [
    event(run, at, "workflow:failed", { stageId, error }),
    { kind: "cancelStages", workflowRunId: run.id, at },
    {
      kind: "updateRun",
      id: run.id,
      set: { status: "FAILED", completedAt: at, duration: at - run.createdAt },
      at,
      bump: 1,
    },
    {
      kind: "failJob",
      workflowRunId: run.id,
      ordinal,
      attempt,
      error: encodeText(error),
      retry: null,
      at,
    },
    { kind: "cancelJobs", workflowRunId: run.id, leased: true, at },
  ];
}

function since({ stage, at }: Settling): { readonly duration?: number } {
  return stage.startedAt === null ? {} : { duration: at - stage.startedAt };
}

type StageUpdate = Extract<Change, { kind: "updateStage" }>;

function update({ lease, stage, at }: Settling, set: StageUpdate["set"]): StageUpdate {
  const { run } = lease;
  return { kind: "updateStage", workflowRunId: run.id, stageId: stage.stageId, set, at, bump: 1 };
}
