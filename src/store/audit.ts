/**
 * The audit: unfinished rows that nothing will move on. It reads live rows only: runs through their
 * status index, jobs through the partial indexes, and of each such run its own stages and jobs. The
 * unary plus keeps D1 from looking up the live rows of all runs where those of one are meant.
 */
import { plainRows, type QuerySqlOf } from "./change-sql.ts";
import { AUDIT_UNPOLLED_MS } from "../model/index.ts";
import { type QueryOf } from "../queries/index.ts";
import { IS_LIVE, type Statement, statement } from "./sql.ts";

const RUNS = `"runs" AS run WHERE run."status" IN ('RUNNING', 'SUSPENDED')`;
const JOB_OF_RUN = `SELECT 1 FROM "jobs" WHERE "jobs"."workflow_run_id" = run."id" AND +"jobs"."status" ${IS_LIVE}`;
const STAGE_OF_RUN = `SELECT 1 FROM "stages" AS other WHERE other."workflow_run_id" = run."id" AND +other."status" ${IS_LIVE}`;

const RUN_WITHOUT_WORK =
  `SELECT 'run' AS "entity", run."id" AS "workflowRunId", '' AS "key", run."status" AS "status", 'run-without-work' AS "problem" ` +
  `FROM ${RUNS} AND NOT EXISTS (${JOB_OF_RUN}) AND NOT EXISTS (${STAGE_OF_RUN})`;

/** Whether the stage's last job has failed for good. */
const FAILED = `(SELECT "jobs"."status" = 'FAILED' FROM "jobs" WHERE "jobs"."workflow_run_id" = run."id" AND "jobs"."stage_id" = stage."stage_id" ORDER BY "jobs"."ordinal" DESC LIMIT 1)`;
const STAGE_WITHOUT_JOB =
  `SELECT 'stage', run."id", stage."stage_id", stage."status", ` +
  `CASE WHEN +stage."status" = 'SUSPENDED' AND stage."next_poll_at" IS NOT NULL THEN 'poll-overdue' WHEN ifnull(${FAILED}, 0) THEN 'failure-unhandled' ELSE 'stage-without-job' END ` +
  `FROM (SELECT "id" FROM ${RUNS}) AS run CROSS JOIN "stages" AS stage ON stage."workflow_run_id" = run."id" ` +
  `WHERE (+stage."status" = 'RUNNING' OR (+stage."status" = 'SUSPENDED' AND ifnull(+stage."next_poll_at" <= ?1, 1)) ` +
  `OR (+stage."status" = 'PENDING' AND NOT EXISTS (${STAGE_OF_RUN} AND other."execution_group" < stage."execution_group"))) ` +
  `AND NOT EXISTS (${JOB_OF_RUN} AND "jobs"."stage_id" = stage."stage_id")`;

const JOB_UNPOLLED =
  `SELECT 'job', run."id", job."ordinal", job."status", 'poll-overdue' FROM (SELECT "id" FROM ${RUNS}) AS run ` +
  `CROSS JOIN "jobs" AS job ON job."workflow_run_id" = run."id" WHERE +job."status" = 'SUSPENDED' AND +job."next_poll_at" <= ?1`;

const LEASE_WITHOUT_START = `SELECT 'job', "workflow_run_id", "ordinal", "status", 'lease-without-start' FROM "jobs" INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" IS NULL`;

const waitWithoutEnd = (index: string, where: string) =>
  `SELECT 'job', "workflow_run_id", "ordinal", "status", 'wait-without-end' FROM "jobs" INDEXED BY "${index}" WHERE ${where} AND "next_poll_at" IS NULL`;

export function selectAudit({ now, limit }: QueryOf<"audit">): Statement {
  const ofRuns = [RUN_WITHOUT_WORK, STAGE_WITHOUT_JOB, JOB_UNPOLLED];
  const ofJobs = [
    LEASE_WITHOUT_START,
    waitWithoutEnd("jobs_suspended_idx", `"status" = 'SUSPENDED'`),
    waitWithoutEnd("jobs_delayed_idx", `"status" = 'PENDING' AND "delayed" = 1`),
  ];
  // D1 accepts at most five terms in one compound SELECT.
  return statement(
    `SELECT * FROM (${ofRuns.join(" UNION ALL ")}) UNION ALL SELECT * FROM (${ofJobs.join(" UNION ALL ")}) LIMIT CAST(?2 AS INTEGER)`,
    now - AUDIT_UNPOLLED_MS,
    limit,
  );
}

export const auditQuerySql: QuerySqlOf<"audit"> = {
  audit: { select: selectAudit, ...plainRows },
};
