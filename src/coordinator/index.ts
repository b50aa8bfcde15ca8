/**
 * The Durable Object of a run, how commits reach it, and the WebSockets of those that watch the
 * run. Not here: any guarantee. They are in the guards of commits, in D1; a coordinator gives order
 * and speed. Imports `store/`, `changes/`, `queries/`, `model/` and `contract/`, and the platform.
 */
export { CoordinatedStore, type CoordinatorNamespace } from "./coordinated-store.ts";
export { type CoordinatorEnv, RunCoordinator } from "./run-coordinator.ts";
export {
  ALIVE,
  PASSED_ON,
  PASSED_ON_UNITS,
  RECONNECT,
  type Watch,
  watchRequest,
} from "./watch-protocol.ts";
