/**
 * Tells which transaction the running code belongs to. Calls that do not name theirs (`jobs`, and
 * `withTransaction` of the connection) join it. Platforms differ in what they can tell:
 * `async-local-chain.ts`, `client/browser-chain.ts`.
 */
import type { JoiningJobs } from "./transaction/joining-jobs.ts";

export interface CallChain<Transaction extends object> {
  /** What jobs take that join; null where no call does that does not name its transaction. */
  readonly joining: JoiningJobs | null;
  /** Wraps a whole transaction: every run of its callback, and its commit. */
  whole<T>(body: () => Promise<T>): Promise<T>;
  /** Wraps one run of the callback. All that it calls, now or later, belongs to `transaction`. */
  within<T>(transaction: Transaction, callback: () => Promise<T>): Promise<T>;
  /**
   * Null: the code belongs to no transaction. "unknown": one is open, and nobody can tell whether
   * the code belongs to it.
   */
  current(): Transaction | null | "unknown";
}
