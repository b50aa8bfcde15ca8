/** Random commits, as data: changes, guards and reads of every kind, over few rows. */
import fc from "fast-check";
import type { Change, ChangeKind, Guard } from "../../src/changes/index.ts";
import { signalId } from "../../src/model/index.ts";
import type { Query } from "../../src/queries/index.ts";
import { CHANGES } from "./changes.ts";
import { GUARDS } from "./guards.ts";
import { QUERIES } from "./queries.ts";
import { CURRENT, CURRENT_NUMBER, instant, of, runRow, RUNS } from "./rows.ts";

export interface Attempt {
  readonly guards: readonly Guard[];
  readonly changes: readonly Change[];
  readonly reads: readonly Query[];
}

/** What is seldom asked for: a commit that creates a row anew fails as a whole. */
const SELDOM: Partial<Record<ChangeKind, number>> = { createRun: 1, createStage: 2, enqueueJob: 5 };
const anyChange = fc.oneof(
  ...(Object.keys(CHANGES) as ChangeKind[]).map((name) => ({
    weight: SELDOM[name] ?? 8,
    arbitrary: CHANGES[name] as fc.Arbitrary<Change>,
  })),
);

/** Of one kind: they share statements. */
function several(changes: fc.Arbitrary<Change>): fc.Arbitrary<Change[]> {
  return fc.array(changes, { minLength: 2, maxLength: 6, size: "max" });
}

/** Jobs meet in their keys, leases and attempts: sequences of nothing else get further with them. */
const aboutJobs = [
  CHANGES.enqueueJob,
  CHANGES.enqueueJob,
  CHANGES.enqueueJob,
  CHANGES.claimJobs,
  CHANGES.claimJobs,
  CHANGES.resumeJobs,
  CHANGES.completeJob,
  CHANGES.suspendJob,
  CHANGES.putBackFailure,
  CHANGES.attendStage,
  CHANGES.failJob,
  CHANGES.returnJob,
  CHANGES.unclaimJob,
  CHANGES.touchJob,
  CHANGES.releaseJob,
  CHANGES.cancelJobs,
];
const jobsAttempt: fc.Arbitrary<Attempt> = fc.record({
  guards: fc.constant<Guard[]>([]),
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.array<Change>(fc.oneof(...aboutJobs), { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.oneof(...aboutJobs.map(several)) },
  ),
  reads: fc.array(
    fc.oneof(
      QUERIES.liveJob,
      QUERIES.jobStates,
      QUERIES.unwrittenJobs,
      QUERIES.jobStats,
      QUERIES.claimedJobs,
      QUERIES.overdueJobs,
      QUERIES.unhandledFailures,
      QUERIES.resumableJobs,
      QUERIES.strayParkedJobs,
      QUERIES.staleJobs,
      QUERIES.nextSignal,
      QUERIES.audit,
    ),
    { maxLength: 12, size: "max" },
  ),
});

/** Jobs 1 and 2 of the run `r` take it through its stages. */
const mover = fc.record({ workflowRunId: of("r"), ordinal: of("1", "1", "2") });
const ofRun = fc.record({ workflowRunId: of("r") });
const aMove = fc.tuple(CHANGES.moveJob, mover).map(merged);
const aLeave = fc.tuple(CHANGES.leaveGroup, mover).map(merged);
const aClaim = CHANGES.claimJobs.map((claim) => ({ ...claim, limit: 100, at: 100 }));
const aTake = instant.map((at) => ({
  kind: "takeSignal" as const,
  workflowRunId: "r",
  id: signalId("n", "k"),
  at,
}));
const aboutMoves = [
  aClaim,
  aMove,
  aMove,
  aMove,
  aLeave,
  aLeave,
  CHANGES.resumeJobs.map((resume) => ({ ...resume, limit: 100, at: 100 })),
  fc.tuple(CHANGES.dueJobs, ofRun).map(merged),
  CHANGES.cancelJobs,
  CHANGES.chargeRun,
  CHANGES.sendSignal.map((sent) => pinned(sent, { name: "n", id: signalId("n", "k") })),
  CHANGES.sendSignal,
  aTake,
  CHANGES.upsertStage,
  CHANGES.upsertStage,
  CHANGES.updateStage,
  CHANGES.cancelStages,
  fc.tuple(CHANGES.archiveStages, ofRun).map(merged),
];
const movesAttempt: fc.Arbitrary<Attempt> = fc.record({
  guards: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Guard[]>([]) },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.oneof(
          GUARDS.noSignal,
          mover.map((job) => ({
            on: "job" as const,
            ...job,
            expect: { is: "leased" as const, attempt: CURRENT_NUMBER, stageId: CURRENT },
          })),
        ),
      ),
    },
  ),
  changes: fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(aClaim, fc.array<Change>(fc.oneof(...aboutMoves), { maxLength: 4 }), fc.boolean())
        .map(([claim, changes, claims]) => (claims ? [claim, ...changes] : changes)),
    },
    { weight: 1, arbitrary: fc.oneof(...aboutMoves.map(several)) },
  ),
  reads: fc.array(
    fc.oneof(
      QUERIES.nextSignal,
      QUERIES.stageInputs,
      QUERIES.stageAttempts,
      QUERIES.stages,
      QUERIES.stageById,
      QUERIES.unattendedStages,
      QUERIES.jobStates,
      QUERIES.resumableJobs,
      QUERIES.strayParkedJobs,
      QUERIES.audit,
    ),
    { maxLength: 12, size: "max" },
  ),
});

function merged<A extends object, B extends object>([first, second]: [A, B]): A & B {
  return { ...first, ...second };
}

/** Guards of these rows expect more, so each expectation comes up less often. */
const { run, stage, job } = GUARDS;
const anyGuard = fc.oneof<fc.Arbitrary<Guard>[]>(...Object.values(GUARDS), run, stage, stage, job);

const attempt: fc.Arbitrary<Attempt> = fc.record({
  guards: fc.oneof(
    { weight: 1, arbitrary: fc.constant<Guard[]>([]) },
    {
      weight: 2,
      arbitrary: fc.array(anyGuard, { minLength: 1, maxLength: 2 }),
    },
  ),
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.array(anyChange, { maxLength: 8, size: "max" }) },
    { weight: 1, arbitrary: fc.oneof(...Object.values(CHANGES).map(several)) },
  ),
  reads: fc.array(fc.oneof(...Object.values(QUERIES)), { maxLength: 60, size: "max" }),
});

/** What there is from the start: the runs, which all else refers to, and a row or two of each kind. */
const initial: fc.Arbitrary<Attempt> = fc
  .tuple(
    fc.tuple(...RUNS.map(runRow)),
    CHANGES.upsertStage.map((made) => pinned(made, { stageId: "a", id: "r/a/1.1" })),
    CHANGES.saveArtifact.map((made) => pinned(made, { key: "k" })),
    CHANGES.appendAnnotation.map((made) => pinned(made, { ordinal: "1" })),
    CHANGES.appendOutboxEvent.map((made) => pinned(made, {})),
    CHANGES.acquireIdempotencyKey.map((made) => ({ ...made, key: "k", commandType: "c" })),
    CHANGES.enqueueJob.map((made) => pinned(made, { ordinal: "1" })),
    CHANGES.enqueueJob.map((made) => pinned(made, { ordinal: "2" })),
  )
  .map(([runs, ...others]) => ({
    guards: [],
    changes: [...runs.map((row) => ({ kind: "createRun" as const, row })), ...others],
    reads: [],
  }));

/** The same with jobs that are leased, and a second stage. */
const initialOfMoves: fc.Arbitrary<Attempt> = fc
  .tuple(
    initial,
    CHANGES.upsertStage.map((made) => pinned(made, { stageId: "b/1.0", id: "r/b/1.0/1.1" })),
  )
  .map(([{ changes, ...others }, made]) => ({
    ...others,
    changes: [
      ...changes.map((change) =>
        change.kind === "enqueueJob"
          ? pinned(change, { status: "RUNNING", attempt: 1, nextPollAt: null })
          : change,
      ),
      made,
    ],
  }));

function pinned<C extends { row: object }>(change: C, place: Partial<C["row"]>): C {
  return { ...change, row: { ...change.row, workflowRunId: "r", ...place } };
}

export const attempts: fc.Arbitrary<readonly Attempt[]> = fc.oneof(
  { weight: 4, arbitrary: beginning(initial, attempt) },
  { weight: 1, arbitrary: beginning(initial, jobsAttempt) },
  { weight: 2, arbitrary: beginning(initialOfMoves, movesAttempt) },
);

function beginning(first: fc.Arbitrary<Attempt>, others: fc.Arbitrary<Attempt>) {
  return fc
    .tuple(first, fc.array(others, { minLength: 1, maxLength: 24, size: "max" }))
    .map(([one, more]) => [one, ...more]);
}
