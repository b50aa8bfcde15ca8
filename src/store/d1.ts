/** How a batch reaches D1, and what its failures mean. */
import { isServiceError, ServiceError } from "../contract/index.ts";
import { messageOf, withDeadline } from "../model/index.ts";
import { LACKS_TABLES, saysNotMigrated } from "./not-migrated.ts";
import type { Statement } from "./sql.ts";

/** A call that D1 has not answered after this time is given up. Its outcome is unknown then. */
export const DEADLINE_MS = 20_000;

/**
 * Runs the statements as one transaction, in one round trip. Answers the rows of each.
 * @throws what D1 throws; UNAVAILABLE when it does not answer in time.
 */
export async function runBatch(
  db: D1Database,
  statements: readonly Statement[],
  deadlineMs: number,
): Promise<Record<string, unknown>[][]> {
  const prepared = statements.map(({ sql, params }) => db.prepare(sql).bind(...params));
  const results = await withDeadline(db.batch<Record<string, unknown>>(prepared), deadlineMs, "D1");
  return results.map((result) => result.results);
}

/**
 * D1 turns a call away with these before it runs anything.
 * https://developers.cloudflare.com/d1/observability/debug-d1/
 */
const OVERLOADED = /overloaded|too many requests queued|queued for too long/i;
/** The statement itself is wrong. The batch was rolled back. */
const STATEMENT_AT_FAULT =
  /SQLITE_(?:ERROR|CONSTRAINT|MISMATCH|RANGE)|D1_TYPE_ERROR|too many SQL variables/;
const TOO_BIG = /SQLITE_TOOBIG|string or blob too big/;
const ROW_DOES_NOT_FIT = /CHECK constraint failed: (\w+)_row_fits/;

/** The table whose CHECK found a row too large, or null. */
export function overfullTable(message: string): string | null {
  return ROW_DOES_NOT_FIT.exec(message)?.[1] ?? null;
}

/**
 * A failure of D1 as an error with a code. D1's errors have only a message. Unless it is certain
 * that the batch was rolled back, the outcome is unknown: UNAVAILABLE.
 */
export function toServiceError(error: unknown): ServiceError {
  if (isServiceError(error)) return error;
  const message = messageOf(error);
  if (TOO_BIG.test(message)) {
    return new ServiceError("PAYLOAD_TOO_LARGE", "A value is larger than D1 can hold", {}, error);
  }
  if (saysNotMigrated(message)) {
    return new ServiceError("INTERNAL", `${LACKS_TABLES} D1 says: ${message}`, {}, error);
  }
  if (STATEMENT_AT_FAULT.test(message)) {
    return new ServiceError("INTERNAL", `D1 refused a statement: ${message}`, {}, error);
  }
  if (OVERLOADED.test(message)) {
    return new ServiceError("OVERLOADED", `D1 is overloaded: ${message}`, {}, error);
  }
  return new ServiceError("UNAVAILABLE", `D1 did not answer: ${message}`, {}, error);
}
