/**
 * `workflow-engine-cloudflare/client` as bundlers for browsers resolve it: without `connect`, since browsers have no service bindings, and
 * without `node:async_hooks`.
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
 * Opens a connection to the service over its HTTP API: the same contract as everywhere, but for what a browser cannot know, which is
 * whose transaction a call belongs to that does not say so.
 *
 * In a callback `tx` does all that it does elsewhere, `tx.withTransaction` joins, and `persistence`, `aiCalls`, `jobs.dequeue`,
 * `dequeueMany`, `releaseStaleJobs`, `jobStats` and `getSuspendedJobsReadyToPoll` act at once, outside it. While a transaction of the
 * connection is open, `persistence.withTransaction` and every other call of `jobs` are refused with INVALID_ARGUMENT, wherever they are
 * made, and nothing is written: acting at once could break the transaction's atomicity, joining could lose what has nothing to do with it.
 * So jobs cannot join a transaction here. When none is open, everything works; what goes on beside a transaction uses another connection.
 * What a callback leaves running is, after its transaction has ended in whatever way, code like any other.
 */
export function connectHttp(options: HttpConnectionOptions): Backend {
  const { store, options: others } = openHttp(options);
  return new ConnectionCore(store, others, new BrowserChain());
}
