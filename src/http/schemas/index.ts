/**
 * The API's records and inputs: what validates is what the OpenAPI document shows. Sizes are checked further in, where every way
 * in has the same limits; a schema here says what shape a thing has.
 */
export * from "./ai-calls.ts";
export * from "./common.ts";
export * from "./jobs.ts";
export * from "./outbox.ts";
export * from "./records.ts";
export * from "./runs.ts";
export * from "./stages.ts";
