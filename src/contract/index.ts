/**
 * The contract with callers: records, inputs, the three interfaces, errors, the envelope of RPC.
 * Not here: how anything is stored or sent, and any check of a value (`model/`). Imports no other
 * folder; callers bundle it.
 */
export * from "./errors.ts";
export * from "./handler.ts";
export * from "./http-codes.ts";
export * from "./inputs.ts";
export * from "./interfaces.ts";
export * from "./job-queue.ts";
export * from "./records.ts";
export * from "./backend.ts";
export * from "./envelope.ts";
