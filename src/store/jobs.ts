/**
 * Jobs: the SQL of their changes. `job-queries.ts` has that of their queries.
 *
 * A PENDING job is *ready*, or *delayed* until its nextPollAt. Ready jobs are in jobs_ready_idx in
 * the order in which they are claimed, so a claim reads the head of the index and never walks past
 * jobs that are not due yet; a claim first makes those delayed jobs ready that have become due.
 * Ready jobs with a concurrency key are in an index of their own, by key, so that a claim never
 * walks past jobs that wait for a slot.
 */
import type { ChangeSqlOf } from "./change-sql.ts";
import { type ChangeOf, type RetryBackoff } from "../changes/index.ts";
import {
  attendedWith,
  CONCURRENCY_KEYS_MAX,
  PROMOTED_MAX,
  RETRY_EXPONENT_MAX,
} from "../model/index.ts";
import { TERMINAL } from "../model/status.ts";
import { insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import {
  groupBy,
  IS_LIVE,
  remembering,
  rememberingAs,
  type RowUpdate,
  type Statement,
  statement,
  textList,
  tokenSql,
  updateRows,
} from "./sql.ts";

const NEW_ROW = [...propertiesOf("jobs", "commits"), "delayed"] as const;
const OPEN = `"status" NOT IN ${textList(TERMINAL)}`;
/**
 * The unary plus keeps D1 from walking an index of live rows, as it does once it has statistics
 * from a quiet hour.
 */
const RUNS = `+"status" = 'RUNNING'`;
const KEY = ["workflowRunId", "ordinal"] as const;

export function enqueueJobs(changes: readonly ChangeOf<"enqueueJob">[], commitId: string) {
  const rows = changes.map(({ row }) => {
    const due = row.nextPollAt === null || row.nextPollAt <= row.createdAt;
    return { ...row, delayed: due ? 0 : 1, ...attendedWith(row) };
  });
  const unlessLive = statement(
    `ON CONFLICT ("dedupe_key") WHERE "dedupe_key" IS NOT NULL AND "status" ${IS_LIVE} DO NOTHING`,
  );
  const deduped = changes.some(({ row }) => row.dedupeKey !== null);
  return insertRows("jobs", rows, NEW_ROW, commitId, deduped ? unlessLive : undefined);
}

const DUE = `("next_poll_at" IS NULL OR "next_poll_at" <= ?1)`;
const READY = `"status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL`;
const READY_KEYED = `"status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL`;
const FREE = `SELECT "workflow_run_id", "ordinal", "priority" FROM "jobs" INDEXED BY "jobs_ready_idx" WHERE ${READY} AND ${DUE} ORDER BY "priority" DESC, "ordinal", "workflow_run_id" LIMIT CAST(?2 AS INTEGER)`;
/** The keys that have ready jobs, found with one seek each. */
const NEXT_KEY = `SELECT "concurrency_key" FROM "jobs" INDEXED BY "jobs_ready_keyed_idx" WHERE ${READY_KEYED}`;
const KEYS =
  `WITH RECURSIVE "keys"("key") AS (SELECT (${NEXT_KEY} ORDER BY "concurrency_key" LIMIT 1) UNION ALL ` +
  `SELECT (${NEXT_KEY} AND "concurrency_key" > "keys"."key" ORDER BY "concurrency_key" LIMIT 1) FROM "keys" WHERE "keys"."key" IS NOT NULL LIMIT ${CONCURRENCY_KEYS_MAX})`;
/**
 * The best jobs of each key, each with the number of RUNNING jobs of its key below which it may be
 * taken: the least of its own and of those before it, because they come first. A table-valued
 * function over the rows of the key is the only lateral join that SQLite has.
 */
const OF_KEY_IN_TURN = `SELECT "workflow_run_id", "ordinal", "priority", ifnull("concurrency_limit", 1) AS "limit" FROM "jobs" INDEXED BY "jobs_ready_keyed_idx" WHERE ${READY_KEYED} AND "concurrency_key" = "keys"."key" AND ${DUE} ORDER BY "priority" DESC, "ordinal", "workflow_run_id" LIMIT CAST(?2 AS INTEGER)`;
const IN_TURN = `OVER (ORDER BY "priority" DESC, "ordinal", "workflow_run_id")`;
const OF_KEY =
  `SELECT json_group_array(json_array("workflow_run_id", "ordinal", "priority", "below")) FROM (` +
  `SELECT *, min("own") ${IN_TURN} AS "below" FROM (SELECT *, "limit" + 1 - row_number() ${IN_TURN} AS "own" FROM (${OF_KEY_IN_TURN})))`;
const RUNNING = `(SELECT count(*) FROM "jobs" INDEXED BY "jobs_leased_keyed_idx" WHERE "status" = 'RUNNING' AND "concurrency_key" IS NOT NULL AND "concurrency_key" = "keys"."key")`;
/**
 * Free jobs and those with a key, in one statement: no look beforehand tells whether there are any with a
 * key. Where none is ready, the keys end with their first seek, and the rest of that arm does not run.
 */
const BEST =
  `${KEYS} SELECT * FROM (SELECT * FROM (${FREE}) UNION ALL ` +
  `SELECT item.value ->> 0, item.value ->> 1, item.value ->> 2 FROM "keys" JOIN json_each((${OF_KEY})) AS item ` +
  `WHERE "keys"."key" IS NOT NULL AND ${RUNNING} < item.value ->> 3) ` +
  `ORDER BY "priority" DESC, "ordinal", "workflow_run_id" LIMIT CAST(?2 AS INTEGER)`;

/** A join, because with IN and statistics D1 looks at every job of the runs concerned. */
const MAKE_READY =
  `UPDATE "jobs" SET "delayed" = 0 FROM (` +
  `SELECT "workflow_run_id", "ordinal" FROM "jobs" INDEXED BY "jobs_delayed_idx" ` +
  `WHERE "status" = 'PENDING' AND "delayed" = 1 AND "next_poll_at" <= ? ORDER BY "next_poll_at", "workflow_run_id", "ordinal" LIMIT ${PROMOTED_MAX}) AS due ` +
  `WHERE "jobs"."workflow_run_id" = due."workflow_run_id" AND "jobs"."ordinal" = due."ordinal"`;
const CLAIM =
  `UPDATE "jobs" SET "status" = 'RUNNING', "worker_id" = ?3, "locked_at" = ?1, "started_at" = ?1, "updated_at" = ?1, ` +
  `"attempt" = "attempt" + 1, "commits" = ${rememberingAs("?4", `"commits"`)} FROM (${BEST}) AS best ` +
  `WHERE "jobs"."workflow_run_id" = best."workflow_run_id" AND "jobs"."ordinal" = best."ordinal"`;

export function claimJobs(changes: readonly ChangeOf<"claimJobs">[], commitId: string) {
  return changes.flatMap(({ workerId, limit, at }) => [
    statement(MAKE_READY, at),
    statement(CLAIM, at, limit, workerId, commitId),
  ]);
}

export function resumeJobs(changes: readonly ChangeOf<"resumeJobs">[], commitId: string) {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ limit, at }) => ({
    sql:
      `UPDATE "jobs" SET "status" = 'PENDING', "delayed" = 0, "max_attempts" = "max_attempts" + 1, "updated_at" = ?, "commits" = ${commits.sql} FROM (` +
      `SELECT "workflow_run_id", "ordinal" FROM "jobs" INDEXED BY "jobs_resume_idx" ` +
      `WHERE "status" = 'SUSPENDED' AND "resume_at" <= ? ORDER BY "resume_at", "workflow_run_id", "ordinal" LIMIT CAST(? AS INTEGER)) AS due ` +
      `WHERE "jobs"."workflow_run_id" = due."workflow_run_id" AND "jobs"."ordinal" = due."ordinal"`,
    params: [at, ...commits.params, at, limit],
  }));
}

export function completeJobs(changes: readonly ChangeOf<"completeJob">[], commitId: string) {
  return updateEach(changes, ["at"], commitId, (given) => ({
    set: `"status" = 'COMPLETED', "completed_at" = ${given("at")}, "updated_at" = ${given("at")}`,
    where: OPEN,
  }));
}

export function suspendJobs(changes: readonly ChangeOf<"suspendJob">[], commitId: string) {
  return updateEach(changes, ["at", "nextPollAt", "resumeAt"], commitId, (given) => ({
    set: `"status" = 'SUSPENDED', "next_poll_at" = ${given("nextPollAt")}, "resume_at" = ${given("resumeAt")}, "undelivered" = 0, "unanswered" = 0, "worker_id" = NULL, "locked_at" = NULL, "updated_at" = ${given("at")}`,
    where: OPEN,
  }));
}

export function failJobs(changes: readonly ChangeOf<"failJob">[], commitId: string) {
  const final = changes.filter(({ retry }) => retry === null);
  const byBackoff = groupBy(
    changes.filter(({ retry }) => retry !== null),
    ({ retry }) => JSON.stringify(retry),
  );
  return [
    ...updateEach(final, ["at", "error", "died"], commitId, (given) => ({
      set: `"status" = 'FAILED', ${FAILED_ONCE_MORE}, ${unanswered(given("died"))}, "completed_at" = ${given("at")}, "hand_over_at" = ${given("at")}, "last_error" = ${given("error")}, "updated_at" = ${given("at")}`,
      where: OPEN,
    })),
    ...[...byBackoff.values()].flatMap((group) =>
      updateEach(group, ["at", "error", "died"], commitId, (given) => ({
        set:
          `"status" = ${ifLeft(`'PENDING'`, `'FAILED'`)}, ${FAILED_ONCE_MORE}, ${unanswered(given("died"))}, ` +
          `"worker_id" = ${ifLeft("NULL", `"worker_id"`)}, ` +
          `"locked_at" = ${ifLeft("NULL", `"locked_at"`)}, ` +
          `"completed_at" = ${ifLeft(`"completed_at"`, given("at"))}, ` +
          `"hand_over_at" = ${ifLeft("NULL", given("at"))}, ` +
          `"delayed" = ${ifLeft("1", `"delayed"`)}, ` +
          `"next_poll_at" = ${ifLeft(`${given("at")} + ${backoffSql(group[0]?.retry ?? NO_BACKOFF, "failures")}`, `"next_poll_at"`)}, ` +
          `"last_error" = ${given("error")}, "updated_at" = ${given("at")}`,
        where: OPEN,
      })),
    ),
  ];
}

/**
 * The pause grows with each return in a row. Each return adds an attempt to those that the job may
 * be given.
 */
export function returnJobs(changes: readonly ChangeOf<"returnJob">[], commitId: string) {
  const byBackoff = groupBy(changes, ({ retry }) => JSON.stringify(retry));
  return [...byBackoff.values()].flatMap((group) =>
    updateEach(group, ["at", "error"], commitId, (given) => ({
      set:
        `"status" = 'PENDING', "undelivered" = "undelivered" + 1, "max_attempts" = "max_attempts" + 1, "worker_id" = NULL, "locked_at" = NULL, ` +
        `"delayed" = 1, "next_poll_at" = ${given("at")} + ${backoffSql(group[0]?.retry ?? NO_BACKOFF, "undelivered")}, ` +
        `"last_error" = ${given("error")}, "updated_at" = ${given("at")}`,
      where: RUNS,
    })),
  );
}

/**
 * A PENDING job has been failed already, and waits for its retry: it does not count a second
 * failure.
 */
const FAILED_ONCE_MORE = `"failures" = "failures" + ("status" <> 'PENDING'), "undelivered" = 0`;

function unanswered(died: string): string {
  return `"unanswered" = CASE WHEN ${died} THEN "unanswered" + 1 ELSE 0 END`;
}

/** `left` while attempts are left, and otherwise `otherwise`. */
function ifLeft(left: string, otherwise: string): string {
  return `CASE WHEN "attempt" < "max_attempts" THEN ${left} ELSE ${otherwise} END`;
}

const NO_BACKOFF: RetryBackoff = { baseMs: 0, capMs: 0, jitterPermille: 0 };

/**
 * The pause after one more of what the column counts. A job that waits for its retry already counts
 * no further failure. The whole numbers are written out: D1 binds numbers as REAL, which divide as
 * such.
 */
function backoffSql(
  { baseMs, capMs, jitterPermille }: RetryBackoff,
  counted: "failures" | "undelivered",
): string {
  const wait = `min(${baseMs} * (1 << min("${counted}" + ("status" <> 'PENDING'), "attempt", ${RETRY_EXPONENT_MAX})), ${capMs})`;
  return `${wait} + ${wait} * ${jitterPermille} / 1000`;
}

export function unclaimJobs(changes: readonly ChangeOf<"unclaimJob">[], commitId: string) {
  return updateEach(changes, ["at"], commitId, (given) => ({
    set: `"status" = 'PENDING', "max_attempts" = "max_attempts" + 1, "worker_id" = NULL, "locked_at" = NULL, "updated_at" = ${given("at")}`,
    where: RUNS,
  }));
}

export function touchJobs(changes: readonly ChangeOf<"touchJob">[], commitId: string) {
  return updateEach(changes, ["at"], commitId, (given) => ({
    set: `"locked_at" = ${given("at")}, "updated_at" = ${given("at")}`,
    where: RUNS,
  }));
}

export function releaseJobs(changes: readonly ChangeOf<"releaseJob">[], commitId: string) {
  return updateEach(changes, ["at", "error", "staleBefore"], commitId, (given) => ({
    set:
      `"status" = ${ifLeft(`'PENDING'`, `'FAILED'`)}, ${FAILED_ONCE_MORE}, "unanswered" = "unanswered" + 1, "worker_id" = NULL, "locked_at" = NULL, "last_error" = ${given("error")}, ` +
      `"completed_at" = ${ifLeft(`"completed_at"`, given("at"))}, "hand_over_at" = ${ifLeft("NULL", given("at"))}, "updated_at" = ${given("at")}`,
    where: `${RUNS} AND +"locked_at" < ${given("staleBefore")}`,
  }));
}

export function putBackFailures(changes: readonly ChangeOf<"putBackFailure">[]): Statement[] {
  const rows = { key: KEY, rows: changes, names: ["dueAt"] } as const;
  return updateRows("jobs", rows, null, (given) => ({
    set: `"hand_over_at" = ${given("dueAt")}`,
    where: `+"jobs"."hand_over_at" IS NOT NULL`,
  }));
}

export function cancelJobs(changes: readonly ChangeOf<"cancelJobs">[], commitId: string) {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ workflowRunId, leased, at }) => ({
    sql: `UPDATE "jobs" SET "status" = 'CANCELLED', "completed_at" = ?, "updated_at" = ?, "commits" = ${commits.sql} WHERE "workflow_run_id" = ? AND "status" IN ('PENDING', 'SUSPENDED'${leased === true ? ", 'RUNNING'" : ""})`,
    params: [at, at, ...commits.params, workflowRunId],
  }));
}

interface Fenced {
  readonly workflowRunId: string;
  readonly ordinal: string;
  readonly attempt?: number | undefined;
}

/** One statement for all of them. A job whose attempt is not the change's stays as it is. */
function updateEach<C extends Fenced>(
  changes: readonly C[],
  names: readonly (keyof C & string)[],
  commitId: string,
  update: (given: (name: keyof C & string) => string) => Required<RowUpdate>,
): Statement[] {
  // Named `fence`, since `attempt` is a column, and SQLite could not tell the two apart.
  const fenced = changes.map((change) => ({ ...change, fence: change.attempt ?? null }));
  const rows = { key: KEY, rows: fenced, names: ["fence", ...names] } as const;
  return updateRows<C & { readonly fence: number | null }>("jobs", rows, commitId, (given) => {
    const { set, where } = update(given);
    const fence = given("fence");
    return { set, where: `${where} AND (${fence} IS NULL OR "jobs"."attempt" = ${fence})` };
  });
}

export const jobChangeSql: ChangeSqlOf<
  | "enqueueJob"
  | "claimJobs"
  | "resumeJobs"
  | "completeJob"
  | "suspendJob"
  | "failJob"
  | "returnJob"
  | "unclaimJob"
  | "touchJob"
  | "releaseJob"
  | "putBackFailure"
  | "cancelJobs"
> = {
  enqueueJob: { write: enqueueJobs },
  claimJobs: {
    write: claimJobs,
    trace: ({ at }, commitId) =>
      statement(
        `SELECT 1 FROM "jobs" INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" >= ? AND ${tokenSql(`"commits"`)} = ?`,
        at,
        commitId,
      ),
  },
  resumeJobs: { write: resumeJobs },
  completeJob: { write: completeJobs },
  suspendJob: { write: suspendJobs },
  failJob: { write: failJobs },
  returnJob: { write: returnJobs },
  unclaimJob: { write: unclaimJobs },
  touchJob: { write: touchJobs },
  releaseJob: { write: releaseJobs },
  putBackFailure: { write: putBackFailures },
  cancelJobs: {
    write: cancelJobs,
    trace: ({ workflowRunId }, commitId) =>
      statement(
        `SELECT 1 FROM "jobs" WHERE "workflow_run_id" = ? AND "status" = 'CANCELLED' AND ${tokenSql(`"commits"`)} = ?`,
        workflowRunId,
        commitId,
      ),
  },
};
