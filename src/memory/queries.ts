/** Queries over the in-memory State. What each answers is told in changes/query.ts. Pure. */
import type { AnyResult, Query, ResultOf } from "../changes/index.ts";
import { type Answers, HELD } from "./queries-held.ts";
import {
  claimedJobs,
  jobStates,
  jobStats,
  overdueJobs,
  resumableJobs,
  staleJobs,
  suspendedJobs,
} from "./queries-jobs.ts";
import {
  aiCallTotals,
  deadLetters,
  outboxBacklog,
  page,
  unpublishedEvents,
  waitingEvents,
} from "./queries-records.ts";
import {
  audit,
  pendingRuns,
  stuckRuns,
  suspendedStages,
  unattendedStages,
  unhandledFailures,
  waitingRuns,
} from "./queries-runs.ts";
import { runs } from "./run-search.ts";
import type { State } from "./state.ts";

const ANSWERS: Answers<Query["q"]> = {
  ...HELD,
  runs,
  pendingRuns,
  stuckRuns,
  suspendedStages,
  unpublishedEvents,
  outboxBacklog,
  deadLetters,
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
