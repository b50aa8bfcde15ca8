/**
 * `workflow-engine-cloudflare/client`: what a Worker imports that calls the service over a service binding.
 * @example
 * const { persistence, jobs, aiCalls } = connect(env.WORKFLOWS, { waitUntil: (p) => ctx.waitUntil(p) });
 */
import type { Backend } from "../contract/index.ts";
import { Connection, type ConnectionOptions } from "../persistence/connection.ts";
import { type HttpConnectionOptions, openHttp } from "./http-connection.ts";
import { RpcStore, type WorkflowEngineBinding } from "./rpc-store.ts";

export * from "../contract/index.ts";
export type { ConnectionOptions } from "../persistence/connection.ts";
export type { HttpConnectionOptions } from "./http-connection.ts";
export type { HttpStoreOptions } from "./http-store.ts";
export type { RetryOptions } from "../persistence/retry.ts";
export type { EngineSessionStub, WorkflowEngineBinding } from "./rpc-store.ts";
export { watchEvents, type WatchOptions } from "./watch.ts";

/**
 * Opens a connection to the service behind a binding to its entrypoint `WorkflowEngine`. Make one per request: it
 * holds one RPC session, opened with the first call, and I/O belongs to the request that started it.
 */
export function connect(binding: WorkflowEngineBinding, options: ConnectionOptions = {}): Backend {
  return new Connection(new RpcStore(binding), options);
}

/**
 * Opens a connection to the service over its HTTP API, from anywhere: the same contract, transactions included, since a commit is
 * data. It keeps nothing open; make as many as you like. Browsers get the one of `browser.ts`, whose jobs cannot join a transaction.
 * @throws INVALID_ARGUMENT for a url or a token that cannot be one.
 */
export function connectHttp(options: HttpConnectionOptions): Backend {
  const { store, options: others } = openHttp(options);
  return new Connection(store, others);
}
