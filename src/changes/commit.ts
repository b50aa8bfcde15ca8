/**
 * A commit: guards and changes that are applied whole or not at all, and reads that answer the
 * caller, taken at the same instant. It is plain data and travels over RPC and HTTP as it is.
 */
import { object, text, list } from "../model/shape.ts";
import { type Change, change } from "./change.ts";
import { type Guard, guard } from "./guard.ts";
import type { Violation } from "./guarded.ts";
import { COMMIT_ID_CHARS } from "../model/ids.ts";
import { COMMIT_CHANGES_MAX, COMMIT_GUARDS_MAX } from "../model/limits.ts";
import { type AnyResult, type Query, queryList, type ResultsOf } from "../queries/query.ts";

const COMMIT_ID = new RegExp(`^[0-9a-z]{${COMMIT_ID_CHARS}}$`);
const commitIdField = text((id) =>
  COMMIT_ID.test(id) ? null : { message: `must be ${COMMIT_ID_CHARS} characters of 0-9a-z` },
);

export const commit = object({
  id: commitIdField,
  guards: list(guard, COMMIT_GUARDS_MAX),
  changes: list(change, COMMIT_CHANGES_MAX),
  reads: queryList,
});
/** A commit. Its id is made by the caller and never used again: by it a lost answer is settled. */
export interface Commit {
  readonly id: string;
  readonly guards: readonly Guard[];
  readonly changes: readonly Change[];
  readonly reads: readonly Query[];
}

/**
 * The outcome of one attempt at a commit. An attempt that throws UNAVAILABLE may or may not have
 * been applied.
 */
export type CommitOutcome =
  | { readonly applied: true; readonly results: AnyResult[] }
  | { readonly applied: false; readonly violation: Violation };

/**
 * What became of a commit whose answer was lost.
 * - `applied`: it was applied.
 * - `fenced`: it was not, and now it never will be, not even by an attempt that is still under way.
 * - `unknown`: its row was written too often since then to tell.
 */
export type Settlement = "applied" | "fenced" | "unknown";

/**
 * Where commits and reads go: D1, another Worker, or the maps. The three interfaces of the contract
 * are written once, over this. Every method may throw OVERLOADED (nothing was done) and UNAVAILABLE
 * (nobody knows).
 * @example
 * const outcome = await store.attempt(commit);
 * if (!outcome.applied) console.log("guard", outcome.violation.guard, "does not hold");
 */
export interface Store {
  /** Milliseconds by the store's clock. */
  now(): Promise<number>;
  /**
   * Answers all queries from one snapshot, in their order.
   * @throws PAYLOAD_TOO_LARGE when the answers are more than one message holds; asking for less
   * helps.
   */
  read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>>;
  /** Tries the commit once. After UNAVAILABLE, {@link settle} finds out what became of it. */
  attempt(commit: Commit): Promise<CommitOutcome>;
  /**
   * Finds out what became of the commit. The answer is final: after `fenced`, no attempt at it can
   * land.
   */
  settle(commit: Commit): Promise<Settlement>;
  /**
   * Waits for the run's events. Resolves when one of them tells that the run has ended, or after this
   * time. Absent: nothing tells of it.
   */
  whenOver?(workflowRunId: string, withinMs: number): Promise<void>;
  /** Where else the events of its runs can be heard. */
  readonly streams?: EventStreams;
}

/** The HTTP API's streams of events, and how they are reached. */
export interface EventStreams {
  readonly url: string;
  readonly token: string;
  readonly fetch?: (request: Request) => Promise<Response>;
  readonly signal?: AbortSignal;
}
