/**
 * Queries of one run's rows, or of one key's: those that a transaction's local copy answers. What each answers is told in
 * changes/query.ts. Pure.
 */
import type { AnyResult, Query, QueryOf, QueryResults } from "../changes/index.ts";
import { cancelledJobs, jobs, liveJob } from "./queries-jobs.ts";
import { annotations, artifacts } from "./queries-records.ts";
import { stageById, stages } from "./queries-runs.ts";
import { lastOutboxEvent, type State } from "./state.ts";

export type Answers<Q extends Query["q"]> = {
  readonly [K in Q]: (state: State, query: QueryOf<K>) => QueryResults[K];
};

export const HELD = {
  run: (state, { id }) => state.runs.get(id, "") ?? null,
  runStatus: (state, { id }) => state.runs.get(id, "")?.status ?? null,
  stage: (state, { workflowRunId, stageId }) => state.stages.get(workflowRunId, stageId) ?? null,
  stageById,
  stages,
  artifact: (state, { workflowRunId, key }) => state.artifacts.get(workflowRunId, key) ?? null,
  hasArtifact: (state, { workflowRunId, key }) =>
    state.artifacts.get(workflowRunId, key) !== undefined,
  artifacts,
  annotations,
  outboxEvent: (state, { workflowRunId, sequence }) =>
    state.outboxEvents.get(workflowRunId, String(sequence)) ?? null,
  outboxTail: (state, { workflowRunId }) => lastOutboxEvent(state, workflowRunId)?.sequence ?? 0,
  idempotencyKey: (state, { key, commandType }) =>
    state.idempotencyKeys.get(key, commandType) ?? null,
  job: (state, { workflowRunId, ordinal }) => state.jobs.get(workflowRunId, ordinal) ?? null,
  jobs,
  liveJob,
  cancelledJobs,
} satisfies Partial<Answers<Query["q"]>>;

export type HeldQuery = QueryOf<keyof typeof HELD>;

export function isHeld(query: Query): query is HeldQuery {
  return Object.hasOwn(HELD, query.q);
}

export function answerHeld(state: State, query: HeldQuery): AnyResult {
  // TypeScript does not see that the function chosen by `query.q` takes this very query.
  const answerOf = HELD[query.q] as (state: State, query: HeldQuery) => AnyResult;
  return answerOf(state, query);
}
