/**
 * The call chain on a platform that does not follow it. All that is known is whether a transaction
 * is open. If none is, code belongs to none. If one is, code may be its callback, or have nothing
 * to do with it.
 */
import type { CallChain } from "../persistence/call-chain.ts";

export class BrowserChain<Transaction extends object> implements CallChain<Transaction> {
  readonly joining = null;
  #open = 0;

  async whole<T>(body: () => Promise<T>): Promise<T> {
    this.#open += 1;
    try {
      return await body();
    } finally {
      this.#open -= 1;
    }
  }

  within<T>(_transaction: Transaction, callback: () => Promise<T>): Promise<T> {
    return callback();
  }

  current(): null | "unknown" {
    return this.#open === 0 ? null : "unknown";
  }
}
