/**
 * What the queries answer that a client never answers itself. Each stands in the file of what it
 * reads, under the name of its kind in `queries/`.
 */
import type { State } from "../../model/state.ts";
import type { QueryOf, QueryResults, StoredName } from "../../queries/index.ts";

/** The answers from the maps to the queries that only a store answers. */
export type StoredAnswers = {
  readonly [K in StoredName]: (state: State, query: QueryOf<K>) => QueryResults[K];
};

/** The answers that a store cuts to the bytes and the columns that are asked for. */
export type CutAnswers = {
  readonly [K in "stages" | "annotations" | "unpublishedEvents"]: (
    state: State,
    query: QueryOf<K>,
  ) => QueryResults[K];
};
