/**
 * Which transaction the code that is running belongs to. Calls that do not name theirs (`jobs`, and `withTransaction` of the connection)
 * join it. Platforms differ in what they can tell: `async-local-chain.ts`, `browser-chain.ts`.
 */
export interface CallChain<Transaction extends object> {
  /** Goes around a whole transaction: every run of its callback, and its commit. */
  whole<T>(body: () => Promise<T>): Promise<T>;
  /** Goes around one run of its callback. What that calls, now or later, belongs to `transaction`. */
  within<T>(transaction: Transaction, callback: () => Promise<T>): Promise<T>;
  /** Null: it belongs to none. "unknown": some are open, and nobody can tell. */
  current(): Transaction | null | "unknown";
}
