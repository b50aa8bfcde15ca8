/** The call chain on platforms that follow it: Workers, Node, Deno, Bun. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { CallChain } from "./call-chain.ts";
import { joiningJobs } from "./transaction/joining-jobs.ts";

/** Knows the transaction of every call, however many transactions run side by side. */
export class AsyncLocalChain<Transaction extends object> implements CallChain<Transaction> {
  readonly joining = joiningJobs;
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
