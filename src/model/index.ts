/**
 * What rows and values are: ids, instants, JSON, text, limits, and the shapes that check them.
 * Pure. Not here: what changes a row (`changes/`), what a query answers (`queries/`), SQL
 * (`store/`). Imports `contract/` alone. Shapes, orders and the maps stand in files of their own,
 * imported by name.
 */
export * from "./deadline.ts";
export * from "./ids.ts";
export * from "./instant.ts";
export * from "./json.ts";
export * from "./json-numbers.ts";
export * from "./json-shape.ts";
export * from "./limits.ts";
export * from "./outbox-record.ts";
export * from "./rows.ts";
export * from "./text.ts";
