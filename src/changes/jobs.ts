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
import { newJobRow } from "../model/index.ts";
import { CLAIM_JOBS_MAX, RETRY_MS_MAX } from "../model/limits.ts";
import { jobRef } from "../model/row-ref.ts";
import { type JobKey, storedChange } from "./change-kind.ts";

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

/** What the changes of one delivered job share. */
export const ofDelivery = {
  row: (change: JobKey) => jobRef(change),
  recorded: "each",
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
      row: ({ row }) => jobRef(row),
      recorded: "insert",
      shownIn: ({ row }) =>
        row.dedupeKey === null ? null : { of: "dedupeKey", dedupeKey: row.dedupeKey },
      needs: ({ row }) =>
        row.dedupeKey === null ? [] : [{ of: "dedupeKey", dedupeKey: row.dedupeKey }],
      texts: ({ row }) => [{ table: "jobs", values: row }],
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
      row: () => null,
    },
  ),

  /**
   * COMPLETED, completedAt = updatedAt = at; nothing if terminal (COMPLETED, FAILED, CANCELLED).
   */
  completeJob: storedChange("completeJob", { ...jobKey, ...fence, at: instantField }, ofDelivery),

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
      ...ofDelivery,
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
      ...ofDelivery,
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
    },
  ),

  /** lockedAt = updatedAt = at if RUNNING; nothing otherwise. */
  touchJob: storedChange(
    "touchJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...ofDelivery,
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
      ...ofDelivery,
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
      row: () => null,
      recorded: "each",
      shownIn: ({ workflowRunId }) => ({ of: "jobs", workflowRunId }),
      needs: ({ workflowRunId }) => [{ of: "jobs", workflowRunId }],
    },
  ),
};
