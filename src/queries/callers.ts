/**
 * The kinds of queries that the methods of the contract ask. A caller carries those alone that it
 * checks, or that a transaction answers; `stored.ts` has the others. Pure.
 */
import type { Shape, TypeOf } from "../model/shape.ts";
import { jobQueries } from "./jobs.ts";
import { idempotencyKeyQueries, outboxQueries } from "./outbox.ts";
import { type StoredKindOf, unguarded } from "./query-kind.ts";
import { recordQueries } from "./records.ts";
import { runQueries } from "./runs.ts";
import { stageQueries } from "./stages.ts";
import type { storedQueries } from "./stored.ts";

export const CALLER_QUERIES = {
  ...runQueries,
  ...stageQueries,
  ...recordQueries,
  ...outboxQueries,
  ...idempotencyKeyQueries,
  ...jobQueries,
};
type Carried = typeof CALLER_QUERIES;
type Kinds = Carried & typeof storedQueries;

/** A query that a method of the contract asks. */
export type CallerQuery = { [K in keyof Kinds]: TypeOf<Kinds[K]["shape"]> }[keyof Kinds];
/** A query that a caller can check. */
export type CarriedQuery = { [K in keyof Carried]: TypeOf<Carried[K]["shape"]> }[keyof Carried];

type KindOf<Q> = StoredKindOf<Q, unknown>;

/** What is known of a query that callers do not carry. */
const STORED: Omit<KindOf<CallerQuery>, "shape"> = {
  sees: unguarded,
  loads: unguarded,
  answer: null,
};

function isCarried(query: { readonly q: string }): query is CarriedQuery {
  return Object.hasOwn(CALLER_QUERIES, query.q);
}

/** The shape of the query. */
export function shapeOf({ q }: CarriedQuery): Shape<unknown> {
  return CALLER_QUERIES[q].shape;
}

/** What a transaction has to know of the query. */
export function kindOfQuery(query: { readonly q: string }): typeof STORED {
  // The kind under the name `q` takes the queries with that `q`, and this is one.
  return isCarried(query) ? (CALLER_QUERIES[query.q] as unknown as typeof STORED) : STORED;
}
