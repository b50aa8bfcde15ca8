/** Signals: the SQL of their query and changes. */
import { aRowOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { signalPrefix } from "../model/index.ts";
import type { QueryOf } from "../queries/index.ts";
import { insertRows } from "./long-texts.ts";
import { signals } from "./schema.ts";
import { propertiesOf, selectRow, type Statement, statement, updateRows } from "./sql.ts";

const PROPERTIES = propertiesOf(signals);

/** The SELECT of a run's untaken signals of a name: a range of the primary key, since all of their ids begin alike. */
export function untakenSignal(run: string, name: string, prefix: string): string {
  return (
    `SELECT 1 FROM "signals" WHERE "signals"."workflow_run_id" = ${run} AND "signals"."id" >= ${prefix} ` +
    `AND "signals"."id" < ${prefix} || char(1114111) AND "signals"."name" = ${name} AND "signals"."taken_at" IS NULL`
  );
}

export function selectNextSignal({ workflowRunId, name }: QueryOf<"nextSignal">): Statement {
  const untaken = untakenSignal("?1", "?2", "?3").replace(
    "SELECT 1",
    `SELECT ${selectRow("signals", PROPERTIES)}`,
  );
  return statement(
    `${untaken} ORDER BY "ordinal" LIMIT 1`,
    workflowRunId,
    name,
    signalPrefix(name),
  );
}

export function sendSignals(changes: readonly ChangeOf<"sendSignal">[]) {
  const rows = changes.map(({ row }) => row);
  return insertRows("signals", rows, PROPERTIES, null, statement("ON CONFLICT DO NOTHING"));
}

export function takeSignals(changes: readonly ChangeOf<"takeSignal">[]) {
  const rows = { key: ["workflowRunId", "id"], rows: changes, names: ["at"] } as const;
  return updateRows("signals", rows, null, (given) => ({
    set: `"taken_at" = ifnull("taken_at", ${given("at")})`,
  }));
}

export const signalChangeSql: ChangeSqlOf<"sendSignal" | "takeSignal"> = {
  sendSignal: { write: sendSignals },
  takeSignal: { write: takeSignals },
};

export const signalQuerySql: QuerySqlOf<"nextSignal"> = {
  nextSignal: { select: selectNextSignal, ...aRowOf(signals) },
};
