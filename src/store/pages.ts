/** Pages of a run's rows: ranges of the primary key, which begins with the run. */
import type { QueryOf } from "../changes/index.ts";
import { artifacts, jobs, logs, outboxEvents } from "./schema.ts";
import { column, type Param, propertiesOf, selectList, type Statement } from "./sql.ts";

const TABLES = {
  logs: { table: "logs", key: "ordinal", properties: propertiesOf(logs) },
  artifacts: { table: "artifacts", key: "key", properties: propertiesOf(artifacts) },
  outboxEvents: { table: "outbox_events", key: "sequence", properties: propertiesOf(outboxEvents) },
  jobs: { table: "jobs", key: "ordinal", properties: propertiesOf(jobs, "delayed") },
} as const;

export function selectPage(query: QueryOf<"page">): Statement {
  const { of, workflowRunId, after, descending, limit, omit } = query;
  const { table, key, properties } = TABLES[of];
  const params: Param[] = [workflowRunId];
  let where = `"workflow_run_id" = ?`;
  if (after !== null) {
    where += ` AND ${column(key)} ${descending ? "<" : ">"} ${of === "outboxEvents" ? "CAST(? AS INTEGER)" : "?"}`;
    params.push(after);
  }
  return {
    sql: `SELECT ${selectList(properties, undefined, omit)} FROM "${table}" WHERE ${where} ORDER BY ${column(key)}${descending ? " DESC" : ""} LIMIT ?`,
    params: [...params, limit],
  };
}
