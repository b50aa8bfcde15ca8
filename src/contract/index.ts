export * from "./errors.ts";
export * from "./http-codes.ts";
export * from "./inputs.ts";
export * from "./interfaces.ts";
export * from "./job-queue.ts";
export * from "./records.ts";
export * from "./backend.ts";
export * from "./envelope.ts";
