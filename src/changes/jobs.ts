/** Changes of jobs. Their effects on the maps stand in `memory/effects/`. Pure. */
import { flag, object, nullable, optional, whole, type TypeOf } from "../model/shape.ts";
import {
  countField,
  idField,
  instantField,
  jobErrorField,
  nameField,
  ordinalField,
} from "../model/fields.ts";
import { joinId, nearestInstant, newJobRow } from "../model/index.ts";
import { CLAIM_JOBS_MAX, RETRY_MS_MAX } from "../model/limits.ts";
import { jobRef } from "../model/row-ref.ts";
import { type JobKey, storedChange, type WakeUp } from "./change-kind.ts";
import { ADMIN, WORK, WRITE } from "./scope.ts";

export const jobKey = { workflowRunId: idField, ordinal: ordinalField };
/**
 * The fence of a delivery: the change does nothing if the job's attempt is another one. Absent:
 * any.
 */
export const fence = { attempt: optional(countField) };

/**
 * A retry waits min(baseMs * 2^n, capMs) and `jitterPermille` thousandths of that longer, rounded
 * down, where n counts what went wrong: min(count, attempts, 20).
 */
export const retryBackoff = object({
  baseMs: whole({ min: 0, max: RETRY_MS_MAX }),
  capMs: whole({ min: 0, max: RETRY_MS_MAX }),
  jitterPermille: whole({ min: 0, max: 1_000 }),
});
export type RetryBackoff = TypeOf<typeof retryBackoff>;

export function atOf<Change extends { readonly at: number }>(change: Change, now: number): Change {
  return { ...change, at: now };
}

/** What the changes of one delivered job share. */
export const settling = {
  scope: WORK,
  row: (change: JobKey) => jobRef(change),
  trace: "mark?",
  recorded: "each",
  settles: ({ workflowRunId, ordinal }: JobKey) => ({ workflowRunId, ordinal }),
  stamp: atOf,
} as const;

export const jobChanges = {
  /**
   * Inserts the job. Nothing if it is live (PENDING, RUNNING, SUSPENDED) and another live job has
   * its dedupeKey.
   */
  enqueueJob: storedChange(
    "enqueueJob",
    { row: newJobRow },
    {
      scope: WRITE,
      row: ({ row }) => jobRef(row),
      trace: ({ row }) => (row.dedupeKey === null ? "row" : "row?"),
      recorded: "insert",
      shownIn: ({ row }) =>
        row.dedupeKey === null ? null : { of: "dedupeKey", dedupeKey: row.dedupeKey },
      needs: ({ row }) =>
        row.dedupeKey === null ? [] : [{ of: "dedupeKey", dedupeKey: row.dedupeKey }],
      texts: ({ row }) => [{ table: "jobs", values: row }],
      // If another live job has the dedupe key, this one does not exist.
      settles: ({ row: { workflowRunId, ordinal, dedupeKey } }) =>
        dedupeKey === null ? null : { workflowRunId, ordinal },
      wakes({ row }): WakeUp[] {
        if (row.dedupeKey !== null || row.status !== "PENDING") return [];
        const jobId = joinId(row.workflowRunId, row.ordinal);
        return [{ kind: "jobs", jobId, at: row.nextPollAt }];
      },
    },
  ),

  /**
   * The best PENDING jobs whose nextPollAt is null or at most `at` (by priority, then ordinal), at
   * most `limit`, become RUNNING: workerId, lockedAt = startedAt = updatedAt = at, attempt + 1.
   *
   * A job with a concurrencyKey is passed over if the RUNNING jobs of the key, together with those
   * that are taken before it, have reached its concurrencyLimit; so are the jobs of the key that
   * come after it. If more than CONCURRENCY_KEYS_MAX keys have due jobs, those of the later keys
   * are passed over. Of delayed jobs that have become due, those PROMOTED_MAX count whose
   * nextPollAt is earliest.
   */
  claimJobs: storedChange(
    "claimJobs",
    {
      workerId: nullable(nameField),
      limit: whole({ min: 0, max: CLAIM_JOBS_MAX }),
      at: instantField,
    },
    {
      scope: WORK,
      row: () => null,
      trace: "row?",
      stamp: atOf,
    },
  ),

  /**
   * COMPLETED, completedAt = updatedAt = at; nothing if terminal (COMPLETED, FAILED, CANCELLED).
   */
  completeJob: storedChange(
    "completeJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...settling,
    },
  ),

  /**
   * SUSPENDED, nextPollAt, resumeAt, workerId = lockedAt = null, undelivered = unanswered = 0,
   * updatedAt = at; nothing if terminal.
   */
  suspendJob: storedChange(
    "suspendJob",
    {
      ...jobKey,
      ...fence,
      nextPollAt: instantField,
      /**
       * When the service itself resumes the job: at `nextPollAt`, or UNPOLLED_MS after it where an
       * engine is expected to poll.
       */
      resumeAt: instantField,
      at: instantField,
    },
    {
      ...settling,
    },
  ),

  /**
   * failures + 1 unless PENDING, undelivered = 0, lastError, updatedAt = at; unanswered + 1 if its
   * worker `died`, else 0. If `retry` is given
   * and attempt < maxAttempts: PENDING, workerId = lockedAt = null, nextPollAt = at + the backoff
   * after that many failures; otherwise FAILED, completedAt = handOverAt = at. Nothing if terminal.
   */
  failJob: storedChange(
    "failJob",
    {
      ...jobKey,
      ...fence,
      error: jobErrorField,
      /** Default: false. */
      died: optional(flag),
      /** Null: no retry. */
      retry: nullable(retryBackoff),
      at: instantField,
    },
    {
      ...settling,
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
    },
  ),

  /** lockedAt = updatedAt = at if RUNNING; nothing otherwise. */
  touchJob: storedChange(
    "touchJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...settling,
      // A heartbeat makes no job claimable.
      settles: () => null,
    },
  ),

  /**
   * If RUNNING and lockedAt < staleBefore: failures + 1, undelivered = 0, unanswered + 1, workerId =
   * lockedAt = null, updatedAt = at, lastError = `error`; PENDING, or FAILED with completedAt = handOverAt =
   * at when attempt >= maxAttempts. Nothing otherwise.
   */
  releaseJob: storedChange(
    "releaseJob",
    { ...jobKey, staleBefore: instantField, error: jobErrorField, at: instantField },
    {
      ...settling,
      // The change names `staleBefore`, and so may end a fresh lease.
      scope: ADMIN,
      // The caller gives an age: a clock that is wrong makes no lease older than it is.
      stamp: (change, now) => ({
        ...change,
        at: now,
        staleBefore: nearestInstant(now - (change.at - change.staleBefore)),
      }),
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
    },
  ),

  /**
   * PENDING and SUSPENDED jobs of the run, with `leased` also RUNNING ones: CANCELLED, completedAt =
   * updatedAt = at. A worker learns by its next heartbeat that its lease is gone.
   */
  cancelJobs: storedChange(
    "cancelJobs",
    { workflowRunId: idField, leased: optional(flag), at: instantField },
    {
      scope: WRITE,
      row: () => null,
      trace: "row?",
      stamp: atOf,
      recorded: "each",
      shownIn: ({ workflowRunId }) => ({ of: "jobs", workflowRunId }),
      needs: ({ workflowRunId }) => [{ of: "jobs", workflowRunId }],
    },
  ),
};
