/** Composition: the store over a Worker's bindings, and the handlers of queue and cron. Not here: the doors (`rpc/`, `http/`), which import this. */
export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "./handlers.ts";
export { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
export { ALIVE, openWatch, PASSED_ON, PASSED_ON_UNITS, RECONNECT } from "./open-watch.ts";
