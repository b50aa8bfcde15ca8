/**
 * The three interfaces over a store: what each method means, and transactions (`transaction/`). Not
 * here: where commits go (`client/`, `store/`), and what a change does to rows (`changes/`).
 * Imports `memory/`, `changes/`, `queries/`, `model/` and `contract/`. Callers bundle it, so it
 * stays small.
 */
import type { Store } from "../changes/index.ts";
import { AsyncLocalChain } from "./async-local-chain.ts";
import { ConnectionCore, type CoreOptions } from "./connection-core.ts";

export type { ConnectionOptions } from "./connection-core.ts";

/**
 * A connection whose `jobs` and `withTransaction` find the transaction that they are called in:
 * everywhere but in browsers. It keeps nothing open itself, so a Worker makes one per request.
 */
export class Connection extends ConnectionCore {
  constructor(store: Store, options?: CoreOptions) {
    super(store, options, new AsyncLocalChain());
  }
}
