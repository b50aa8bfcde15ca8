/**
 * The memory of deleted rows. A row remembers the commits that wrote it, so that a commit whose answer
 * was lost can find out what became of it. When the row is deleted, its memory moves to the table
 * `commits`, as far back as a caller may still ask. A caller settles a lost answer within seconds;
 * when everything stalls, within minutes: 60 s for the attempt, and four times 60 s to settle.
 */
import { COMMIT_ID_CHARS, COMMITS_REMEMBERED, commitIdAt } from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import { KEYS } from "../model/state.ts";
import { snakeCase } from "./names.ts";
import { column, type Statement } from "./sql.ts";

/** No caller asks for older commits. */
const ASKED_WITHIN_MS = 360_000;

/**
 * Copies the memory of a row that is about to be deleted. Costs a row written for each commit of
 * the last six minutes.
 */
export function rememberDeleted(
  commitId: string,
  { table, part, key }: RowRef<"stages" | "artifacts" | "idempotencyKeys">,
): Statement {
  const name = `"${snakeCase(table)}"`;
  const where = KEYS[table].map((each) => `${name}.${column(each)} = ?`).join(" AND ");
  return rememberAllDeleted(commitId, { sql: `${name} WHERE ${where}`, params: [part, key] });
}

/** As {@link rememberDeleted}, of several rows. `from`: what follows FROM, with a WHERE. */
export function rememberAllDeleted(commitId: string, from: Statement): Statement {
  const positions = JSON.stringify(
    Array.from({ length: COMMITS_REMEMBERED }, (_, index) => 1 + index * COMMIT_ID_CHARS),
  );
  const id = `substr("commits", place.value, ${COMMIT_ID_CHARS})`;
  return {
    sql:
      `INSERT OR IGNORE INTO "commits" ("id", "outcome") SELECT ${id}, 'applied' ` +
      `FROM (SELECT "commits" FROM ${from.sql}) JOIN json_each('${positions}') AS place WHERE ${id} >= ?`,
    params: [...from.params, oldestAsked(commitId)],
  };
}

/** The oldest commit id that a caller may still ask for when this commit lands. */
function oldestAsked(commitId: string): string {
  return commitIdAt(instantOfCommit(commitId) - ASKED_WITHIN_MS);
}

/** The instant that a commit id begins with. */
export function instantOfCommit(commitId: string): number {
  return Number.parseInt(commitId.slice(0, 9), 36);
}
