/** The run comes to its next stages, or to its end: the changes of a commit that a worker makes. Pure. */
import type { Change } from "../changes/index.ts";
import type { Next, NextStage } from "../engine/delivery.ts";
import type { EngineRun, Lease } from "./lease.ts";
import { type Coming, event, jobRow, type Moment, stageRow, waitsFor } from "./rows.ts";

/** What the worker that enters a group does then. */
export type After =
  /** It goes on with this stage, whose lease it has. */
  | { readonly does: "run"; readonly stage: Reached }
  /** It waits for a signal, unless the run has one already: then the worker still has the lease. */
  | { readonly does: "wait"; readonly stage: Reached }
  /** Another delivery goes on, or nobody: the run has ended. */
  | { readonly does: "leave" };

/** A stage to which the worker's job has moved. */
export interface Reached {
  readonly stageId: string;
  readonly recordId: string;
  readonly group: number;
  readonly attempt: number;
  readonly startedAt: number;
  readonly hasFailed: boolean;
  readonly triesLeft: number;
  /** Its condition is open. */
  readonly decides: boolean;
}

export type GoesOn = (stage: Pick<NextStage, "timeoutMs">) => boolean;

export interface Entered {
  readonly changes: readonly Change[];
  readonly after: After;
}

/** What an entry depends on, beside what comes next. */
export interface Entry extends Moment {
  readonly lease: Lease;
  /** The stages whose outputs the next ones take; none: the run's input. */
  readonly from: readonly string[];
  /** Whether the worker may go on with the stage itself. Otherwise the job goes back to the queue. */
  readonly goesOn: GoesOn;
}

export function entered(next: Exclude<Next, { kind: "join" }>, entry: Entry): Entered {
  const { lease, at } = entry;
  const { run, ordinal, attempt } = lease;
  const skipped = next.skipped.flatMap((stage) =>
    passedOver(coming(stage, stage.group, entry), entry),
  );
  if (next.kind === "finish") {
    const changes: Change[] = [
      ...skipped,
      {
        kind: "updateRun",
        id: run.id,
        set: {
          status: "COMPLETED",
          output: next.output,
          completedAt: at,
          duration: at - run.createdAt,
        },
        at,
        bump: 1,
      },
      event(run, at, "workflow:completed", {}),
      { kind: "completeJob", workflowRunId: run.id, ordinal, attempt, at },
    ];
    return { changes: inOrder(changes), after: { does: "leave" } };
  }
  const [first, ...others] = next.stages;
  if (first === undefined) throw new TypeError("A group without stages");
  const mine = leading(first, next.group, entry);
  const theirs = others.flatMap((stage): Change[] => [
    {
      kind: "createStage",
      row: stageRow(coming(stage, next.group, entry), entry, {}),
    },
    { kind: "enqueueJob", row: jobRow(run, stage, entry) },
  ]);
  return { changes: inOrder([...skipped, ...mine.changes, ...theirs]), after: mine.after };
}

/** A stage whose condition was not met. */
export function passedOver(
  skipped: Coming & { readonly run: Pick<EngineRun, "id" | "publishes"> },
  moment: Moment,
): Change[] {
  const { run, stage } = skipped;
  const { at } = moment;
  const row = stageRow(skipped, moment, { status: "SKIPPED", completedAt: at });
  const told = event(run, at, "stage:skipped", { stageId: stage.id });
  return [{ kind: "createStage", row }, told];
}

/** The slot that the job leaves for one of this key, or of none. */
export function freedBy({ key }: Lease, next: string | null): string | null {
  return key === next ? null : key;
}

/** Changes of one kind share a statement where they are neighbours. */
export function inOrder(changes: readonly Change[]): Change[] {
  return [...Map.groupBy(changes, ({ kind }) => kind).values()].flat();
}

function coming(stage: NextStage, group: number, { lease: { run }, from }: Entry) {
  return { run, stage, group, from, tried: run.tried[stage.number] ?? 0 };
}

/** The stage to which this worker's job moves. */
function leading(stage: NextStage, group: number, entry: Entry): Entered {
  const { lease, at } = entry;
  const { run, ordinal, attempt } = lease;
  const before = coming(stage, group, entry);
  const tried = before.tried + 1;
  const moved = {
    kind: "moveJob",
    workflowRunId: run.id,
    ordinal,
    attempt,
    stageId: stage.id,
    tries: stage.attempts,
    concurrencyKey: stage.concurrency?.key ?? null,
    concurrencyLimit: stage.concurrency?.limit ?? null,
    frees: freedBy(lease, stage.concurrency?.key ?? null),
    at,
  } as const;
  const reached = (recordId: string): Reached => ({
    stageId: stage.id,
    recordId,
    group,
    attempt: tried,
    startedAt: at,
    hasFailed: false,
    triesLeft: stage.attempts - 1,
    decides: stage.decides,
  });
  if (stage.waits !== null) {
    const until = at + stage.waits.ms;
    const row = stageRow({ ...before, tried }, entry, waiting(stage.waits.for, until));
    const unlessSignal = stage.waits.for === "signal" ? stage.id : null;
    const changes: Change[] = [
      { kind: "createStage", row },
      event(run, at, "stage:suspended", { stageId: stage.id, until }),
      { ...moved, to: { state: "suspended", until, unlessSignal } },
    ];
    const after = { does: "wait", stage: reached(row.id) } as const;
    return { changes, after: unlessSignal === null ? { does: "leave" } : after };
  }
  // A concurrency key is counted where jobs are claimed.
  if (stage.concurrency !== null || !entry.goesOn(stage)) {
    const changes: Change[] = [
      { kind: "createStage", row: stageRow(before, entry, {}) },
      { ...moved, to: { state: "pending" } },
    ];
    return { changes, after: { does: "leave" } };
  }
  const row = stageRow({ ...before, tried }, entry, { status: "RUNNING", startedAt: at });
  const changes: Change[] = [
    { kind: "createStage", row },
    event(run, at, "stage:started", { stageId: stage.id, attempt: tried }),
    { ...moved, to: { state: "running" } },
  ];
  return { changes, after: { does: "run", stage: reached(row.id) } };
}

/** The columns of a stage that waits, with no code running. `pollInterval` is that of a poll, and null. */
export function waiting(what: "signal" | "time", until: number) {
  return {
    status: "SUSPENDED",
    suspendedState: waitsFor(what),
    pollInterval: null,
    nextPollAt: until,
    maxWaitUntil: until,
  } as const;
}
