/** Stages: the SQL of their queries and changes. */
import { aRowOf, plainRows, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { attendAtOf } from "../model/index.ts";
import { PAGE_ROWS, type QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { ATTENDED_BY, attendance, updateBySet } from "./runs.ts";
import { dropLongTexts, heldRow, insertRows, placesOf } from "./long-texts.ts";
import { stages } from "./schema.ts";
import {
  column,
  listOfRun,
  type Param,
  propertiesOf,
  remembering,
  selectList,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
} from "./sql.ts";

const PROPERTIES = propertiesOf(stages);
const SELECT = `SELECT ${selectRow("stages", PROPERTIES)} FROM "stages"`;
const LIVE = `IN ('PENDING', 'RUNNING', 'SUSPENDED')`;
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

export function selectUnattendedStages({ now, limit }: QueryOf<"unattendedStages">): Statement {
  const attended = `EXISTS (SELECT 1 FROM "jobs" WHERE "jobs"."workflow_run_id" = stage."workflow_run_id" AND "jobs"."stage_id" = stage."stage_id" AND +"jobs"."status" ${LIVE})`;
  return statement(
    `SELECT ${selectList(["workflowRunId", "stageId", "nextPollAt", "attendAt"], "stage")}, run."workflow_id" AS "workflowId", ` +
      `CASE WHEN run."id" IS NULL OR +run."status" NOT ${LIVE} THEN 'over' WHEN ${attended} THEN 'attended' ELSE 'unattended' END AS "state" ` +
      `FROM "stages" AS stage INDEXED BY "stages_attend_idx" LEFT JOIN "runs" AS run ON run."id" = stage."workflow_run_id" ` +
      `WHERE stage."attend_at" IS NOT NULL AND stage."attend_at" <= ? ORDER BY stage."attend_at", stage."workflow_run_id", stage."stage_id" LIMIT ?`,
    now,
    limit,
  );
}

/** IS, since `=` would let D1 walk the partial index of all stages that are looked after. */
export function attendStages(changes: readonly ChangeOf<"attendStage">[]): Statement[] {
  return sourcesOf(changes, ["workflowRunId", "stageId", "seenAt", "dueAt"]).map((source) => ({
    sql:
      `UPDATE "stages" SET "attend_at" = src."due_at" FROM ${source.sql} WHERE "stages"."workflow_run_id" = src."workflow_run_id" ` +
      `AND "stages"."stage_id" = src."stage_id" AND "stages"."attend_at" IS src."seen_at" ` +
      `AND (src."due_at" IS NOT NULL OR NOT EXISTS (SELECT 1 FROM "runs" WHERE "runs"."id" = src."workflow_run_id" AND +"runs"."status" ${LIVE}))`,
    params: source.params,
  }));
}

export function createStages(changes: readonly ChangeOf<"createStage">[], commitId: string) {
  return insertRows(
    "stages",
    changes.map(({ row }) => ({ ...row, attendAt: attendAtOf(row) })),
    NEW_ROW,
    commitId,
  );
}

export function updateStages(changes: readonly ChangeOf<"updateStage">[], commitId: string) {
  return updateBySet("stages", ["workflowRunId", "stageId"], changes, commitId);
}

export function upsertStages(changes: readonly ChangeOf<"upsertStage">[], commitId: string) {
  return changes.flatMap(({ row, set }) => {
    const rows = [{ ...row, attendAt: attendAtOf(row) }];
    if (placesOf([heldRow("stages", row), heldRow("stages", set)]).length > 0) {
      // Two statements, of which one does nothing: so the texts that follow each are those of what it has written.
      const key = { workflowRunId: row.workflowRunId, stageId: row.stageId };
      const update = { ...key, set, at: row.updatedAt, bump: 1 };
      return [
        ...updateBySet("stages", ["workflowRunId", "stageId"], [update], commitId),
        ...insertRows("stages", rows, NEW_ROW, commitId, "ON CONFLICT DO NOTHING"),
      ];
    }
    const commits = remembering(commitId, `"stages"."commits"`);
    const sets = Object.entries(set).filter(([, value]) => value !== undefined);
    const names = sets.map(([name]) => name);
    const upsert =
      `ON CONFLICT ("workflow_run_id", "stage_id") DO UPDATE SET ` +
      names.map((name) => `${column(name)} = ?, `).join("") +
      attendance(names, () => "?") +
      `"updated_at" = excluded."updated_at", "version" = "stages"."version" + 1, "commits" = ${commits.sql}`;
    const values = sets.map(([, value]) => value ?? null);
    const attended = ATTENDED_BY.flatMap((name) =>
      names.includes(name) ? [set[name] ?? null] : [],
    );
    return insertRows("stages", rows, NEW_ROW, commitId, upsert).map((insert) => ({
      sql: insert.sql,
      params: [...insert.params, ...values, ...attended, ...commits.params],
    }));
  });
}

export function deleteStages(changes: readonly ChangeOf<"deleteStage">[], commitId: string) {
  return changes.flatMap(({ workflowRunId, stageId, id }) => {
    const key = [workflowRunId, stageId] as const;
    const commits = remembering(commitId, `"commits"`);
    return [
      rememberDeleted(commitId, "stages", ["workflowRunId", "stageId"], key),
      dropLongTexts(
        statement(
          `SELECT "long_text_id" FROM "stages" WHERE "workflow_run_id" = ?1 AND "stage_id" = ?2 ` +
            `UNION ALL SELECT "later_text_id" FROM "stages" WHERE "workflow_run_id" = ?1 AND "stage_id" = ?2 ` +
            `UNION ALL SELECT "long_text_id" FROM "logs" WHERE "workflow_run_id" = ?1 AND "workflow_stage_id" = ?3`,
          ...key,
          id,
        ),
      ),
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
  "createStage" | "updateStage" | "upsertStage" | "deleteStage" | "attendStage"
> = {
  createStage: { write: createStages },
  updateStage: { write: updateStages },
  upsertStage: { write: upsertStages },
  deleteStage: { write: deleteStages },
  attendStage: { write: attendStages },
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
