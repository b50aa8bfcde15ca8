/**
 * Jobs: the SQL of their queries and changes.
 *
 * A PENDING job is *ready*, or *delayed* until its nextPollAt. Ready ones are in jobs_ready_idx in the order
 * in which they are claimed, so a claim reads its head and never walks past jobs that are not yet due; a
 * claim first makes the delayed ones ready that have become due.
 */
import { type ChangeOf, PAGE_ROWS, type QueryOf, RETRY_BACKOFF_MS } from "../changes/index.ts";
import { jobs } from "./schema.ts";
import {
  insertRows,
  type Param,
  propertiesOf,
  remembering,
  selectList,
  type Statement,
  statement,
  tokenSql,
} from "./sql.ts";

const SELECT = `SELECT ${selectList(propertiesOf(jobs, "delayed"))} FROM "jobs"`;
const NEW_ROW = propertiesOf(jobs, "commits");
const TERMINAL = `('COMPLETED', 'FAILED', 'CANCELLED')`;
/** Delayed jobs that one claim makes ready, so that a storm of retries cannot hold up a claim. */
const PROMOTED_MAX = 1_000;
const BACKOFF_EXPONENT_MAX = 20;

export function selectJob(query: QueryOf<"job">): Statement {
  return statement(
    `${SELECT} WHERE "workflow_run_id" = ? AND "ordinal" = ?`,
    query.workflowRunId,
    query.ordinal,
  );
}

export function selectJobs(query: QueryOf<"jobs">): Statement {
  return statement(`${SELECT} WHERE "workflow_run_id" = ? ORDER BY "ordinal"`, query.workflowRunId);
}

export function selectClaimedJob(query: QueryOf<"claimedJob">): Statement {
  return statement(
    `${SELECT} INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" = ? AND ${tokenSql(`"commits"`)} = ?`,
    query.at,
    query.commitId,
  );
}

export function countCancelledJobs(query: QueryOf<"cancelledJobs">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM "jobs" WHERE "workflow_run_id" = ? AND "status" = 'CANCELLED' AND ${tokenSql(`"commits"`)} = ?`,
    query.workflowRunId,
    query.commitId,
  );
}

export function selectStaleJobs(query: QueryOf<"staleJobs">): Statement {
  return statement(
    `${SELECT} INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" < ? ORDER BY "locked_at", "workflow_run_id", "ordinal" LIMIT ?`,
    query.before,
    query.limit,
  );
}

export function selectSuspendedJobs({ now, after }: QueryOf<"suspendedJobs">): Statement {
  const order = `ORDER BY "next_poll_at", "workflow_run_id", "ordinal" LIMIT ${PAGE_ROWS}`;
  const suspended = `${SELECT} INDEXED BY "jobs_suspended_idx" WHERE "status" = 'SUSPENDED' AND "next_poll_at" <= ?`;
  return after === null
    ? statement(`${suspended} ${order}`, now)
    : statement(
        `${suspended} AND ("next_poll_at", "workflow_run_id", "ordinal") > (?, ?, ?) ${order}`,
        now,
        after.nextPollAt,
        after.workflowRunId,
        after.ordinal,
      );
}

export function enqueueJobs(changes: readonly ChangeOf<"enqueueJob">[], commitId: string) {
  const rows = changes.map(({ row }) => {
    const due = row.nextPollAt === null || row.nextPollAt <= row.createdAt;
    return { ...row, delayed: due ? 0 : 1 };
  });
  return insertRows(`"jobs"`, rows, NEW_ROW, commitId);
}

export function claimJobs(changes: readonly ChangeOf<"claimJob">[], commitId: string) {
  const commits = remembering(commitId, `"commits"`);
  return changes.flatMap(({ workerId, at }): Statement[] => [
    // Joined: for `IN`, once D1 has statistics, it looks at every job of the runs concerned.
    statement(
      `UPDATE "jobs" SET "delayed" = 0 FROM (` +
        `SELECT "workflow_run_id", "ordinal" FROM "jobs" INDEXED BY "jobs_delayed_idx" ` +
        `WHERE "status" = 'PENDING' AND "delayed" = 1 AND "next_poll_at" <= ? ORDER BY "next_poll_at" LIMIT ${PROMOTED_MAX}) AS due ` +
        `WHERE "jobs"."workflow_run_id" = due."workflow_run_id" AND "jobs"."ordinal" = due."ordinal"`,
      at,
    ),
    {
      sql:
        `UPDATE "jobs" SET "status" = 'RUNNING', "worker_id" = ?, "locked_at" = ?, "started_at" = ?, "updated_at" = ?, ` +
        `"attempt" = "attempt" + 1, "commits" = ${commits.sql} WHERE ("workflow_run_id", "ordinal") = (` +
        `SELECT "workflow_run_id", "ordinal" FROM "jobs" INDEXED BY "jobs_ready_idx" ` +
        `WHERE "status" = 'PENDING' AND "delayed" = 0 AND ("next_poll_at" IS NULL OR "next_poll_at" <= ?) ` +
        `ORDER BY "priority" DESC, "ordinal" LIMIT 1)`,
      params: [workerId, at, at, at, ...commits.params, at],
    },
  ]);
}

export function completeJobs(changes: readonly ChangeOf<"completeJob">[], commitId: string) {
  return changes.map((change) =>
    updateJob(
      change,
      commitId,
      `"status" = 'COMPLETED', "completed_at" = ?, "updated_at" = ?`,
      [change.at, change.at],
      `"status" NOT IN ${TERMINAL}`,
    ),
  );
}

export function suspendJobs(changes: readonly ChangeOf<"suspendJob">[], commitId: string) {
  return changes.map((change) =>
    updateJob(
      change,
      commitId,
      `"status" = 'SUSPENDED', "next_poll_at" = ?, "worker_id" = NULL, "locked_at" = NULL, "updated_at" = ?`,
      [change.nextPollAt, change.at],
      `"status" NOT IN ${TERMINAL}`,
    ),
  );
}

export function failJobs(changes: readonly ChangeOf<"failJob">[], commitId: string) {
  return changes.map((change) => {
    const retry = `(${change.retry ? 1 : 0} AND "attempt" < "max_attempts")`;
    return updateJob(
      change,
      commitId,
      `"status" = CASE WHEN ${retry} THEN 'PENDING' ELSE 'FAILED' END, ` +
        `"worker_id" = CASE WHEN ${retry} THEN NULL ELSE "worker_id" END, ` +
        `"locked_at" = CASE WHEN ${retry} THEN NULL ELSE "locked_at" END, ` +
        `"completed_at" = CASE WHEN ${retry} THEN "completed_at" ELSE ? END, ` +
        `"delayed" = CASE WHEN ${retry} THEN 1 ELSE "delayed" END, ` +
        `"next_poll_at" = CASE WHEN ${retry} THEN ? + ${RETRY_BACKOFF_MS} * (1 << min("attempt", ${BACKOFF_EXPONENT_MAX})) ELSE "next_poll_at" END, ` +
        `"last_error" = ?, "updated_at" = ?`,
      [change.at, change.at, change.error, change.at],
      `"status" NOT IN ${TERMINAL}`,
    );
  });
}

export function touchJobs(changes: readonly ChangeOf<"touchJob">[], commitId: string) {
  return changes.map((change) =>
    updateJob(
      change,
      commitId,
      `"locked_at" = ?, "updated_at" = ?`,
      [change.at, change.at],
      `"status" = 'RUNNING'`,
    ),
  );
}

export function releaseJobs(changes: readonly ChangeOf<"releaseJob">[], commitId: string) {
  return changes.map((change) => {
    const retry = `("attempt" < "max_attempts")`;
    return updateJob(
      change,
      commitId,
      `"status" = CASE WHEN ${retry} THEN 'PENDING' ELSE 'FAILED' END, "worker_id" = NULL, "locked_at" = NULL, ` +
        `"last_error" = CASE WHEN ${retry} THEN "last_error" ELSE ? END, ` +
        `"completed_at" = CASE WHEN ${retry} THEN "completed_at" ELSE ? END, "updated_at" = ?`,
      [change.error, change.at, change.at],
      `"status" = 'RUNNING' AND "locked_at" < ?`,
      [change.staleBefore],
    );
  });
}

export function cancelJobs(changes: readonly ChangeOf<"cancelJobs">[], commitId: string) {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ workflowRunId, at }) => ({
    sql: `UPDATE "jobs" SET "status" = 'CANCELLED', "completed_at" = ?, "updated_at" = ?, "commits" = ${commits.sql} WHERE "workflow_run_id" = ? AND "status" IN ('PENDING', 'SUSPENDED')`,
    params: [at, at, ...commits.params, workflowRunId],
  }));
}

function updateJob(
  key: { readonly workflowRunId: string; readonly ordinal: string },
  commitId: string,
  set: string,
  params: readonly Param[],
  condition: string,
  conditionParams: readonly Param[] = [],
): Statement {
  const commits = remembering(commitId, `"commits"`);
  return {
    sql: `UPDATE "jobs" SET ${set}, "commits" = ${commits.sql} WHERE "workflow_run_id" = ? AND "ordinal" = ? AND ${condition}`,
    params: [...params, ...commits.params, key.workflowRunId, key.ordinal, ...conditionParams],
  };
}
