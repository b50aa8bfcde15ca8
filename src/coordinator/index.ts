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
