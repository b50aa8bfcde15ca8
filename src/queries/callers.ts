/**
 * The kinds of queries that the methods of the contract ask. A caller carries these alone. Pure.
 */
import type { TypeOf } from "../model/shape.ts";
import { jobQueries } from "./jobs.ts";
import { idempotencyKeyQueries, outboxQueries } from "./outbox.ts";
import type { StoredKindOf } from "./query-kind.ts";
import { recordQueries } from "./records.ts";
import { runSearchQueries } from "./run-search.ts";
import { runQueries } from "./runs.ts";
import { stageQueries } from "./stages.ts";

export const CALLER_QUERIES = {
  ...runQueries,
  ...runSearchQueries,
  ...stageQueries,
  ...recordQueries,
  ...outboxQueries,
  ...idempotencyKeyQueries,
  ...jobQueries,
};
type Kinds = typeof CALLER_QUERIES;

/** A query that a method of the contract asks. */
export type CallerQuery = { [K in keyof Kinds]: TypeOf<Kinds[K]["shape"]> }[keyof Kinds];

/** The description of the query's kind. */
export function kindOfQuery({ q }: CallerQuery): StoredKindOf<CallerQuery, unknown> {
  // The kind under the name `q` takes the queries with that `q`, and this is one.
  return CALLER_QUERIES[q] as unknown as StoredKindOf<CallerQuery, unknown>;
}

export function isCallers(query: { readonly q: string }): query is CallerQuery {
  return Object.hasOwn(CALLER_QUERIES, query.q);
}
