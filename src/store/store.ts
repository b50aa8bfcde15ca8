/**
 * The store over D1. It knows nothing of coordinators: an attempt here goes straight to the
 * database.
 */
import { ServiceError } from "../contract/index.ts";
import {
  type Change,
  type Commit,
  type CommitOutcome,
  kindOfChange,
  type Settlement,
  type Store,
} from "../changes/index.ts";
import { measureRow, messageOf, ROW_BYTES_MAX } from "../model/index.ts";
import { type AnyResult, inOrderOf, type Query, type ResultsOf } from "../queries/index.ts";
import { answerTooLarge } from "./answer-limit.ts";
import { commitBatch, watchedIn } from "./commit.ts";
import { DEADLINE_MS, overfullTable, runBatch, toServiceError } from "./d1.ts";
import { violationIn } from "./guards.ts";
import { answerFrom, queryStatements } from "./kinds.ts";
import { snakeCase } from "./names.ts";
import { isFenced, settleStatements } from "./settlement.ts";
import { markWatched } from "./watched-runs.ts";

/** How the store reaches its database. */
export interface D1StoreOptions {
  /** The clock, in milliseconds. Default `Date.now`. */
  readonly now?: () => number;
  /**
   * After this many milliseconds without an answer of D1 the outcome counts as unknown. Default
   * 20,000.
   */
  readonly deadlineMs?: number;
  /**
   * What the queries of one call may answer together, in bytes. More is PAYLOAD_TOO_LARGE, and a
   * commit with such reads is not applied. Default: no bound.
   */
  readonly answerBytesMax?: number | undefined;
}

/** An attempt, and what it told of runs that are watched. */
export interface Attempted {
  readonly outcome: CommitOutcome;
  /** Those of the runs that were asked for that somebody watches; none if it was not applied. */
  readonly watched: readonly string[];
}

/** Every method is one batch, and so one round trip and one transaction. */
export class D1Store implements Store {
  readonly #db: D1Database;
  readonly #now: () => number;
  readonly #deadlineMs: number;
  readonly #answerBytesMax: number | undefined;

  constructor(db: D1Database, options: D1StoreOptions = {}) {
    this.#db = db;
    this.#now = options.now ?? Date.now;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#answerBytesMax = options.answerBytesMax;
  }

  async now(): Promise<number> {
    return this.#now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    if (queries.length === 0) return inOrderOf(queries, []);
    try {
      const statements = queryStatements(queries, this.#answerBytesMax);
      const results = await runBatch(this.#db, statements, this.#deadlineMs);
      return inOrderOf(queries, answers(queries, results));
    } catch (error) {
      throw answerTooLarge(messageOf(error), this.#answerBytesMax) ?? toServiceError(error);
    }
  }

  /**
   * Tries the commit as one batch.
   * @param answerBytesMax bounds the reads of this attempt; default: the store's bound.
   */
  async attempt(
    commit: Commit,
    answerBytesMax: number | undefined = this.#answerBytesMax,
  ): Promise<CommitOutcome> {
    const { outcome } = await this.#attempt(commit, answerBytesMax, []);
    return outcome;
  }

  /** The same, and tells which of these runs are watched as the commit lands. */
  async attemptTelling(commit: Commit, runs: readonly string[]): Promise<Attempted> {
    return this.#attempt(commit, this.#answerBytesMax, runs);
  }

  async #attempt(
    commit: Commit,
    answerBytesMax: number | undefined,
    among: readonly string[],
  ): Promise<Attempted> {
    const { statements, readsFrom } = commitBatch(commit, answerBytesMax, among);
    try {
      const results = await runBatch(this.#db, statements, this.#deadlineMs);
      return {
        outcome: { applied: true, results: answers(commit.reads, results.slice(readsFrom)) },
        watched: watchedIn(results[0] ?? [], among),
      };
    } catch (error) {
      const message = messageOf(error);
      const violation = violationIn(message);
      if (violation !== null) return { outcome: { applied: false, violation }, watched: [] };
      if (isFenced(message)) {
        throw new ServiceError("UNAVAILABLE", "The commit was given up before it arrived");
      }
      const tooLarge = answerTooLarge(message, answerBytesMax);
      if (tooLarge !== null) throw tooLarge;
      const table = overfullTable(message);
      throw table === null ? toServiceError(error) : rowTooLarge(commit.changes, table, error);
    }
  }

  /**
   * Marks the run as watched for some minutes: {@link attemptTelling} tells of it from now on, or,
   * if it landed earlier, its events can be read.
   */
  async markWatched(workflowRunId: string): Promise<void> {
    try {
      await runBatch(this.#db, [markWatched(workflowRunId)], this.#deadlineMs);
    } catch (error) {
      throw toServiceError(error);
    }
  }

  async settle(commit: Commit): Promise<Settlement> {
    try {
      const results = await runBatch(this.#db, settleStatements(commit), this.#deadlineMs);
      return settlementOf(results.at(-1)?.[0]?.["outcome"]);
    } catch (error) {
      throw toServiceError(error);
    }
  }
}

function answers(
  queries: readonly Query[],
  results: readonly Record<string, unknown>[][],
): AnyResult[] {
  return queries.map((query, index) => answerFrom(query, results[index] ?? []));
}

function settlementOf(outcome: unknown): Settlement {
  if (outcome === "applied" || outcome === "fenced" || outcome === "unknown") return outcome;
  throw new ServiceError("INTERNAL", `wfe-settlement-missing: ${String(outcome)}`);
}

/** Names the largest value that the commit sets in the table whose row does not fit. */
function rowTooLarge(changes: readonly Change[], table: string, cause: unknown): ServiceError {
  let size = 0;
  let field = table;
  for (const change of changes) {
    for (const written of kindOfChange(change).texts(change)) {
      if (snakeCase(written.table) !== table) continue;
      const measured = measureRow(written.table, written.values);
      if (measured.size >= size) ({ size, field } = measured);
    }
  }
  return new ServiceError(
    "PAYLOAD_TOO_LARGE",
    `${field} does not fit: ${size} bytes, beside what its row already holds; the limit is ${ROW_BYTES_MAX} bytes a row`,
    { field, size, limit: ROW_BYTES_MAX },
    cause,
  );
}
