/** Annotations: the SQL of their queries and changes. */
import { rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { isFindable, type QueryOf } from "../queries/index.ts";
import { insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { listOfRun, type Param, sourcesOf, type Statement, statement } from "./sql.ts";

const PROPERTIES = propertiesOf("annotations");
const NEW_ROW = propertiesOf("annotations", "commits");

export function selectAnnotations(query: QueryOf<"annotations">): Statement {
  const { workflowRunId, filters, after } = query;
  const params: Param[] = [workflowRunId];
  let where = `"workflow_run_id" = ?`;
  const and = (condition: string, ...values: Param[]) => {
    where += ` AND ${condition}`;
    params.push(...values);
  };
  if (filters.key !== undefined) and(`"key" = ?`, filters.key);
  else if (filters.keyPrefix !== undefined) {
    // LIKE and GLOB have wildcards and a limit of 50 bytes. substr counts characters on both sides.
    and(`substr("key", 1, length(?)) = ?`, filters.keyPrefix, filters.keyPrefix);
  }
  if (filters.scope !== undefined) and(`"scope" = ?`, filters.scope);
  if (filters.scopeId !== undefined) and(`"scope_id" IS ?`, filters.scopeId);
  if (filters.actorId !== undefined) and(`"actor_id" = ?`, filters.actorId);
  if (filters.actorKind !== undefined) and(`"actor_kind" = ?`, filters.actorKind);
  if (filters.attempt !== undefined) and(`"attempt" = ?`, filters.attempt);
  if (filters.since !== undefined) and(`"created_at" >= ?`, filters.since);
  if (filters.until !== undefined) and(`"created_at" <= ?`, filters.until);
  if (after !== undefined && after !== null) {
    and(`("created_at", "ordinal") > (?, ?)`, after.createdAt, after.ordinal);
  }
  return listOfRun({
    table: "annotations",
    properties: PROPERTIES,
    key: "ordinal",
    order: ["createdAt", "ordinal"],
    descending: false,
    where,
    params,
    limit: filters.limit,
    omit: query.omit,
    bytesMax: query.bytesMax,
  });
}

/** Annotations whose value is short enough also get a row by which their run is found. */
export function appendAnnotations(
  changes: readonly ChangeOf<"appendAnnotation">[],
  commitId: string,
) {
  const rows = changes.map((change) => change.row);
  return [
    ...insertRows("annotations", rows, NEW_ROW, commitId, statement("ON CONFLICT DO NOTHING")),
    ...findRunsBy(rows.filter(({ value }) => isFindable(value))),
  ];
}

/**
 * Runs after the annotations are inserted, and reads what is stored: an annotation that was there
 * before, under the same idempotency key, may have another value.
 */
function findRunsBy(rows: readonly ChangeOf<"appendAnnotation">["row"][]): Statement[] {
  return sourcesOf(rows, ["workflowRunId", "ordinal"]).map(({ sql, params }) => ({
    sql:
      `INSERT INTO "annotated_runs" ("key", "value", "created_at", "ordinal", "workflow_run_id") ` +
      `SELECT stored."key", stored."value", "runs"."created_at", "runs"."ordinal", "runs"."id" FROM ${sql} ` +
      `CROSS JOIN "annotations" AS stored ON stored."workflow_run_id" = src."workflow_run_id" AND stored."ordinal" = src."ordinal" ` +
      `CROSS JOIN "runs" ON "runs"."id" = stored."workflow_run_id" WHERE true ON CONFLICT DO NOTHING`,
    params,
  }));
}

export const annotationChangeSql: ChangeSqlOf<"appendAnnotation"> = {
  appendAnnotation: { write: appendAnnotations },
};

export const annotationQuerySql: QuerySqlOf<"annotations"> = {
  annotations: { select: selectAnnotations, ...rowsOf("annotations") },
};
