/** Pages of a run's rows. Each is a range of a primary key, which begins with the run. */
import { allRows, type QuerySqlOf } from "./change-sql.ts";
import { LONG_TEXT } from "../model/index.ts";
import type { QueryOf } from "../queries/index.ts";
import { withTexts } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { column, listOfRun, type Param, type Statement } from "./sql.ts";

const TABLES = {
  logs: { key: "ordinal", properties: propertiesOf("logs") },
  artifacts: { key: "key", properties: propertiesOf("artifacts") },
  outboxEvents: { key: "sequence", properties: propertiesOf("outboxEvents") },
  jobs: { key: "ordinal", properties: propertiesOf("jobs") },
} as const;

/** A sequence is a number in the table and text in the query. */
export function selectPage(query: QueryOf<"page">): Statement {
  const { of: table, workflowRunId, after, descending, limit, omit, bytesMax } = query;
  const { key, properties } = TABLES[table];
  const params: Param[] = [workflowRunId];
  let where = `"workflow_run_id" = ?`;
  if (after !== null) {
    where += ` AND ${column(key)} ${descending ? "<" : ">"} ${table === "outboxEvents" ? "CAST(? AS INTEGER)" : "?"}`;
    params.push(after);
  }
  const order = [key];
  return listOfRun({
    table,
    properties,
    key,
    order,
    descending,
    where,
    params,
    limit,
    omit,
    bytesMax,
  });
}

export const pageQuerySql: QuerySqlOf<"page"> = {
  page: {
    select: selectPage,
    answer: (rows, { of }) => allRows(withTexts(LONG_TEXT[of], rows)),
    size: ({ of }) => ({ rows: of }),
  },
};
