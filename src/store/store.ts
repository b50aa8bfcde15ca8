/** The store over D1. Knows nothing of coordinators: whoever attempts a commit here attempts it directly. */
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
import { commitBatch } from "./commit.ts";
import { DEADLINE_MS, overfullTable, runBatch, toServiceError } from "./d1.ts";
import { violationIn } from "./guards.ts";
import { answerFrom, queryStatements } from "./kinds.ts";
import { snakeCase } from "./schema.ts";
import { isFenced, settleStatements } from "./settlement.ts";

export interface D1StoreOptions {
  /** Milliseconds; default `Date.now`. */
  readonly now?: () => number;
  /** How long a call waits for D1 before its outcome counts as unknown. Default 20,000 ms. */
  readonly deadlineMs?: number;
  /**
   * What the queries of one call may answer together, in bytes; more is PAYLOAD_TOO_LARGE, and a commit with such reads is not applied.
   * Absent: whatever there is.
   */
  readonly answerBytesMax?: number | undefined;
}

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

  /** `answerBytesMax`: of this attempt's reads; default: the store's. */
  async attempt(
    commit: Commit,
    answerBytesMax: number | undefined = this.#answerBytesMax,
  ): Promise<CommitOutcome> {
    const { statements, readsFrom } = commitBatch(commit, answerBytesMax);
    try {
      const results = await runBatch(this.#db, statements, this.#deadlineMs);
      return { applied: true, results: answers(commit.reads, results.slice(readsFrom)) };
    } catch (error) {
      const message = messageOf(error);
      const violation = violationIn(message);
      if (violation !== null) return { applied: false, violation };
      if (isFenced(message)) {
        throw new ServiceError("UNAVAILABLE", "The commit was given up before it arrived");
      }
      const tooLarge = answerTooLarge(message, answerBytesMax);
      if (tooLarge !== null) throw tooLarge;
      const table = overfullTable(message);
      throw table === null ? toServiceError(error) : rowTooLarge(commit.changes, table, error);
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

/** Names the largest value that the commit sets on the table whose row does not fit. */
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
    `${field} does not fit: ${size} bytes, together with what the row holds already; the limit is ${ROW_BYTES_MAX} bytes a row`,
    { field, size, limit: ROW_BYTES_MAX },
    cause,
  );
}
