/**
 * The queries of the sweep and the consumer, which no method of the contract asks: callers do not
 * carry them. Pure.
 */
import { instantField, keyField, ordinalField } from "../model/fields.ts";
import type { FailedJob, JobState, UnattendedStage } from "../model/index.ts";
import { TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { flag, list, object, optional } from "../model/shape.ts";
import { storedQuery } from "./query-kind.ts";
import { ofRun, rowLimit } from "./members.ts";

const settledJobs = list(
  object({ ...ofRun, ordinal: ordinalField, freed: optional(keyField) }),
  TRANSACTION_CHANGES_MAX,
);

/** How the payload of a job begins that takes a run through its stages (`runner/lease.ts`). */
export const STAGE_PAYLOAD = '{"~stage":1';

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
   * otherwise 0. With `freed`, that is the key.
   */
  jobStates: storedQuery<JobState[]>()("jobStates", {
    keys: settledJobs,
    now: instantField,
    wakingOnly: optional(flag),
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
