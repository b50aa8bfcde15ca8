/**
 * The API's records and inputs. The schema that validates is the one that the OpenAPI document
 * shows. A schema says which shape a value has; its size is checked in `persistence/` and
 * `changes/`, so that every way in has the same limits. Not here: bodies
 * that only one route has (`http/routes/`). Imports `queries/`, `model/` and `contract/`, and Zod.
 */
export * from "./ai-calls.ts";
export * from "./common.ts";
export * from "./jobs.ts";
export * from "./outbox.ts";
export * from "./records.ts";
export * from "./runs.ts";
export * from "./stages.ts";
