/**
 * What is written and read, as data. Here is nothing of zod: a client carries what is imported here. What the service checks arrivals
 * against is in `schemas.ts`.
 */
export * from "./attending.ts";
export type * from "./change.ts";
export type * from "./commit.ts";
export * from "./deadline.ts";
export type * from "./guard.ts";
export * from "./ids.ts";
export * from "./instant.ts";
export * from "./json.ts";
export * from "./json-shape.ts";
export * from "./limits.ts";
export * from "./long-text.ts";
export * from "./outbox-line.ts";
export * from "./outbox-record.ts";
export type * from "./query.ts";
export type * from "./rows.ts";
export * from "./rules.ts";
export * from "./run-search.ts";
export type * from "./runs-query.ts";
export * from "./scopes.ts";
export * from "./stamp.ts";
export * from "./text.ts";
export * from "./tokens.ts";
export * from "./wire.ts";
