/** Stages: the SQL of their queries and changes. */
import { aRowOf, plainRows, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { attendAtOf, TYPED_METADATA } from "../model/index.ts";
import { stageRef } from "../model/row-ref.ts";
import { PAGE_ROWS, type QueryOf, type StageInput } from "../queries/index.ts";
import { rememberAllDeleted, rememberDeleted } from "./deleted.ts";
import { dropAllTexts, dropTexts, hasTexts, insertRows } from "./long-texts.ts";
import { ATTENDED_BY, attendance, updateBySet } from "./runs.ts";
import { isPlace, placedId } from "./place.ts";
import { propertiesOf } from "./names.ts";
import {
  IS_LIVE,
  column,
  columns,
  listOfRun,
  type Param,
  remembering,
  selectList,
  selectRow,
  type Statement,
  statement,
  updateRows,
} from "./sql.ts";

const PROPERTIES = propertiesOf("stages");
const SELECT = `SELECT ${selectRow("stages", PROPERTIES)} FROM "stages"`;
const NEW_ROW = propertiesOf("stages", "commits");
const KEY = ["workflowRunId", "stageId"] as const;

const INPUT = [
  "stageId",
  "executionGroup",
  "outputData",
  "status",
  "errorMessage",
] as const satisfies (keyof StageInput)[];
/** What a stage gave, with the columns of a `StageInput`. */
const GIVEN = selectRow("stages", INPUT, { alias: "given" });

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
    where += ` AND +"status" = ?`;
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
  const attended = `EXISTS (SELECT 1 FROM "jobs" WHERE "jobs"."workflow_run_id" = stage."workflow_run_id" AND "jobs"."stage_id" = stage."stage_id" AND +"jobs"."status" ${IS_LIVE})`;
  return statement(
    `SELECT ${selectList(["workflowRunId", "stageId", "nextPollAt", "version", "attendAt"], "stage")}, run."workflow_id" AS "workflowId", ` +
      `ifnull(substr(run."metadata", 1, ${TYPED_METADATA.length}) = '${TYPED_METADATA}', 0) AS "typed", ` +
      `CASE WHEN run."id" IS NULL OR +run."status" NOT ${IS_LIVE} THEN 'over' WHEN ${attended} THEN 'attended' ELSE 'unattended' END AS "state" ` +
      `FROM "stages" AS stage INDEXED BY "stages_attend_idx" LEFT JOIN "runs" AS run ON run."id" = stage."workflow_run_id" ` +
      `WHERE stage."attend_at" IS NOT NULL AND stage."attend_at" <= ? ORDER BY stage."attend_at", stage."workflow_run_id", stage."stage_id" LIMIT CAST(? AS INTEGER)`,
    now,
    limit,
  );
}

/** IS, because `=` would let D1 walk the partial index of all stages in the sweep's line. */
export function attendStages(changes: readonly ChangeOf<"attendStage">[]): Statement[] {
  const rows = { key: KEY, rows: changes, names: ["seenAt", "dueAt"] } as const;
  return updateRows("stages", rows, null, (given) => ({
    set: `"attend_at" = ${given("dueAt")}`,
    where:
      `"stages"."attend_at" IS ${given("seenAt")} AND (${given("dueAt")} IS NOT NULL ` +
      `OR NOT EXISTS (SELECT 1 FROM "runs" WHERE "runs"."id" = ${given("workflowRunId")} AND +"runs"."status" ${IS_LIVE}))`,
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
  return updateBySet("stages", KEY, changes, commitId);
}

export function upsertStages(changes: readonly ChangeOf<"upsertStage">[], commitId: string) {
  return changes.flatMap(({ row, set }) => {
    const { workflowRunId, stageId } = row;
    const rows = [{ ...row, attendAt: attendAtOf(row) }];
    if (hasTexts("stages", row) || hasTexts("stages", set)) {
      // Two statements, of which one does nothing, so that only the texts of the other are put.
      const update = { workflowRunId, stageId, set, at: row.updatedAt, bump: 1 };
      return [
        ...updateBySet("stages", KEY, [update], commitId),
        ...insertRows("stages", rows, NEW_ROW, commitId, statement("ON CONFLICT DO NOTHING")),
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
    const rest = statement(upsert, ...values, ...attended, ...commits.params);
    return [
      ...dropTexts("stages", [{ workflowRunId, stageId }], names),
      ...insertRows("stages", rows, NEW_ROW, commitId, rest),
    ];
  });
}

export function deleteStages(changes: readonly ChangeOf<"deleteStage">[], commitId: string) {
  return changes.flatMap(({ workflowRunId, stageId, id }) => {
    const stage = statement(
      `"stages" AS owner WHERE "workflow_run_id" = ? AND "stage_id" = ?`,
      workflowRunId,
      stageId,
    );
    const logs = statement(
      `"logs" AS owner WHERE "workflow_run_id" = ? AND "workflow_stage_id" = ?`,
      workflowRunId,
      id,
    );
    const commits = remembering(commitId, `"commits"`);
    return [
      rememberDeleted(commitId, stageRef({ workflowRunId, stageId })),
      dropAllTexts("stages", stage),
      statement(`DELETE FROM ${stage.sql}`, ...stage.params),
      dropAllTexts("logs", logs),
      statement(`DELETE FROM ${logs.sql}`, ...logs.params),
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

/** The unary plus makes D1 look up this run's stages, not all that are suspended. */
export function cancelStages(changes: readonly ChangeOf<"cancelStages">[], commitId: string) {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ workflowRunId, at }) => ({
    sql:
      `UPDATE "stages" SET "status" = 'CANCELLED', "completed_at" = ?, "updated_at" = ?, "next_poll_at" = NULL, "attend_at" = NULL, "version" = "version" + 1, "commits" = ${commits.sql} ` +
      `WHERE "workflow_run_id" = ? AND +"status" ${IS_LIVE}`,
    params: [at, at, ...commits.params, workflowRunId],
  }));
}

const ATTEMPT = columns(propertiesOf("stages"));
/** Open ones are cancelled; the parameter says when. */
const ARCHIVED = propertiesOf("stages").map((name) => {
  const unlessOpen = (value: string) =>
    `CASE WHEN +"status" ${IS_LIVE} THEN ${value} ELSE ${column(name)} END`;
  if (name === "status") return unlessOpen("'CANCELLED'");
  if (name === "completedAt") return unlessOpen("?");
  return name === "nextPollAt" ? unlessOpen("NULL") : column(name);
});

export function archiveStages(changes: readonly ChangeOf<"archiveStages">[], commitId: string) {
  return changes.flatMap(({ workflowRunId, stageId, group, at }) => {
    const from = statement(
      `"stages" WHERE "workflow_run_id" = ? AND ("execution_group" > ? OR ("execution_group" = ? AND ("stage_id" = ? OR +"status" NOT IN ('COMPLETED', 'SKIPPED'))))`,
      workflowRunId,
      group,
      group,
      stageId,
    );
    // Their long texts stay where they are: a place belongs to one row, whichever table has it.
    return [
      rememberAllDeleted(commitId, from),
      statement(
        `INSERT INTO "stage_attempts" (${ATTEMPT}) SELECT ${ARCHIVED.join(", ")} FROM ${from.sql}`,
        at,
        ...from.params,
      ),
      statement(`DELETE FROM ${from.sql}`, ...from.params),
    ];
  });
}

export const stageChangeSql: ChangeSqlOf<
  | "createStage"
  | "updateStage"
  | "upsertStage"
  | "deleteStage"
  | "attendStage"
  | "cancelStages"
  | "archiveStages"
> = {
  createStage: { write: createStages },
  updateStage: { write: updateStages },
  upsertStage: { write: upsertStages },
  deleteStage: { write: deleteStages },
  attendStage: { write: attendStages },
  cancelStages: { write: cancelStages },
  archiveStages: { write: archiveStages },
};

/**
 * The stages are found by the ids in `input_data`, one look each, however many the run has. Items of
 * a list have whole numbers for keys.
 */
export function selectStageInputs({ workflowRunId, stageId }: QueryOf<"stageInputs">): Statement {
  const held = `"stages"."input_data"`;
  const text = `CASE WHEN ${isPlace(held)} THEN (SELECT "text" FROM "long_texts" WHERE "id" = ${placedId(held)}) ELSE ${held} END`;
  const input = `SELECT ${text} AS "inputData" FROM "stages" WHERE "workflow_run_id" = ?1 AND "stage_id" = ?2`;
  return statement(
    `SELECT ${GIVEN} FROM (${input}) AS taker ` +
      `CROSS JOIN json_each(taker."inputData", '$.from') AS source ` +
      `CROSS JOIN "stages" AS given ON given."workflow_run_id" = ?1 AND given."stage_id" = source."value" ` +
      `WHERE typeof(source."key") = 'integer' AND source."type" = 'text'`,
    workflowRunId,
    stageId,
  );
}

export function selectStageOutputs({
  workflowRunId,
  stageIds,
}: QueryOf<"stageOutputs">): Statement {
  return statement(
    `SELECT ${GIVEN} FROM json_each(?2) AS place CROSS JOIN "stages" AS given ON given."workflow_run_id" = ?1 AND given."stage_id" = place.value`,
    workflowRunId,
    JSON.stringify(stageIds),
  );
}

export function selectStageAttempts({
  workflowRunId,
  after,
  limit,
}: QueryOf<"stageAttempts">): Statement {
  return statement(
    `SELECT ${selectRow("stageAttempts", PROPERTIES)} FROM "stage_attempts" WHERE "workflow_run_id" = ? AND "id" > ? ORDER BY "id" LIMIT CAST(? AS INTEGER)`,
    workflowRunId,
    after,
    limit,
  );
}

export const stageQuerySql: QuerySqlOf<
  | "stage"
  | "stageById"
  | "stages"
  | "suspendedStages"
  | "unattendedStages"
  | "stageInputs"
  | "stageOutputs"
  | "stageAttempts"
> = {
  stageInputs: { select: selectStageInputs, ...rowsOf("stages", INPUT) },
  stageOutputs: { select: selectStageOutputs, ...rowsOf("stages", INPUT) },
  stageAttempts: { select: selectStageAttempts, ...rowsOf("stageAttempts") },
  stage: { select: selectStage, ...aRowOf("stages") },
  stageById: { select: selectStageById, ...aRowOf("stages") },
  stages: { select: selectStages, ...rowsOf("stages") },
  suspendedStages: { select: selectSuspendedStages, ...rowsOf("stages") },
  unattendedStages: { select: selectUnattendedStages, ...plainRows },
};
