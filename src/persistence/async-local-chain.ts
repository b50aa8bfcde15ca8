/** The call chain where the platform follows it: Workers, Node, Deno, Bun. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { CallChain } from "./call-chain.ts";

export class AsyncLocalChain<Transaction extends object> implements CallChain<Transaction> {
  readonly #running = new AsyncLocalStorage<Transaction>();

  whole<T>(body: () => Promise<T>): Promise<T> {
    return body();
  }

  within<T>(transaction: Transaction, callback: () => Promise<T>): Promise<T> {
    return this.#running.run(transaction, callback);
  }

  current(): Transaction | null {
    return this.#running.getStore() ?? null;
  }
}
