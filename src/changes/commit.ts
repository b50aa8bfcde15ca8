/**
 * A commit: guards and changes that are applied whole or not at all, and the reads that answer the caller,
 * taken in the same instant. Plain data: it travels over RPC and HTTP as it is.
 */
import * as z from "zod";
import { type Change, change } from "./change.ts";
import { listField } from "./fields.ts";
import { type Guard, guard, type Violation } from "./guard.ts";
import { COMMIT_ID_CHARS } from "./ids.ts";
import { COMMIT_GUARDS_MAX, TRANSACTION_CHANGES_MAX } from "./limits.ts";
import { type AnyResult, type Query, queryList, type ResultsOf } from "./query.ts";

export const commitIdField = z.string().regex(new RegExp(`^[0-9a-z]{${COMMIT_ID_CHARS}}$`));

export const commit = z.strictObject({
  id: commitIdField,
  guards: listField(guard, COMMIT_GUARDS_MAX),
  changes: listField(change, TRANSACTION_CHANGES_MAX),
  reads: queryList,
});
export interface Commit {
  readonly id: string;
  readonly guards: readonly Guard[];
  readonly changes: readonly Change[];
  readonly reads: readonly Query[];
}

/** What became of one attempt at a commit. An attempt that throws UNAVAILABLE may or may not have been applied. */
export type CommitOutcome =
  | { readonly applied: true; readonly results: AnyResult[] }
  | { readonly applied: false; readonly violation: Violation };

/**
 * What became of a commit whose answer was lost. `fenced`: it was not applied and now never will be, not even
 * by an attempt that is still under way. `unknown`: its row was written too often since to tell.
 */
export type Settlement = "applied" | "fenced" | "unknown";

/**
 * Where commits and reads go: D1, another Worker, or memory. The three interfaces of the contract are written
 * once, over this.
 */
export interface Store {
  /** Milliseconds by the store's clock. */
  now(): Promise<number>;
  /** Answers all queries from one snapshot. */
  read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>>;
  /** One attempt. Throws UNAVAILABLE when the outcome is unknown; {@link settle} then finds out. */
  attempt(commit: Commit): Promise<CommitOutcome>;
  settle(commit: Commit): Promise<Settlement>;
}
