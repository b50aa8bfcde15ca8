/**
 * How a Worker's bindings become a store, and the handlers of queue and cron. Not here: the
 * entrypoints of RPC and the HTTP API (`rpc/`, `http/`), which import this folder. Imports every
 * folder but `memory/`, `client/`, `rpc/`, `http/` and `testing/`.
 */
export { APPLY_MIGRATIONS, LACKS_TABLES } from "../store/not-migrated.ts";
export { declareStages, hasStages, lackOf } from "./bindings.ts";
export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "./handlers.ts";
export { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
export { ALIVE, openWatch, PASSED_ON, PASSED_ON_UNITS, RECONNECT } from "./open-watch.ts";
