/** Artifacts: the SQL of their queries and changes. */
import { aRowOf, presence, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { artifactRef } from "../model/row-ref.ts";
import type { QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { dropAllTexts, dropTexts, holdTexts } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import {
  columns,
  groupBy,
  remembering,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
} from "./sql.ts";

const SELECT = `SELECT ${selectRow("artifacts", propertiesOf("artifacts"))} FROM "artifacts"`;
const NEW_ROW = propertiesOf("artifacts", "commits");

export function selectArtifact(query: QueryOf<"artifact">): Statement {
  return statement(
    `${SELECT} WHERE "workflow_run_id" = ? AND "key" = ?`,
    query.workflowRunId,
    query.key,
  );
}

export function selectArtifactExists(query: QueryOf<"hasArtifact">): Statement {
  return statement(
    `SELECT 1 AS "found" FROM "artifacts" WHERE "workflow_run_id" = ? AND "key" = ?`,
    query.workflowRunId,
    query.key,
  );
}

export function selectArtifacts(query: QueryOf<"artifacts">): Statement {
  return statement(`${SELECT} WHERE "workflow_run_id" = ? ORDER BY "key"`, query.workflowRunId);
}

/** Changes that replace the same columns share a statement. */
export function saveArtifacts(changes: readonly ChangeOf<"saveArtifact">[], commitId: string) {
  const commits = remembering(commitId, `"artifacts"."commits"`);
  const linked = `CASE WHEN src."link_stage_id" IS NULL THEN src."workflow_stage_id" ELSE (SELECT "id" FROM "stages" WHERE "stages"."workflow_run_id" = src."workflow_run_id" AND "stages"."stage_id" = src."link_stage_id") END`;
  const statements: Statement[] = [];
  for (const group of groupBy(changes, (c) => `${c.replaceStage},${c.replaceMetadata}`).values()) {
    const replaced = ["updatedAt", "data", "size", "type"];
    if (group[0]?.replaceStage === true) replaced.push("workflowStageId");
    if (group[0]?.replaceMetadata === true) replaced.push("metadata");
    const rows = group.map(({ row, linkStageId }) => ({ ...row, linkStageId }));
    const held = holdTexts("artifacts", rows, "after");
    // The stage may be found by the statement itself.
    const set = NEW_ROW.filter(
      (name) => name === "workflowStageId" || rows.some((row) => row[name] !== null),
    );
    const selected = set
      .map((name) =>
        name === "workflowStageId" ? linked : held.stored(name, `src.${columns([name])}`),
      )
      .join(", ");
    statements.push(...dropTexts("artifacts", rows, replaced));
    for (const source of sourcesOf(held.rows, [...set, "linkStageId"])) {
      statements.push({
        sql:
          `INSERT INTO "artifacts" (${columns(set)}, "commits") SELECT ${selected}, ? FROM ${source.sql} WHERE true ` +
          `ON CONFLICT ("workflow_run_id", "key") DO UPDATE SET ` +
          replaced.map((name) => `${columns([name])} = excluded.${columns([name])}, `).join("") +
          `"commits" = ${commits.sql}`,
        params: [commitId, ...source.params, ...commits.params],
      });
    }
    statements.push(...held.after);
  }
  return statements;
}

/** The row's memory is handed on first. */
export function deleteArtifacts(changes: readonly ChangeOf<"deleteArtifact">[], commitId: string) {
  return changes.flatMap(({ workflowRunId, key }) => {
    const artifact = statement(
      `"artifacts" AS owner WHERE "workflow_run_id" = ? AND "key" = ?`,
      workflowRunId,
      key,
    );
    return [
      rememberDeleted(commitId, artifactRef({ workflowRunId, key })),
      dropAllTexts("artifacts", artifact),
      statement(`DELETE FROM ${artifact.sql}`, ...artifact.params),
    ];
  });
}

export const artifactChangeSql: ChangeSqlOf<"saveArtifact" | "deleteArtifact"> = {
  saveArtifact: { write: saveArtifacts },
  deleteArtifact: { write: deleteArtifacts },
};

export const artifactQuerySql: QuerySqlOf<"artifact" | "hasArtifact" | "artifacts"> = {
  artifact: { select: selectArtifact, ...aRowOf("artifacts") },
  hasArtifact: { select: selectArtifactExists, ...presence },
  artifacts: { select: selectArtifacts, ...rowsOf("artifacts") },
};
