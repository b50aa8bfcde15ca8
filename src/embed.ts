/**
 * `workflow-engine-cloudflare`: the contract over a Worker's own bindings, in process, and the
 * classes and handlers that such a Worker exports. Wiring only; everything in here is made in the
 * folders beside it.
 */
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

/**
 * How the connection of an embedding Worker acts.
 * @example
 * const options: EmbedOptions = { now: () => 1_800_000_000_000, workerId: "tests" };
 */
export interface EmbedOptions extends ConnectionOptions {
  /** The clock, in milliseconds. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * Whether its commits wake the queue's consumer: true where this Worker works jobs or stages itself;
   * then `JOBS` must be bound. Default: if a `HANDLER` is bound, the variable `WAKE_UPS` is "on", or this
   * Worker has an `engine`.
   */
  readonly wakes?: boolean;
}

/**
 * Opens a connection in a Worker that has the bindings itself: `DB`, the D1 database with the
 * migrations applied, and `RUNS`, the namespace of the Durable Object class `RunCoordinator`, which
 * that Worker exports. Make one per request; opening costs nothing.
 *
 * With the queue `JOBS` bound, its commits wake the queue's consumer if a `HANDLER` is bound, the variable
 * `WAKE_UPS` is "on", or this Worker has an `engine`; `wakes` says otherwise. Give it `waitUntil`, so that
 * no call waits for that.
 * @throws INVALID_ARGUMENT for a binding that is missing, with the lines that bind it; and for options or
 * variables that are out of range.
 * @example
 * import { embed, type WorkflowEngineEnv } from "workflow-engine-cloudflare";
 *
 * export default {
 *   async fetch(_request, env, ctx) {
 *     const { persistence } = embed(env, { waitUntil: (promise) => ctx.waitUntil(promise) });
 *     return Response.json(await persistence.getRunsByStatus("RUNNING"));
 *   },
 * } satisfies ExportedHandler<WorkflowEngineEnv>;
 */
export function embed(
  env: WorkflowEngineEnv,
  { now, wakes, ...options }: EmbedOptions = {},
): Backend {
  return new Connection(openStore(env, { now, wakes, waitUntil: options.waitUntil }), options);
}
