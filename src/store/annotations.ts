/** Annotations: the SQL of their queries and changes. */
import type { ChangeOf, QueryOf } from "../changes/index.ts";
import { annotations } from "./schema.ts";
import { insertRows, type Param, propertiesOf, selectList, type Statement } from "./sql.ts";

const SELECT = `SELECT ${selectList(propertiesOf(annotations))} FROM "annotations"`;
const NEW_ROW = propertiesOf(annotations, "commits");

export function selectAnnotations({ workflowRunId, filters }: QueryOf<"annotations">): Statement {
  const params: Param[] = [workflowRunId];
  let where = `"workflow_run_id" = ?`;
  const and = (condition: string, ...values: Param[]) => {
    where += ` AND ${condition}`;
    params.push(...values);
  };
  if (filters.key !== undefined) and(`"key" = ?`, filters.key);
  else if (filters.keyPrefix !== undefined) {
    // LIKE and GLOB have wildcards, and a limit of 50 bytes; substr counts characters on both sides.
    and(`substr("key", 1, length(?)) = ?`, filters.keyPrefix, filters.keyPrefix);
  }
  if (filters.scope !== undefined) and(`"scope" = ?`, filters.scope);
  if (filters.scopeId !== undefined) and(`"scope_id" IS ?`, filters.scopeId);
  if (filters.actorId !== undefined) and(`"actor_id" = ?`, filters.actorId);
  if (filters.actorKind !== undefined) and(`"actor_kind" = ?`, filters.actorKind);
  if (filters.attempt !== undefined) and(`"attempt" = ?`, filters.attempt);
  if (filters.since !== undefined) and(`"created_at" >= ?`, filters.since);
  if (filters.until !== undefined) and(`"created_at" <= ?`, filters.until);
  return {
    sql: `${SELECT} WHERE ${where} ORDER BY "created_at", "ordinal" LIMIT ?`,
    params: [...params, filters.limit],
  };
}

export function appendAnnotations(
  changes: readonly ChangeOf<"appendAnnotation">[],
  commitId: string,
) {
  return insertRows(
    `"annotations"`,
    changes.map((change) => change.row),
    NEW_ROW,
    commitId,
    "ON CONFLICT DO NOTHING",
  );
}
