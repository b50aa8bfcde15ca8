/**
 * The queries that methods of the contract ask as they stand: no caller's input is in them that is
 * not checked before, and only a store answers them. Callers do not carry them. Pure.
 */
import { idField, instantField, ordinalField } from "../model/fields.ts";
import type {
  AuditRow,
  JobRow,
  JobStatsRow,
  OutboxEventRow,
  StageRow,
  StaleJob,
  UnwrittenJob,
} from "../model/index.ts";
import { TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { list, nullable, object, optional, text } from "../model/shape.ts";
import { eventKey, ofRun, rowLimit } from "./members.ts";
import { storedQuery } from "./query-kind.ts";
import { runSearchQueries } from "./run-search.ts";

export const storedQueries = {
  ...runSearchQueries,

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
   * SUSPENDED stages with nextPollAt <= before, by nextPollAt, run and stageId; `limit` or
   * PAGE_ROWS of them, after the given place.
   */
  suspendedStages: storedQuery<StageRow[]>()("suspendedStages", {
    before: instantField,
    after: nullable(object({ nextPollAt: instantField, ...ofRun, stageId: idField })),
    limit: optional(rowLimit),
  }),

  /** Waiting events by run and sequence, the first `limit` after the given place. */
  outboxBacklog: storedQuery<OutboxEventRow[]>()("outboxBacklog", {
    after: nullable(object(eventKey)),
    limit: rowLimit,
  }),

  /**
   * Those of the jobs that the commit did not write, in no particular order. Status and attempt are
   * null for an unknown one.
   */
  unwrittenJobs: storedQuery<UnwrittenJob[]>()("unwrittenJobs", {
    keys: list(object({ ...ofRun, ordinal: ordinalField }), TRANSACTION_CHANGES_MAX),
    commitId: text(),
  }),

  /** How many jobs are in each state; see {@link JobStatsRow}. */
  jobStats: storedQuery<JobStatsRow>()("jobStats", {
    now: instantField,
    failedSince: instantField,
  }),

  /**
   * The jobs that a commit's claimJobs took at or after `since`, by (priority DESC, ordinal, run).
   */
  claimedJobs: storedQuery<JobRow[]>()("claimedJobs", { since: instantField, commitId: text() }),

  /** RUNNING jobs with lockedAt < before, by (lockedAt, run, ordinal), the first `limit`. */
  staleJobs: storedQuery<StaleJob[]>()("staleJobs", { before: instantField, limit: rowLimit }),

  /**
   * SUSPENDED jobs with nextPollAt <= now after the given place, by (nextPollAt, run, ordinal), at
   * most `limit` or PAGE_ROWS.
   */
  suspendedJobs: storedQuery<JobRow[]>()("suspendedJobs", {
    now: instantField,
    after: nullable(object({ nextPollAt: instantField, ...ofRun, ordinal: ordinalField })),
    limit: optional(rowLimit),
  }),
};
