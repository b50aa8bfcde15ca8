import type { Store } from "../changes/index.ts";
import { AsyncLocalChain } from "./async-local-chain.ts";
import { ConnectionCore, type CoreOptions } from "./connection-core.ts";

export type { ConnectionOptions } from "./connection-core.ts";

/** A connection whose `jobs` and `withTransaction` find the transaction that they are called in: everywhere but in browsers. */
export class Connection extends ConnectionCore {
  constructor(store: Store, options?: CoreOptions) {
    super(store, options, new AsyncLocalChain());
  }
}
