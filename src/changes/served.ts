/**
 * What the service alone asks of each kind of change: who may make it, what it leaves behind, which
 * job it settles, which wake-ups follow, and whose instant counts. The kinds that only the service
 * makes tell it themselves. Pure.
 */
import { joinId, nearestInstant } from "../model/index.ts";
import { isWaiting } from "../model/state.ts";
import type { CallerKind } from "./callers.ts";
import type { Change, ChangeKind, ChangeOf } from "./change.ts";
import { jobMoveChanges } from "./job-moves.ts";
import { ADMIN, NOTE, WORK, WRITE } from "./scope.ts";
import {
  atOf,
  type ServedKindOf,
  type ServedTraits,
  settling,
  type WakeUp,
} from "./served-kind.ts";
import { signalChanges } from "./signals.ts";
import { steeringChanges } from "./steering.ts";
import { upkeepChanges } from "./upkeep.ts";

const RUNS_WAIT = { kind: "runs", at: null } as const;
/** The handler's duty `outbox` has something to do now. */
const EVENTS_WAIT = [{ kind: "outbox", at: null }] as const;

/** Of the changes that methods of the contract make. */
const CALLERS: { readonly [K in CallerKind]: ServedTraits<ChangeOf<K>> } = {
  createRun: {
    scope: WRITE,
    trace: "mark",
    wakes: ({ row }) => (row.status === "PENDING" ? [RUNS_WAIT] : []),
  },
  updateRun: {
    scope: WRITE,
    trace: "mark",
    wakes: ({ set }) => (set.status === "PENDING" ? [RUNS_WAIT] : []),
  },

  createStage: { scope: WRITE, trace: "mark" },
  updateStage: { scope: WRITE, trace: "mark" },
  upsertStage: { scope: WRITE, trace: "mark" },
  deleteStage: { scope: WRITE, trace: "record" },

  createLog: {
    scope: NOTE,
    // A stage takes its log with it when it is deleted.
    trace: ({ row }) => (row.workflowStageId === null ? "row" : "row?"),
  },
  saveArtifact: { scope: WRITE, trace: "mark" },
  deleteArtifact: { scope: WRITE, trace: "record" },
  appendAnnotation: {
    scope: NOTE,
    trace: ({ row }) => (row.idempotencyKey === null ? "row" : "row?"),
  },
  // The row may be an earlier call's, and tells nothing about the other calls of this commit. A
  // repeat does no harm.
  recordAiCall: { scope: NOTE, trace: "none" },

  appendOutboxEvent: {
    scope: WRITE,
    trace: "mark",
    wakes: ({ row }) => (isWaiting(row) ? EVENTS_WAIT : []),
  },
  publishOutboxEvent: { scope: WRITE, trace: "none" },
  countOutboxRetry: { scope: WRITE, trace: "mark" },
  deadLetterOutboxEvent: { scope: WRITE, trace: "mark?" },
  replayOutboxEvent: { scope: WRITE, trace: "mark", wakes: () => EVENTS_WAIT },

  acquireIdempotencyKey: { scope: WRITE, trace: "mark?" },
  completeIdempotencyKey: { scope: WRITE, trace: "mark" },
  releaseIdempotencyKey: { scope: WRITE, trace: "record" },

  enqueueJob: {
    scope: WRITE,
    trace: ({ row }) => (row.dedupeKey === null ? "row" : "row?"),
    // If another live job has the dedupe key, this one does not exist.
    settles: ({ row: { workflowRunId, ordinal, dedupeKey } }) =>
      dedupeKey === null ? null : { workflowRunId, ordinal },
    wakes({ row }): WakeUp[] {
      if (row.dedupeKey !== null || row.status !== "PENDING") return [];
      const jobId = joinId(row.workflowRunId, row.ordinal);
      return [{ kind: "jobs", jobId, at: row.nextPollAt }];
    },
  },
  claimJobs: { scope: WORK, trace: "row?", stamp: atOf },
  completeJob: settling,
  suspendJob: settling,
  failJob: settling,
  // A heartbeat makes no job claimable.
  touchJob: { ...settling, settles: () => null },
  releaseJob: {
    ...settling,
    // The change names `staleBefore`, and so may end a fresh lease.
    scope: ADMIN,
    // The caller gives an age: a clock that is wrong makes no lease older than it is.
    stamp: (change, now) => ({
      ...change,
      at: now,
      staleBefore: nearestInstant(now - (change.at - change.staleBefore)),
    }),
  },
  cancelJobs: { scope: WRITE, trace: "row?", stamp: atOf },
};

const DEFAULTS = {
  settles: () => null,
  wakes: () => [],
  stamp: (change: Change) => change,
};

const KINDS = {
  ...CALLERS,
  ...signalChanges,
  ...steeringChanges,
  ...jobMoveChanges,
  ...upkeepChanges,
};
const entries = Object.entries(KINDS).map(([kind, traits]) => [kind, { ...DEFAULTS, ...traits }]);
// What stands under the name of a kind takes the changes of that kind.
const SERVED = Object.fromEntries(entries) as unknown as {
  readonly [K in ChangeKind]: ServedKindOf<Change>;
};

/** What the service asks of the change's kind. */
export function servedKind({ kind }: Pick<Change, "kind">): ServedKindOf<Change> {
  return SERVED[kind];
}
