/** Jobs: the SQL of their queries. */
import { aRowOf, count, numbers, plainRows, rowsOf, type QuerySqlOf } from "./change-sql.ts";
import { JOB_STATS_MAX, PARKED_BEFORE, PARKED_FROM, STAGE_PAYLOAD } from "../model/index.ts";
import { PAGE_ROWS, type QueryOf } from "../queries/index.ts";
import { propertiesOf } from "./names.ts";
import { IS_LIVE, selectList, selectRow, type Statement, statement, tokenSql } from "./sql.ts";

const SELECT = `SELECT ${selectRow("jobs", propertiesOf("jobs"))} FROM "jobs"`;
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

/**
 * A job that was just claimed is RUNNING, locked since then, and nobody has written it after the
 * claim.
 */
export function selectClaimedJobs(query: QueryOf<"claimedJobs">): Statement {
  return statement(
    `${SELECT} INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" >= ? AND ${tokenSql(`"commits"`)} = ? ORDER BY "priority" DESC, "ordinal", "workflow_run_id"`,
    query.since,
    query.commitId,
  );
}

export function selectLiveJob({ dedupeKey }: QueryOf<"liveJob">): Statement {
  return statement(
    `${SELECT} INDEXED BY "jobs_dedupe_idx" WHERE "dedupe_key" = ? AND "dedupe_key" IS NOT NULL AND "status" ${IS_LIVE}`,
    dedupeKey,
  );
}

/** The jobs as a JSON array of [run, ordinal, the key that it has freed], each once. */
function eachOnce(keys: QueryOf<"jobStates">["keys"]): string {
  const places = keys.map(({ workflowRunId, ordinal, freed }) =>
    JSON.stringify(
      freed === undefined ? [workflowRunId, ordinal] : [workflowRunId, ordinal, freed],
    ),
  );
  return `[${[...new Set(places)].join(",")}]`;
}

/** The key for which others may wait: the one that the job has left, or its own. */
const KEY = `ifnull(place.value ->> 2, job."concurrency_key")`;
const AT_PLACE = `job."workflow_run_id" = place.value ->> 0 AND job."ordinal" = place.value ->> 1`;

export function selectUnwrittenJobs({ keys, commitId }: QueryOf<"unwrittenJobs">): Statement {
  return statement(
    `SELECT place.value ->> 0 AS "workflowRunId", place.value ->> 1 AS "ordinal", ${selectList(["status", "attempt"], "job")} ` +
      `FROM json_each(?1) AS place LEFT JOIN "jobs" AS job ON ${AT_PLACE} WHERE ifnull(instr(job."commits", ?2), 0) = 0`,
    eachOnce(keys),
    commitId,
  );
}

/** The places of the jobs ?1, and of the run's cancelled jobs. The unary plus keeps D1 to this run. */
const WITH_CANCELLED =
  `(SELECT "value" FROM json_each(?1) UNION ALL SELECT json_array("workflow_run_id", "ordinal") FROM "jobs" ` +
  `WHERE "workflow_run_id" = ?3 AND +"status" = 'CANCELLED' AND +"concurrency_key" IS NOT NULL)`;

export function selectJobStates({
  keys,
  now,
  wakingOnly,
  cancelledOf,
}: QueryOf<"jobStates">): Statement {
  const columns = [
    "workflowRunId",
    "ordinal",
    "status",
    "attempt",
    "nextPollAt",
    "resumeAt",
    "concurrencyKey",
    "commits",
  ];
  const waits = (index: string, where: string) =>
    `EXISTS (SELECT 1 FROM "jobs" AS other INDEXED BY "${index}" WHERE other."status" = 'PENDING' AND ${where} AND other."concurrency_key" = ${KEY})`;
  const keyWaits =
    `CASE WHEN ${KEY} IS NULL THEN 0 ELSE ` +
    `${waits("jobs_ready_keyed_idx", `other."delayed" = 0 AND other."concurrency_key" IS NOT NULL AND (other."next_poll_at" IS NULL OR other."next_poll_at" <= ?2)`)} OR ` +
    `${waits("jobs_delayed_idx", `other."delayed" = 1 AND other."next_poll_at" <= ?2`)} END`;
  const places = cancelledOf === undefined ? "json_each(?1)" : WITH_CANCELLED;
  // CROSS JOIN: the keys come first, whatever D1's statistics say.
  return statement(
    `SELECT ${selectList(columns, "job")}, ${keyWaits} AS "keyWaits" FROM ${places} AS place ` +
      `CROSS JOIN "jobs" AS job ON ${AT_PLACE}${wakingOnly === true ? ` WHERE ${MAY_WAKE}` : ""}`,
    eachOnce(keys),
    now,
    ...(cancelledOf === undefined ? [] : [cancelledOf]),
  );
}

/**
 * Jobs that may call for a wake-up. The unary plus makes D1 look up these jobs, not all live rows.
 */
const MAY_WAKE = `(+job."status" IN ('PENDING', 'SUSPENDED', 'FAILED') OR ${KEY} IS NOT NULL)`;

/** Due jobs, ready or delayed: of each index up to the limit. */
const DUE = [
  `"jobs_ready_idx" WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL AND ifnull("next_poll_at", "created_at") <= ?1`,
  `"jobs_ready_keyed_idx" WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL AND ifnull("next_poll_at", "created_at") <= ?1`,
  `"jobs_delayed_idx" WHERE "status" = 'PENDING' AND "delayed" = 1 AND "next_poll_at" <= ?1`,
];
const dueJobs = (columns: string) =>
  DUE.map(
    (where) =>
      `SELECT * FROM (SELECT ${columns} FROM "jobs" INDEXED BY ${where} LIMIT CAST(?2 AS INTEGER))`,
  ).join(" UNION ALL ");
const DUE_COUNT = `SELECT count(*) AS "count" FROM (SELECT 1 FROM (${dueJobs("1")}) LIMIT CAST(?2 AS INTEGER))`;
const DUE_STAGES_COUNT = `SELECT count(*) AS "count" FROM (${dueJobs(`"payload"`)}) WHERE substr("payload", 1, ${STAGE_PAYLOAD.length}) = '${STAGE_PAYLOAD}'`;

/**
 * PENDING jobs of each index, up to the limit. A clock that is behind may find ready jobs due
 * later, too.
 */
const PENDING = [
  `"jobs_ready_idx" WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL`,
  `"jobs_ready_keyed_idx" WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL`,
  `"jobs_delayed_idx" WHERE "status" = 'PENDING' AND "delayed" = 1 AND "next_poll_at" <= ?1`,
  `"jobs_delayed_idx" WHERE "status" = 'PENDING' AND "delayed" = 1 AND "next_poll_at" > ?1`,
].map(
  (where) =>
    `SELECT * FROM (SELECT ifnull("next_poll_at", "created_at") AS "due", "undelivered" FROM "jobs" INDEXED BY ${where} LIMIT CAST(?2 AS INTEGER))`,
);

export function countOverdueJobs(query: QueryOf<"overdueJobs">): Statement {
  const { before, limit, stagesOnly = false } = query;
  return statement(stagesOnly ? DUE_STAGES_COUNT : DUE_COUNT, before, limit);
}

export function countResumableJobs({ now, limit }: QueryOf<"resumableJobs">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM (SELECT 1 FROM "jobs" INDEXED BY "jobs_resume_idx" WHERE "status" = 'SUSPENDED' AND "resume_at" <= ? LIMIT CAST(? AS INTEGER))`,
    now,
    limit,
  );
}

const PARKED = `SELECT "workflow_run_id", "ordinal" FROM "jobs" INDEXED BY "jobs_resume_idx" WHERE "status" = 'SUSPENDED'`;
const BY_RESUMPTION = `ORDER BY "resume_at", "workflow_run_id", "ordinal" LIMIT CAST(?4 AS INTEGER)`;

/** CROSS JOIN: the jobs come first, whatever D1's statistics say. */
export function selectStrayParkedJobs({ from, limit }: QueryOf<"strayParkedJobs">): Statement {
  return statement(
    `SELECT ${selectList(["workflowRunId", "ordinal"], "found")} FROM (` +
      `SELECT * FROM (${PARKED} AND "resume_at" >= ?1 AND "resume_at" < ?3 ${BY_RESUMPTION}) UNION ALL ` +
      `SELECT * FROM (${PARKED} AND "resume_at" >= ?2 AND "resume_at" < ?1 ${BY_RESUMPTION}) LIMIT CAST(?4 AS INTEGER)) AS found ` +
      `CROSS JOIN "runs" AS run ON run."id" = found."workflow_run_id" WHERE +run."status" <> 'SUSPENDED'`,
    from,
    PARKED_FROM,
    PARKED_BEFORE,
    limit,
  );
}

/** Each count reads at most JOB_STATS_MAX entries of an index. */
export function selectJobStats({ now, failedSince }: QueryOf<"jobStats">): Statement {
  const counted = (index: string, where: string) =>
    `(SELECT count(*) FROM (SELECT 1 FROM "jobs" INDEXED BY "${index}" WHERE ${where} LIMIT CAST(?2 AS INTEGER)))`;
  return statement(
    `SELECT min(count(*) FILTER (WHERE "due" <= ?1), ?2) AS "due", min("due") FILTER (WHERE "due" <= ?1) AS "oldestDueAt", ` +
      `min(count(*) FILTER (WHERE "due" > ?1), ?2) AS "delayed", ` +
      `min(count(*) FILTER (WHERE "undelivered" > 0), ?2) AS "undelivered", ` +
      `${counted("jobs_leased_idx", `"status" = 'RUNNING'`)} AS "leased", ` +
      `${counted("jobs_suspended_idx", `"status" = 'SUSPENDED'`)} AS "suspended", ` +
      `${counted("jobs_failed_idx", `"status" = 'FAILED' AND "completed_at" >= ?3`)} AS "failed" FROM (${PENDING.join(" UNION ALL ")})`,
    now,
    JOB_STATS_MAX,
    failedSince,
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
    `SELECT ${selectList(["workflowRunId", "ordinal", "attempt", "maxAttempts"])} FROM "jobs" INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" < ? ORDER BY "locked_at", "workflow_run_id", "ordinal" LIMIT CAST(? AS INTEGER)`,
    query.before,
    query.limit,
  );
}

export function selectSuspendedJobs(query: QueryOf<"suspendedJobs">): Statement {
  const { now, after, limit = PAGE_ROWS } = query;
  const order = `ORDER BY "next_poll_at", "workflow_run_id", "ordinal" LIMIT ${limit}`;
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

/**
 * What a failed job has left, as `model/rows.ts` defines it. The unary plus makes D1 look up the
 * rows of the job's run, not all live rows.
 */
const JOB_OF_RUN = `SELECT 1 FROM "jobs" AS other WHERE other."workflow_run_id" = job."workflow_run_id"`;
const LEFT =
  `CASE WHEN run."id" IS NULL OR +run."status" NOT ${IS_LIVE} THEN 'closed' ` +
  `WHEN EXISTS (${JOB_OF_RUN} AND other."ordinal" > job."ordinal" AND other."stage_id" = job."stage_id") THEN 'closed' ` +
  `WHEN +stage."status" ${IS_LIVE} THEN 'open' ` +
  `WHEN +run."status" = 'PENDING' OR EXISTS (${JOB_OF_RUN} AND +other."status" ${IS_LIVE}) ` +
  `OR EXISTS (SELECT 1 FROM "stages" AS other WHERE other."workflow_run_id" = job."workflow_run_id" AND +other."status" = 'SUSPENDED' AND +other."next_poll_at" IS NOT NULL) THEN 'busy' ` +
  `ELSE 'open' END`;

/** The unary plus keeps D1 on the way over the failed jobs, whatever its statistics say. */
export function selectUnhandledFailures(query: QueryOf<"unhandledFailures">): Statement {
  const columns = [
    "workflowRunId",
    "ordinal",
    "workflowId",
    "stageId",
    "attempt",
    "lastError",
    "completedAt",
    "handOverAt",
  ];
  return statement(
    `SELECT ${selectList(columns, "job")}, ${LEFT} AS "state" FROM "jobs" AS job INDEXED BY "jobs_hand_over_idx" ` +
      `LEFT JOIN "runs" AS run ON run."id" = job."workflow_run_id" ` +
      `LEFT JOIN "stages" AS stage ON stage."workflow_run_id" = job."workflow_run_id" AND stage."stage_id" = job."stage_id" ` +
      `WHERE job."hand_over_at" IS NOT NULL AND job."hand_over_at" <= ? ORDER BY job."hand_over_at", job."workflow_run_id", job."ordinal" LIMIT CAST(? AS INTEGER)`,
    query.now,
    query.limit,
  );
}

export const jobQuerySql: QuerySqlOf<
  | "job"
  | "jobs"
  | "liveJob"
  | "jobStates"
  | "unwrittenJobs"
  | "jobStats"
  | "claimedJobs"
  | "overdueJobs"
  | "resumableJobs"
  | "strayParkedJobs"
  | "unhandledFailures"
  | "cancelledJobs"
  | "staleJobs"
  | "suspendedJobs"
> = {
  job: { select: selectJob, ...aRowOf("jobs") },
  jobs: { select: selectJobs, ...rowsOf("jobs") },
  liveJob: { select: selectLiveJob, ...aRowOf("jobs") },
  jobStates: { select: selectJobStates, ...plainRows },
  unwrittenJobs: { select: selectUnwrittenJobs, ...plainRows },
  jobStats: { select: selectJobStats, ...numbers },
  claimedJobs: { select: selectClaimedJobs, ...rowsOf("jobs") },
  overdueJobs: { select: countOverdueJobs, ...count },
  resumableJobs: { select: countResumableJobs, ...count },
  strayParkedJobs: { select: selectStrayParkedJobs, ...plainRows },
  unhandledFailures: { select: selectUnhandledFailures, ...plainRows },
  cancelledJobs: { select: countCancelledJobs, ...count },
  staleJobs: { select: selectStaleJobs, ...plainRows },
  suspendedJobs: { select: selectSuspendedJobs, ...rowsOf("jobs") },
};
