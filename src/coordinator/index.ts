export {
  CoordinatedStore,
  type CoordinatorNamespace,
  type CoordinatorStub,
} from "./coordinated-store.ts";
export { type CoordinatorEnv, RunCoordinator } from "./run-coordinator.ts";
export { ALIVE, RESUME, type Watch, WATCH_PROTOCOL, watchRequest } from "./watch-protocol.ts";
