/**
 * The store over D1: tables, the SQL of every change and query, the batch of a commit, the
 * settlement of lost answers. Not here: what a change or query means (`changes/`, `queries/`, under
 * the same names), and coordinators. Imports `changes/`, `queries/`, `model/` and `contract/`, and
 * Drizzle.
 */
export { D1Store } from "./store.ts";
