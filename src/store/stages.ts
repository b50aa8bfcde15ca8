/** Stages: the SQL of their queries and changes. */
import { aRowOf, plainRows, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { STAGES_LOOKED_AT } from "../model/index.ts";
import { stageRef } from "../model/row-ref.ts";
import { PAGE_ROWS, type QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { updateBySet } from "./runs.ts";
import { stages } from "./schema.ts";
import {
  column,
  insertRows,
  listOfRun,
  type Param,
  propertiesOf,
  remembering,
  selectList,
  type Statement,
  statement,
} from "./sql.ts";

const PROPERTIES = propertiesOf(stages);
const SELECT = `SELECT ${selectList(PROPERTIES)} FROM "stages"`;
const NEW_ROW = propertiesOf(stages, "commits");

export function selectStage(query: QueryOf<"stage">): Statement {
  return statement(
    `${SELECT} WHERE "workflow_run_id" = ? AND "stage_id" = ?`,
    query.workflowRunId,
    query.stageId,
  );
}

export function selectStageById(query: QueryOf<"stageById">): Statement {
  return statement(
    `${SELECT} WHERE "workflow_run_id" = ? AND "stage_id" = ? AND "id" = ?`,
    query.workflowRunId,
    query.stageId,
    query.id,
  );
}

export function selectStages(query: QueryOf<"stages">): Statement {
  const params: Param[] = [query.workflowRunId];
  let where = `"workflow_run_id" = ?`;
  if (query.status !== null) {
    where += ` AND "status" = ?`;
    params.push(query.status);
  }
  if (query.beforeGroup !== null) {
    where += ` AND "execution_group" < ?`;
    params.push(query.beforeGroup);
  }
  if (query.withoutNextPoll) where += ` AND "next_poll_at" IS NULL`;
  if (query.after !== undefined && query.after !== null) {
    const { executionGroup, stageNumber, stageId } = query.after;
    where += ` AND ("execution_group", "stage_number", "stage_id") ${query.descending ? "<" : ">"} (?, ?, ?)`;
    params.push(executionGroup, stageNumber, stageId);
  }
  return listOfRun({
    table: "stages",
    properties: PROPERTIES,
    key: "stageId",
    order: ["executionGroup", "stageNumber", "stageId"],
    descending: query.descending,
    where,
    params,
    limit: query.limit,
    omit: query.omit,
    bytesMax: query.bytesMax,
  });
}

export function selectSuspendedStages(query: QueryOf<"suspendedStages">): Statement {
  const { before, after, limit = PAGE_ROWS } = query;
  const order = `ORDER BY "next_poll_at", "workflow_run_id", "stage_id" LIMIT ${limit}`;
  const suspended = `${SELECT} INDEXED BY "stages_suspended_idx" WHERE "status" = 'SUSPENDED' AND "next_poll_at" IS NOT NULL AND "next_poll_at" <= ?`;
  return after === null
    ? statement(`${suspended} ${order}`, before)
    : statement(
        `${suspended} AND ("next_poll_at", "workflow_run_id", "stage_id") > (?, ?, ?) ${order}`,
        before,
        after.nextPollAt,
        after.workflowRunId,
        after.stageId,
      );
}

export function selectUnattendedStages({ before, limit }: QueryOf<"unattendedStages">): Statement {
  const due = `SELECT "workflow_run_id", "stage_id", "next_poll_at" FROM "stages" INDEXED BY "stages_suspended_idx" WHERE "status" = 'SUSPENDED' AND "next_poll_at" IS NOT NULL AND "next_poll_at" <= ? ORDER BY "next_poll_at", "workflow_run_id", "stage_id" LIMIT ${STAGES_LOOKED_AT}`;
  return statement(
    `SELECT due."workflow_run_id" AS "workflowRunId", due."stage_id" AS "stageId", due."next_poll_at" AS "nextPollAt", run."workflow_id" AS "workflowId" ` +
      `FROM (${due}) AS due CROSS JOIN "runs" AS run ON run."id" = due."workflow_run_id" ` +
      `WHERE +run."status" IN ('PENDING', 'RUNNING', 'SUSPENDED') AND NOT EXISTS (SELECT 1 FROM "jobs" WHERE "jobs"."workflow_run_id" = due."workflow_run_id" AND "jobs"."stage_id" = due."stage_id" AND +"jobs"."status" IN ('PENDING', 'RUNNING', 'SUSPENDED')) ` +
      `ORDER BY due."next_poll_at", due."workflow_run_id", due."stage_id" LIMIT ?`,
    before,
    limit,
  );
}

export function createStages(changes: readonly ChangeOf<"createStage">[], commitId: string) {
  return insertRows(
    `"stages"`,
    changes.map((change) => change.row),
    NEW_ROW,
    commitId,
  );
}

export function updateStages(changes: readonly ChangeOf<"updateStage">[], commitId: string) {
  return updateBySet("stages", ["workflowRunId", "stageId"], changes, commitId);
}

export function upsertStages(changes: readonly ChangeOf<"upsertStage">[], commitId: string) {
  return changes.flatMap(({ row, set }) => {
    const commits = remembering(commitId, `"stages"."commits"`);
    const sets = Object.entries(set).filter(([, value]) => value !== undefined);
    const upsert =
      `ON CONFLICT ("workflow_run_id", "stage_id") DO UPDATE SET ` +
      sets.map(([name]) => `${column(name)} = ?, `).join("") +
      `"updated_at" = excluded."updated_at", "version" = "stages"."version" + 1, "commits" = ${commits.sql}`;
    return insertRows(`"stages"`, [row], NEW_ROW, commitId, upsert).map((insert) => ({
      sql: insert.sql,
      params: [...insert.params, ...sets.map(([, value]) => value ?? null), ...commits.params],
    }));
  });
}

export function deleteStages(changes: readonly ChangeOf<"deleteStage">[], commitId: string) {
  return changes.flatMap(({ workflowRunId, stageId, id }) => {
    const key = [workflowRunId, stageId] as const;
    const commits = remembering(commitId, `"commits"`);
    return [
      rememberDeleted(commitId, stageRef({ workflowRunId, stageId })),
      statement(`DELETE FROM "stages" WHERE "workflow_run_id" = ? AND "stage_id" = ?`, ...key),
      statement(
        `DELETE FROM "logs" WHERE "workflow_run_id" = ? AND "workflow_stage_id" = ?`,
        workflowRunId,
        id,
      ),
      {
        sql: `UPDATE "artifacts" SET "workflow_stage_id" = NULL, "commits" = ${commits.sql} WHERE "workflow_run_id" = ? AND "workflow_stage_id" = ?`,
        params: [...commits.params, workflowRunId, id],
      },
      {
        sql: `UPDATE "annotations" SET "workflow_stage_record_id" = NULL, "commits" = ${commits.sql} WHERE "workflow_run_id" = ? AND "workflow_stage_record_id" = ?`,
        params: [...commits.params, workflowRunId, id],
      },
    ];
  });
}

export const stageChangeSql: ChangeSqlOf<
  "createStage" | "updateStage" | "upsertStage" | "deleteStage"
> = {
  createStage: { write: createStages },
  updateStage: { write: updateStages },
  upsertStage: { write: upsertStages },
  deleteStage: { write: deleteStages },
};

export const stageQuerySql: QuerySqlOf<
  "stage" | "stageById" | "stages" | "suspendedStages" | "unattendedStages"
> = {
  stage: { select: selectStage, ...aRowOf(stages) },
  stageById: { select: selectStageById, ...aRowOf(stages) },
  stages: { select: selectStages, ...rowsOf(stages) },
  suspendedStages: { select: selectSuspendedStages, ...rowsOf(stages) },
  unattendedStages: { select: selectUnattendedStages, ...plainRows },
};
