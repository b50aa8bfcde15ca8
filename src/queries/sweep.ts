/**
 * The queries of the sweep and the consumer, which no method of the contract asks: callers do not
 * carry them. Pure.
 */
import { idField, instantField, keyField, ordinalField } from "../model/fields.ts";
import type { FailedJob, JobState, StrayJob, UnattendedStage } from "../model/index.ts";
import { TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { flag, list, object, optional } from "../model/shape.ts";
import { storedQuery } from "./query-kind.ts";
import { ofRun, rowLimit } from "./members.ts";

const settledJobs = list(
  object({ ...ofRun, ordinal: ordinalField, freed: optional(keyField) }),
  TRANSACTION_CHANGES_MAX,
);

export const sweepQueries = {
  /**
   * Stages with attendAt <= now by (attendAt, run, stageId), the first `limit`, each with its
   * state.
   */
  unattendedStages: storedQuery<UnattendedStage[]>()("unattendedStages", {
    now: instantField,
    limit: rowLimit,
  }),

  /** PENDING runs that were created at or before `before`, counted up to `limit`. */
  waitingRuns: storedQuery<number>()("waitingRuns", { before: instantField, limit: rowLimit }),

  /**
   * Jobs with handOverAt <= now by (handOverAt, run, ordinal), the first `limit`, each with the
   * state of what it has left.
   */
  unhandledFailures: storedQuery<FailedJob[]>()("unhandledFailures", {
    now: instantField,
    limit: rowLimit,
  }),

  /**
   * The states of the jobs, in no particular order. Unknown jobs are left out; with `wakingOnly`
   * also those that call for no wake-up: RUNNING, COMPLETED or CANCELLED ones without a concurrency
   * key. `keyWaits`: 1 if a PENDING job has the same concurrency key and was due at `now`,
   * otherwise 0. With `freed`, that is the key. Also, of the run `cancelledOf`, the CANCELLED jobs with a
   * concurrency key.
   */
  jobStates: storedQuery<JobState[]>()("jobStates", {
    keys: settledJobs,
    now: instantField,
    wakingOnly: optional(flag),
    cancelledOf: optional(idField),
  }),

  /**
   * PENDING jobs that were due at `before`, counted up to `limit`. With `stagesOnly`
   * those alone that take runs of typed workflows through their stages, among the first `limit` that are
   * found, of ready and of delayed jobs.
   */
  overdueJobs: storedQuery<number>()("overdueJobs", {
    before: instantField,
    limit: rowLimit,
    stagesOnly: optional(flag),
  }),

  /** SUSPENDED jobs with resumeAt <= now, counted up to `limit`. */
  resumableJobs: storedQuery<number>()("resumableJobs", { now: instantField, limit: rowLimit }),

  /**
   * SUSPENDED jobs whose resumeAt is that of paused runs' jobs, while the run is not SUSPENDED: among
   * `limit` jobs of such a resumeAt, by (resumeAt, run, ordinal), those with resumeAt >= from first.
   */
  strayParkedJobs: storedQuery<StrayJob[]>()("strayParkedJobs", {
    from: instantField,
    limit: rowLimit,
  }),

  /** How many events wait, counted up to `limit`. */
  waitingEvents: storedQuery<number>()("waitingEvents", { limit: rowLimit }),

  /**
   * How many idempotency keys, commit records and marks of watched runs `purgeExpired` would
   * delete, each counted up to 1.
   */
  expired: storedQuery<number>()("expired", {
    keysBefore: instantField,
    commitsBefore: instantField,
  }),
};
