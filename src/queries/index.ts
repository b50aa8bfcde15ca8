/**
 * Reads as data: the shape of each query, what a transaction guards and loads for it, and what it
 * answers from its copy. Pure. Not here: the SQL that answers it from D1 (`store/`, under the same
 * name), the answers that only the in-memory store gives (`memory/answers/`), and any write
 * (`changes/`). Imports `model/` and `contract/`.
 */
export { suspendedJobPlace, type SuspendedJobPlace } from "./jobs.ts";
export * from "./load-unit.ts";
export * from "./pages.ts";
export * from "./answer.ts";
export { type CallerQuery, type CarriedQuery, kindOfQuery, shapeOf } from "./callers.ts";
export * from "./query.ts";
export { annotationFilters, type AnnotationRowFilters } from "./records.ts";
export * from "./run-search.ts";
export type { StageInput } from "./engine.ts";
export { suspendedStagePlace, type SuspendedStagePlace } from "./stages.ts";
export { OUTBOX_READ_MAX, PAGE_ROWS } from "./members.ts";
