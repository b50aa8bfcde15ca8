/**
 * What a deleted row knew. A row remembers the commits that wrote it, so that a commit whose answer
 * was lost can find out what became of it. When the row is deleted, its memory moves to the table
 * `commits`, as far back as a caller may still ask. A caller settles a lost answer within seconds;
 * when everything stalls, within minutes: 60 s for the attempt, and four times 60 s to settle.
 */
import { COMMIT_ID_CHARS, COMMITS_REMEMBERED, commitIdAt } from "../model/index.ts";
import { column, type Statement } from "./sql.ts";

/** Older commits are asked for by nobody any more. */
const ASKED_WITHIN_MS = 360_000;

/**
 * Copies the memory of a row that is about to be deleted. Costs a row written for each commit of
 * the last six minutes.
 */
export function rememberDeleted(
  commitId: string,
  table: "stages" | "artifacts" | "idempotency_keys",
  key: readonly string[],
  values: readonly string[],
): Statement {
  const positions = JSON.stringify(
    Array.from({ length: COMMITS_REMEMBERED }, (_, index) => 1 + index * COMMIT_ID_CHARS),
  );
  const id = `substr("commits", place.value, ${COMMIT_ID_CHARS})`;
  return {
    sql:
      `INSERT OR IGNORE INTO "commits" ("id", "outcome") SELECT ${id}, 'applied' ` +
      `FROM "${table}" JOIN json_each('${positions}') AS place ` +
      `WHERE ${key.map((name) => `"${table}".${column(name)} = ?`).join(" AND ")} AND ${id} >= ?`,
    params: [...values, oldestAsked(commitId)],
  };
}

/** The oldest commit id that a caller may still ask for when this commit lands. */
function oldestAsked(commitId: string): string {
  return commitIdAt(instantOf(commitId) - ASKED_WITHIN_MS);
}

/** The instant at which a commit id was made. */
export function instantOf(commitId: string): number {
  return Number.parseInt(commitId.slice(0, 9), 36);
}
