/** The contract over a Worker's own bindings, in process. */
import { Connection, type ConnectionOptions } from "./client/connection.ts";
import type { Backend } from "./contract/index.ts";
import { CoordinatedStore } from "./coordinator/index.ts";
import type { WorkflowEngineEnv } from "./rpc/workflow-engine.ts";
import { D1Store } from "./store/index.ts";

export * from "./contract/index.ts";
export { RunCoordinator } from "./coordinator/index.ts";
export { WorkflowEngine, type WorkflowEngineEnv } from "./rpc/workflow-engine.ts";
export type { ConnectionOptions } from "./client/connection.ts";

export interface EmbedOptions extends ConnectionOptions {
  /** Milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Opens a connection in a Worker that has the bindings itself: `DB`, the D1 database with the migrations applied, and
 * `RUNS`, the namespace of the Durable Object class `RunCoordinator`, which that Worker exports. Make one per request.
 */
export function embed(env: WorkflowEngineEnv, { now, ...options }: EmbedOptions = {}): Backend {
  const direct = new D1Store(env.DB, now === undefined ? {} : { now });
  return new Connection(new CoordinatedStore(direct, env.RUNS), options);
}
