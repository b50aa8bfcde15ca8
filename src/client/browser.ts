/**
 * `workflow-engine-cloudflare/client` as bundlers for browsers resolve it: without `connect`, since
 * browsers have no service bindings, and without `node:async_hooks`.
 * @example
 * import { connectHttp } from "workflow-engine-cloudflare/client";
 *
 * const { persistence } = connectHttp({ url: "https://engine.example", token });
 * const runs = await persistence.getRunsByStatus("RUNNING");
 */
import type { Backend } from "../contract/index.ts";
import { BrowserChain } from "./browser-chain.ts";
import { ConnectionCore } from "../persistence/connection-core.ts";
import { type HttpConnectionOptions, openHttp } from "./http-connection.ts";

export * from "../contract/index.ts";
export type { ConnectionOptions } from "../persistence/connection-core.ts";
export type { HttpConnectionOptions } from "./http-connection.ts";
export type { HttpStoreOptions } from "./http-store.ts";
export type { RetryOptions } from "../persistence/retry.ts";
export { watchEvents, type WatchOptions } from "./watch.ts";

/**
 * Opens a connection to the service over its HTTP API: the same contract as everywhere, with one
 * exception: a browser cannot know to which transaction a call belongs, unless the call says so.
 *
 * In a callback `tx` does all that it does elsewhere, and `tx.withTransaction` joins.
 * `persistence`, `aiCalls`, `jobs.dequeue`, `dequeueMany`, `releaseStaleJobs`, `jobStats` and
 * `getSuspendedJobsReadyToPoll` act at once, outside the transaction. While a transaction of the
 * connection is open, `persistence.withTransaction` and every other call of `jobs` are refused with
 * INVALID_ARGUMENT, wherever they are made, and nothing is written: to act at once could break the
 * transaction's atomicity, and to join could undo what has nothing to do with it. So jobs cannot
 * join a transaction here. When no transaction is open, everything works; work beside a transaction
 * needs a connection of its own. Code that a callback leaves running is, once its transaction has
 * ended, code like any other.
 * @throws INVALID_ARGUMENT for a url or a token that cannot be one.
 * @example
 * const { persistence } = connectHttp({ url: "https://engine.example", token });
 * await persistence.withTransaction(async (tx) => {
 *   const run = await tx.getRun("run-1");
 *   if (run?.status === "SUSPENDED") await tx.updateRun(run.id, { status: "CANCELLED" });
 * });
 */
export function connectHttp(options: HttpConnectionOptions): Backend {
  const { store, options: others } = openHttp(options);
  return new ConnectionCore(store, others, new BrowserChain());
}
