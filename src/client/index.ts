/**
 * `workflow-engine-cloudflare/client`: ways to the service from another Worker, Node, Deno or Bun.
 * `connect` goes over a service binding, `connectHttp` and `watchEvents` over HTTP. Not here: what
 * the methods mean (`persistence/`), and the service's side (`rpc/`, `http/`). Imports
 * `persistence/`, `changes/`, `queries/`, `model/` and `contract/`; callers bundle all of it.
 * @example
 * import { connect } from "workflow-engine-cloudflare/client";
 *
 * const { persistence, jobs, aiCalls } = connect(env.WORKFLOWS, {
 *   waitUntil: (promise) => ctx.waitUntil(promise),
 * });
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
 * Opens a connection to the service behind a binding to its entrypoint `WorkflowEngine` (or
 * `WorkflowReader`, `WorkflowWorker`, which may do less). Make one per request: it holds one RPC
 * session, opened with the first call, and on Workers I/O belongs to the request that began it.
 * Opening costs nothing, and every 100 calls open another session.
 * @throws INVALID_ARGUMENT for options that are out of range.
 * @example
 * const { persistence } = connect(env.WORKFLOWS, { workerId: "my-app" });
 * const run = await persistence.getRun("run-1");
 */
export function connect(binding: WorkflowEngineBinding, options: ConnectionOptions = {}): Backend {
  return new Connection(new RpcStore(binding), options);
}

/**
 * Opens a connection to the service over its HTTP API, from anywhere: the same contract,
 * transactions included, since a commit is data. It keeps nothing open, so make as many as needed.
 * A call that the service turns away (OVERLOADED) is sent up to four times. Browsers get the
 * function of `browser.ts`, whose jobs cannot join a transaction.
 * @throws INVALID_ARGUMENT for a url or a token that cannot be one.
 * @example
 * const { jobs } = connectHttp({ url: "https://engine.example", token });
 * const job = await jobs.dequeue();
 */
export function connectHttp(options: HttpConnectionOptions): Backend {
  const { store, options: others } = openHttp(options);
  return new Connection(store, others);
}
