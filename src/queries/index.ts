/**
 * Reads as data: the shape of each query, what a transaction guards and loads for it, and its
 * answer from the maps. Pure. Not here: the SQL that answers it from D1 (`store/`, under the same
 * name), and any write (`changes/`). Imports `model/` and `contract/`.
 */
export * from "./load-unit.ts";
export * from "./query.ts";
export { type AnnotationRowFilters } from "./records.ts";
export * from "./run-search.ts";
export { OUTBOX_READ_MAX, PAGE_ROWS } from "./members.ts";
