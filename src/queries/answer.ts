/** Answers from the maps: a transaction's copy, or the in-memory store. Pure. */
import type { State } from "../model/state.ts";
import { kindOfQuery } from "./callers.ts";
import type { AnyResult, LocalQuery, Query, ResultOf, ResultsOf } from "./query.ts";

/** Whether a caller's own copy of the rows can answer the query. */
export function isLocal(query: Query): query is LocalQuery {
  return kindOfQuery(query).answer !== null;
}

/** The query's answer from the maps. */
export function answer<Q extends LocalQuery>(state: State, query: Q): ResultOf<Q> {
  return kindOfQuery(query).answer?.(state, query) as ResultOf<Q>;
}

/** Gives answers, which are in the order of their queries, the types that go with them. */
export function inOrderOf<const Qs extends readonly Query[]>(
  _queries: Qs,
  results: readonly AnyResult[],
): ResultsOf<Qs> {
  // A mapped type cannot be built member by member; every store answers in the order of the
  // queries.
  return results as unknown as ResultsOf<Qs>;
}
