/**
 * Changes that the sweep and the consumer make, and no method of the contract: callers do not carry
 * them. Pure.
 */
import { countField, instantField, jobErrorField } from "../model/fields.ts";
import { RESUME_JOBS_MAX } from "../model/limits.ts";
import { jobRef, outboxEventRef, stageRef } from "../model/row-ref.ts";
import { nullable, oneOf, whole } from "../model/shape.ts";
import { fence, jobKey, ofDelivery, retryBackoff } from "./jobs.ts";
import { eventKey } from "./outbox.ts";
import { ADMIN } from "./scope.ts";
import { atOf, serviceChange, settling } from "./served-kind.ts";
import { stageKey } from "./stages.ts";

export const upkeepChanges = {
  /**
   * Deletes idempotency keys with acquiredAt < keysBefore, and the records of commits made before
   * `commitsBefore`: the oldest `limit` of each, and all as old as the last of them.
   */
  purgeExpired: serviceChange(
    "purgeExpired",
    {
      keysBefore: instantField,
      commitsBefore: instantField,
      limit: whole({ min: 1, max: 1_000 }),
    },
    {
      scope: ADMIN,
      row: () => null,
      trace: "none",
      // Only the database keeps records of commits, and marks of watched runs, which it deletes here
      // when they have ended; the maps have none.
    },
  ),

  /**
   * For a waiting event whose retryCount is still `seen`. If it is its run's first, the run goes to
   * the end of the line. `blame` says how its failure counts:
   *
   * - `none`: not at all. An event without failures gets countAfter = at, so that the next wake-up
   *   tries it alone.
   * - `certain`: now, and countAfter = null. Other events were published in the same wake-up.
   * - `suspected`: now if its last failure was certain; otherwise only once countAfter has come. Then
   *   the next one counts after a pause, which doubles each time.
   */
  putBackEvent: serviceChange(
    "putBackEvent",
    {
      ...eventKey,
      seen: countField,
      blame: oneOf(["none", "suspected", "certain"]),
      at: instantField,
    },
    {
      scope: ADMIN,
      row: (change) => outboxEventRef(change),
      trace: "none",
      shownIn: () => null,
    },
  ),

  /**
   * If the stage's attendAt is `seenAt`: attendAt = `dueAt`; null is set only if no live run has
   * the stage. Since it was read, the stage may have been polled, or its run may be live again.
   * `commits` stays as it is, since no caller sees the column.
   */
  attendStage: serviceChange(
    "attendStage",
    { ...stageKey, seenAt: instantField, dueAt: nullable(instantField) },
    {
      scope: ADMIN,
      row: (change) => stageRef(change),
      trace: "none",
      shownIn: () => null,
    },
  ),

  /**
   * SUSPENDED jobs with resumeAt <= at, those with the earliest resumeAt first, at most `limit`:
   * PENDING, maxAttempts + 1 (a poll is no failed attempt), updatedAt = at.
   */
  resumeJobs: serviceChange(
    "resumeJobs",
    { limit: whole({ min: 0, max: RESUME_JOBS_MAX }), at: instantField },
    {
      // The change names its instant, and so may resume jobs too early.
      scope: ADMIN,
      row: () => null,
      trace: "none",
      stamp: atOf,
    },
  ),

  /**
   * The delivery did not reach the handler, and counts neither as an attempt nor as a failure. If
   * RUNNING: PENDING, workerId = lockedAt = null, undelivered + 1, maxAttempts + 1, nextPollAt = at
   * + the backoff after that many in a row, lastError = `error`, updatedAt = at. Nothing otherwise.
   */
  returnJob: serviceChange(
    "returnJob",
    { ...jobKey, ...fence, error: jobErrorField, retry: retryBackoff, at: instantField },
    {
      ...ofDelivery,
      ...settling,
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
    },
  ),

  /**
   * The worker gives back a job that it has not begun. If RUNNING: PENDING, workerId = lockedAt =
   * null, maxAttempts + 1, updatedAt = at; it counts neither as an attempt nor as a failure, and the
   * job is ready. Nothing otherwise.
   */
  unclaimJob: serviceChange(
    "unclaimJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...ofDelivery,
      ...settling,
    },
  ),

  /**
   * If the job has a handOverAt: handOverAt = `dueAt`. `commits` stays as it is, since no caller
   * sees the column.
   */
  putBackFailure: serviceChange(
    "putBackFailure",
    { ...jobKey, dueAt: nullable(instantField) },
    {
      scope: ADMIN,
      row: (change) => jobRef(change),
      trace: "none",
      shownIn: () => null,
    },
  ),
};
