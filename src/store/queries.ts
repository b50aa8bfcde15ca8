/** Every query's statement, and how its rows become the answer. */
import type { Status } from "../contract/index.ts";
import type { AnyResult, Query, RunRow } from "../changes/index.ts";
import { selectAiBatch, selectAiCallTotals } from "./ai-calls.ts";
import { selectAnnotations } from "./annotations.ts";
import { withinAnswer } from "./answer-limit.ts";
import { selectAudit } from "./audit.ts";
import { selectArtifact, selectArtifactExists, selectArtifacts } from "./artifacts.ts";
import { selectExpired, selectIdempotencyKey } from "./idempotency-keys.ts";
import {
  countCancelledJobs,
  countOverdueJobs,
  countResumableJobs,
  selectClaimedJobs,
  selectJob,
  selectJobs,
  selectJobStates,
  selectJobStats,
  selectLiveJob,
  selectStaleJobs,
  selectSuspendedJobs,
  selectUnhandledFailures,
} from "./job-queries.ts";
import {
  countWaitingEvents,
  selectDeadLetters,
  selectOutboxBacklog,
  selectOutboxEvent,
  selectOutboxTail,
  selectUnpublishedEvents,
} from "./outbox.ts";
import { selectPage } from "./pages.ts";
import {
  countWaitingRuns,
  selectPendingRuns,
  selectRun,
  selectRunStatus,
  selectStuckRuns,
} from "./runs.ts";
import { type FoundRun, selectRuns, toRunsPage } from "./run-search.ts";
import {
  selectStage,
  selectStageById,
  selectStages,
  selectSuspendedStages,
  selectUnattendedStages,
} from "./stages.ts";
import type { Statement } from "./sql.ts";

/** The statement of a query; with `bytesMax`, one that fails when its answer would be larger. */
export function queryStatement(query: Query, bytesMax?: number): Statement {
  const plain = plainStatement(query);
  return bytesMax === undefined ? plain : withinAnswer(query, plain, bytesMax);
}

/** The same of queries that are answered together: `bytesMax` is for all of them, in equal parts. */
export function queryStatements(queries: readonly Query[], bytesMax?: number): Statement[] {
  const each = bytesMax === undefined ? undefined : Math.floor(bytesMax / queries.length);
  return queries.map((query) => queryStatement(query, each));
}

function plainStatement(query: Query): Statement {
  switch (query.q) {
    case "run":
      return selectRun(query);
    case "runStatus":
      return selectRunStatus(query);
    case "runs":
      return selectRuns(query);
    case "pendingRuns":
      return selectPendingRuns(query);
    case "stuckRuns":
      return selectStuckRuns(query);
    case "stage":
      return selectStage(query);
    case "stageById":
      return selectStageById(query);
    case "stages":
      return selectStages(query);
    case "suspendedStages":
      return selectSuspendedStages(query);
    case "artifact":
      return selectArtifact(query);
    case "hasArtifact":
      return selectArtifactExists(query);
    case "artifacts":
      return selectArtifacts(query);
    case "annotations":
      return selectAnnotations(query);
    case "outboxEvent":
      return selectOutboxEvent(query);
    case "outboxTail":
      return selectOutboxTail(query);
    case "unpublishedEvents":
      return selectUnpublishedEvents(query);
    case "outboxBacklog":
      return selectOutboxBacklog(query);
    case "deadLetters":
      return selectDeadLetters(query);
    case "idempotencyKey":
      return selectIdempotencyKey(query);
    case "job":
      return selectJob(query);
    case "jobs":
      return selectJobs(query);
    case "liveJob":
      return selectLiveJob(query);
    case "jobStates":
      return selectJobStates(query);
    case "jobStats":
      return selectJobStats(query);
    case "claimedJobs":
      return selectClaimedJobs(query);
    case "overdueJobs":
      return countOverdueJobs(query);
    case "resumableJobs":
      return countResumableJobs(query);
    case "waitingEvents":
      return countWaitingEvents(query);
    case "unattendedStages":
      return selectUnattendedStages(query);
    case "waitingRuns":
      return countWaitingRuns(query);
    case "expired":
      return selectExpired(query);
    case "audit":
      return selectAudit(query);
    case "unhandledFailures":
      return selectUnhandledFailures(query);
    case "cancelledJobs":
      return countCancelledJobs(query);
    case "staleJobs":
      return selectStaleJobs(query);
    case "suspendedJobs":
      return selectSuspendedJobs(query);
    case "aiCallTotals":
      return selectAiCallTotals(query);
    case "aiBatch":
      return selectAiBatch(query);
    case "page":
      return selectPage(query);
  }
}

/**
 * The answer to a query from its rows. The one place where rows are taken at their word: the statements
 * select exactly the columns of the row types, under their names.
 */
export function answerFrom(query: Query, rows: readonly Record<string, unknown>[]): AnyResult {
  switch (query.q) {
    case "run":
    case "stage":
    case "stageById":
    case "artifact":
    case "outboxEvent":
    case "idempotencyKey":
    case "job":
    case "liveJob":
    case "jobStats":
      return (rows[0] ?? null) as RunRow | null;
    case "runs":
      return toRunsPage(query, rows as unknown as FoundRun[]);
    case "hasArtifact":
    case "aiBatch":
      return rows.length > 0;
    case "runStatus":
      return (rows[0]?.["status"] ?? null) as Status | null;
    case "outboxTail":
      return Number(rows[0]?.["sequence"]);
    case "cancelledJobs":
    case "overdueJobs":
    case "resumableJobs":
    case "waitingEvents":
    case "waitingRuns":
    case "expired":
      return Number(rows[0]?.["count"]);
    case "pendingRuns":
    case "stuckRuns":
    case "stages":
    case "suspendedStages":
    case "artifacts":
    case "annotations":
    case "unpublishedEvents":
    case "outboxBacklog":
    case "deadLetters":
    case "jobs":
    case "jobStates":
    case "claimedJobs":
    case "unattendedStages":
    case "page":
    case "audit":
    case "unhandledFailures":
    case "staleJobs":
    case "suspendedJobs":
    case "aiCallTotals":
      return rows as unknown as RunRow[];
  }
}
