/**
 * Values: rows and their columns, ids, instants, JSON, text, limits, and the maps that hold rows.
 * Not here: the reads (`queries/`) and the writes (`changes/`) that use them. Imports `contract/`
 * alone.
 */
export * from "./columns.ts";
export * from "./deadline.ts";
export * from "./defined.ts";
export * from "./due-times.ts";
export * from "./ids.ts";
export * from "./instant.ts";
export * from "./json.ts";
export * from "./json-numbers.ts";
export * from "./json-shape.ts";
export * from "./limits.ts";
export * from "./next-signal.ts";
export * from "./records.ts";
export * from "./rows.ts";
export * from "./stage-jobs.ts";
export * from "./text.ts";
