/**
 * Which runs are watched, so that a commit that did not go through a run's coordinator tells it of
 * events only then. The coordinator marks its run before it reads events for somebody, and again
 * before the mark ends. So a commit either lands before that read, which finds its events, or sees
 * the mark. All instants are by D1's clock: the clocks of Workers and coordinators decide nothing.
 */
import { type Statement, statement } from "./sql.ts";

/** How long a mark holds: ten times as long as it takes a coordinator to look at it again. */
export const MARK_MS = 300_000;
/** A mark that has more than this left is not renewed. */
const FRESH_MS = MARK_MS / 2;

/** The instant of the statement. */
const NOW = `unixepoch() * 1000`;

/** Marks the run as watched. A fresh mark costs no row written. */
export function markWatched(workflowRunId: string): Statement {
  return statement(
    `INSERT INTO "watched_runs" ("workflow_run_id", "until") VALUES (?, ${NOW} + ${MARK_MS}) ` +
      `ON CONFLICT ("workflow_run_id") DO UPDATE SET "until" = excluded."until" WHERE "until" < excluded."until" - ${FRESH_MS}`,
    workflowRunId,
  );
}

/** Those of the runs that are watched, as one JSON array. */
export function selectWatched(runs: readonly string[]): Statement {
  const [first = "", ...others] = runs;
  const found = `SELECT json_group_array("workflow_run_id")`;
  if (others.length === 0) {
    return statement(
      `${found} FROM "watched_runs" WHERE "workflow_run_id" = ? AND "until" > ${NOW}`,
      first,
    );
  }
  return statement(
    `${found} FROM json_each(?) AS item CROSS JOIN "watched_runs" ON "workflow_run_id" = item.value AND "until" > ${NOW}`,
    JSON.stringify(runs),
  );
}

/** Whether a mark has ended. */
export const HAS_ENDED = `EXISTS (SELECT 1 FROM "watched_runs" INDEXED BY "watched_runs_until_idx" WHERE "until" <= ${NOW})`;

/** Deletes marks that have ended, about `limit` of them. */
export function deleteEnded(limit: number): Statement {
  return statement(
    `DELETE FROM "watched_runs" WHERE "until" <= ${NOW} AND "until" <= ifnull((` +
      `SELECT "until" FROM "watched_runs" WHERE "until" <= ${NOW} ORDER BY "until" LIMIT 1 OFFSET ?), ${NOW})`,
    limit - 1,
  );
}
