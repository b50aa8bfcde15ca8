/**
 * The queries of the sweep and the audit: work that waits although it is due, and rows that nothing
 * will move on. Pure.
 */
import { instantField } from "../model/fields.ts";
import { type AuditRow, type FailedJob, type UnattendedStage } from "../model/index.ts";
import { storedQuery } from "./query-kind.ts";
import { rowLimit } from "./members.ts";

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
   * Unfinished rows that nothing will move on, at most `limit`, in no particular order.
   * - run: RUNNING or SUSPENDED, with neither a live stage nor a live job.
   * - stage, of such a run, without a live job of its own: RUNNING; SUSPENDED without a nextPollAt;
   *   PENDING, and no stage of an earlier group is live; SUSPENDED with nextPollAt <= now -
   *   AUDIT_UNPOLLED_MS.
   * - job: RUNNING without lockedAt; SUSPENDED, or PENDING and delayed, without nextPollAt; of such
   *   a run, SUSPENDED with nextPollAt <= now - AUDIT_UNPOLLED_MS.
   */
  audit: storedQuery<AuditRow[]>()("audit", { now: instantField, limit: rowLimit }),

  /**
   * Jobs with handOverAt <= now by (handOverAt, run, ordinal), the first `limit`, each with the
   * state of what it has left.
   */
  unhandledFailures: storedQuery<FailedJob[]>()("unhandledFailures", {
    now: instantField,
    limit: rowLimit,
  }),
};
