/**
 * A read as data. Each kind is described in the file of the rows that it reads, with its shape and,
 * where a transaction needs it, its answer from the maps. `memory/answers/` has the other answers,
 * and `store/` the SQL. Queries that are asked together see one snapshot.
 *
 * Lists with `bytesMax` end where the rows so far have that much long text or more; text of columns
 * in `omit` is not counted. The first row is always there. A caller that gets fewer rows than it
 * asked for has to ask for the next page.
 */
import { list, variants, shapesOf, type TypeOf, type Shape } from "../model/shape.ts";
import { READ_QUERIES_MAX } from "../model/limits.ts";
import { CALLER_QUERIES } from "./callers.ts";
import { engineQueries } from "./engine.ts";
import { storedQueries } from "./stored.ts";
import { sweepQueries } from "./sweep.ts";

/** Every kind of query under its name. */
export const QUERY_KINDS = {
  ...CALLER_QUERIES,
  ...storedQueries,
  ...engineQueries,
  ...sweepQueries,
};
type Kinds = typeof QUERY_KINDS;

export type QueryName = keyof Kinds;
/** The query of that name, with its members. */
export type QueryOf<K extends QueryName> = TypeOf<Kinds[K]["shape"]>;
export type Query = { [K in QueryName]: QueryOf<K> }[QueryName];
/** What each query answers. */
export type QueryResults = { [K in QueryName]: ReturnType<NonNullable<Kinds[K]["answer"]>> };
/** The queries that only a store answers. */
export type StoredName = {
  [K in QueryName]: null extends Kinds[K]["answer"] ? K : never;
}[QueryName];
/** What this query answers. */
export type ResultOf<Q extends Query> = QueryResults[Q["q"]];
/** The answers of a list of queries, each with its own type. */
export type ResultsOf<Qs extends readonly Query[]> = {
  -readonly [K in keyof Qs]: Qs[K] extends Query ? ResultOf<Qs[K]> : never;
};
/** The answer to a query that only run time knows. */
export type AnyResult = QueryResults[QueryName];

/** Queries that the maps answer wherever they are: a transaction's copy, or the in-memory store. */
export type LocalQuery = Exclude<Query, { readonly q: StoredName }>;

/** Any query, checked whole. */
export const query: Shape<Query> = variants("q", shapesOf(QUERY_KINDS));

/** Queries that are asked together, and so answered from one snapshot. */
export const queryList = list(query, READ_QUERIES_MAX);
