/** The contract over a Worker's own bindings, in process. */
import { Connection, type ConnectionOptions } from "./persistence/connection.ts";
import type { Backend } from "./contract/index.ts";
import { openStore, type WorkflowEngineEnv } from "./worker/index.ts";

export * from "./contract/index.ts";
export { RunCoordinator } from "./coordinator/index.ts";
export type { DispatchVars, WakeUpQueue } from "./queue/index.ts";
export type { WorkflowEngineEnv } from "./worker/index.ts";
export { WorkflowEngine, WorkflowReader, WorkflowWorker } from "./rpc/workflow-engine.ts";
export type { SweepReport } from "./schedule/index.ts";
export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "./worker/index.ts";
export type { ConnectionOptions } from "./persistence/connection.ts";
export type { RetryOptions } from "./persistence/retry.ts";

export interface EmbedOptions extends ConnectionOptions {
  /** Milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Opens a connection in a Worker that has the bindings itself: `DB`, the D1 database with the migrations applied, and
 * `RUNS`, the namespace of the Durable Object class `RunCoordinator`, which that Worker exports. Make one per request.
 * With the queue `JOBS` bound, and a `HANDLER` bound or the variable `WAKE_UPS` "on", its commits wake the queue's consumer; hand over
 * `waitUntil` so that no call waits for that.
 */
export function embed(env: WorkflowEngineEnv, { now, ...options }: EmbedOptions = {}): Backend {
  return new Connection(openStore(env, { now, waitUntil: options.waitUntil }), options);
}
