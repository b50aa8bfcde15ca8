/** Composition: the store over a Worker's bindings, and the handlers of queue and cron. Not here: the doors (`rpc/`, `http/`), which import this. */
export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "./handlers.ts";
export { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
export { ALIVE, openWatch, RESUME, WATCH_PROTOCOL } from "./open-watch.ts";
