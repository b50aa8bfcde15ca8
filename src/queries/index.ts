/** Reads as data: the shape of each query, and its answer from the maps. Not here: SQL (`store/`). Imports `model/` and `contract/`. */
export * from "./load-unit.ts";
export * from "./query.ts";
export { annotationFilters, type AnnotationRowFilters } from "./records.ts";
export * from "./run-search.ts";
export { OUTBOX_READ_MAX, PAGE_ROWS } from "./members.ts";
