/** Writes as data: each kind of change, guards, and commits of them. Not here: SQL (`store/`). Imports `queries/`, `model/` and `contract/`. */
export * from "./change.ts";
export { type Trace, type WakeUp } from "./change-kind.ts";
export * from "./commit.ts";
export * from "./guard.ts";
export { type RetryBackoff } from "./jobs.ts";
export { runsOf } from "./outbox.ts";
export * from "./wire.ts";
export * from "./scope.ts";
export * from "./scopes.ts";
export * from "./stamp.ts";
