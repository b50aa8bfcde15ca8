/**
 * A unit of work: what the three interfaces are written over. One kind acts at once
 * (`auto-commit.ts`), the other is a transaction (`transaction/transaction.ts`); a method cannot
 * tell which it runs in.
 */
import type { CallerChange, Change, Guard, RowGuard, Violation } from "../changes/index.ts";
import type { CallerQuery, Query, ResultsOf } from "../queries/index.ts";
import type { Stale } from "./stale-version.ts";

/** A write: what must hold, what changes, and what the caller is answered. */
export interface Write<
  Qs extends readonly Query[] = readonly [],
  C extends Change = CallerChange,
  G extends Guard = RowGuard,
> {
  /** All must hold, or nothing is written. Default: none. */
  readonly guards?: readonly G[];
  readonly changes: readonly C[];
  /** Reads that answer the caller, taken at the instant of the commit. They may name the commit. */
  readonly reads?: (commitId: string) => Qs;
}

/** What became of a write. */
export type Written<Qs extends readonly Query[] = readonly []> =
  | {
      readonly applied: true;
      readonly commitId: string;
      readonly results: ResultsOf<Qs>;
      /**
       * True when the first answer was lost: `results` were read later, and others may have written
       * in between.
       */
      readonly late: boolean;
    }
  | { readonly applied: false; readonly violation: Violation };

export interface UnitOfWork {
  /** Makes the connection's error for a stale version. */
  readonly stale: Stale;
  /**
   * Runs one call of the contract. A transaction refuses calls that are made after its callback has
   * ended.
   */
  call<T>(body: () => Promise<T>): Promise<T>;
  /** Milliseconds by the store's clock. */
  now(): Promise<number>;
  /** A new ordinal: it sorts after all that this isolate made before. */
  ordinal(now: number): string;
  /**
   * Changes that may land in several commits, cut to what one commit holds. A transaction is one
   * commit.
   */
  portions(changes: readonly CallerChange[]): readonly (readonly CallerChange[])[];
  /** Answers from one snapshot; in a transaction from its local copy. */
  read<const Qs extends readonly CallerQuery[]>(queries: Qs): Promise<ResultsOf<Qs>>;
  /** Writes whole or not at all; in a transaction to its local copy. */
  write<const Qs extends readonly CallerQuery[] = readonly []>(
    write: Write<Qs>,
  ): Promise<Written<Qs>>;
}
