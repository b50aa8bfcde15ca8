/** Queries over the in-memory State. What each answers is told in changes/query.ts. Pure. */
import type { AnyResult, Query, QueryOf, QueryResults, ResultOf } from "./index.ts";
import {
  cancelledJobs,
  claimedJobs,
  jobs,
  jobStates,
  jobStats,
  liveJob,
  overdueJobs,
  resumableJobs,
  staleJobs,
  suspendedJobs,
} from "./jobs.ts";
import {
  aiCallTotals,
  annotations,
  artifacts,
  deadLetters,
  outboxBacklog,
  page,
  unpublishedEvents,
  waitingEvents,
} from "./records.ts";
import {
  audit,
  pendingRuns,
  stageById,
  stages,
  stuckRuns,
  suspendedStages,
  unattendedStages,
  unhandledFailures,
  waitingRuns,
} from "./runs.ts";
import { runs } from "./run-search.ts";
import { lastOutboxEvent, type State } from "../model/state.ts";

type Answers = {
  readonly [K in Query["q"]]: (state: State, query: QueryOf<K>) => QueryResults[K];
};

const ANSWERS: Answers = {
  run: (state, { id }) => state.runs.get(id, "") ?? null,
  runStatus: (state, { id }) => state.runs.get(id, "")?.status ?? null,
  runs,
  pendingRuns,
  stuckRuns,
  stage: (state, { workflowRunId, stageId }) => state.stages.get(workflowRunId, stageId) ?? null,
  stageById,
  stages,
  suspendedStages,
  artifact: (state, { workflowRunId, key }) => state.artifacts.get(workflowRunId, key) ?? null,
  hasArtifact: (state, { workflowRunId, key }) =>
    state.artifacts.get(workflowRunId, key) !== undefined,
  artifacts,
  annotations,
  outboxEvent: (state, { workflowRunId, sequence }) =>
    state.outboxEvents.get(workflowRunId, String(sequence)) ?? null,
  outboxTail: (state, { workflowRunId }) => lastOutboxEvent(state, workflowRunId)?.sequence ?? 0,
  unpublishedEvents,
  outboxBacklog,
  deadLetters,
  idempotencyKey: (state, { key, commandType }) =>
    state.idempotencyKeys.get(key, commandType) ?? null,
  job: (state, { workflowRunId, ordinal }) => state.jobs.get(workflowRunId, ordinal) ?? null,
  jobs,
  liveJob,
  jobStates,
  jobStats,
  claimedJobs,
  overdueJobs,
  resumableJobs,
  waitingEvents,
  unattendedStages,
  waitingRuns,
  expired: (state, { keysBefore }) =>
    [...state.idempotencyKeys.all()].some(({ acquiredAt }) => acquiredAt < keysBefore) ? 1 : 0,
  audit,
  unhandledFailures,
  cancelledJobs,
  staleJobs,
  suspendedJobs,
  aiCallTotals,
  page,
  aiBatch: (state, { batchId }) => state.aiCalls.part(batchId).size > 0,
};

/** The query's answer. Its rows are those of the State itself, frozen. */
export function answer<Q extends Query>(state: State, query: Q): ResultOf<Q> {
  // TypeScript does not see that the function chosen by `query.q` takes this very query and returns
  // its result; the type of ANSWERS says so.
  const answerOf = ANSWERS[query.q] as (state: State, query: Q) => AnyResult;
  return answerOf(state, query) as ResultOf<Q>;
}
