/**
 * Writes as data: each kind of change, guards, the commits made of them, and the scopes that they
 * need. Pure. Not here: the SQL of a change (`store/`, under the same name), and how a commit
 * travels (`client/`, `rpc/`, `http/`). Imports `queries/`, `model/` and `contract/`.
 */
export { applyChanges, type Effects } from "./apply.ts";
export { type CallerChange, kindOfCallers } from "./callers.ts";
export * from "./change.ts";
export { servedKind } from "./served.ts";
export { type Trace, WAKE_UP_KINDS, type WakeUp, type WakeUpKind } from "./served-kind.ts";
export * from "./commit.ts";
export type { Guard, RowGuard } from "./guard.ts";
export * from "./guarded.ts";
export { type RetryBackoff } from "./jobs.ts";
export { runsOf } from "./outbox.ts";
export * from "./wire.ts";
export * from "./scope.ts";
export * from "./authorization.ts";
export * from "./stamp.ts";
