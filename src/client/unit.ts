/**
 * A unit of work: what the three interfaces are written over. One kind acts at once (`direct.ts`), the
 * other is a transaction (`transaction.ts`); a method cannot tell which it runs in.
 */
import type { AnyResult, Change, Guard, Query, ResultsOf, Violation } from "../changes/index.ts";

export interface Write {
  readonly guards?: readonly Guard[];
  readonly changes: readonly Change[];
  /** Reads that answer the caller, taken in the instant of the commit. */
  readonly reads?: (commitId: string) => readonly Query[];
}

export type Written =
  | {
      readonly applied: true;
      readonly commitId: string;
      readonly results: readonly AnyResult[];
      /** The first answer was lost: `results` were read later, and others may have written since. */
      readonly late: boolean;
    }
  | { readonly applied: false; readonly violation: Violation };

export interface Unit {
  /** Milliseconds by the store's clock. */
  now(): Promise<number>;
  ordinal(now: number): string;
  read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>>;
  write(write: Write): Promise<Written>;
}
