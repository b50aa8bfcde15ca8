/** Signals: the SQL of their query and changes. */
import { aRowOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { signalPrefix, takenSignalId } from "../model/index.ts";
import { signalRef } from "../model/row-ref.ts";
import type { QueryOf } from "../queries/index.ts";
import { insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { fromRow, selectRow, type Statement, statement, updateRows } from "./sql.ts";

const PROPERTIES = propertiesOf("signals");

/**
 * The SELECT of a run's untaken signals of a name: a range of the primary key, since all of their ids
 * begin alike, and those of taken ones do not. The prefix ends with a slash, and 0 is the character
 * after it.
 */
export function untakenSignal(run: string, name: string, prefix: string): string {
  const end = `substr(${prefix}, 1, length(${prefix}) - 1) || '0'`;
  return (
    `SELECT 1 FROM "signals" WHERE "signals"."workflow_run_id" = ${run} AND "signals"."id" >= ${prefix} ` +
    `AND "signals"."id" < ${end} AND "signals"."name" = ${name} AND "signals"."taken_at" IS NULL`
  );
}

export function selectNextSignal({ workflowRunId, name }: QueryOf<"nextSignal">): Statement {
  const untaken = untakenSignal("?1", "?2", "?3").replace(
    "SELECT 1",
    `SELECT ${selectRow("signals", PROPERTIES)}`,
  );
  return statement(
    `${untaken} ORDER BY "ordinal", "id" LIMIT 1`,
    workflowRunId,
    name,
    signalPrefix(name),
  );
}

/** Taken or not, a signal counts once. */
export function sendSignals(changes: readonly ChangeOf<"sendSignal">[]) {
  return changes.flatMap(({ row }) => {
    const unless = fromRow("SELECT 1", takenRef(row));
    const rest = { ...statement("ON CONFLICT DO NOTHING"), unless };
    return insertRows("signals", [row], PROPERTIES, null, rest);
  });
}

function takenRef({ workflowRunId, id }: { workflowRunId: string; id: string }) {
  return signalRef({ workflowRunId, id: takenSignalId(id) });
}

export function takeSignals(changes: readonly ChangeOf<"takeSignal">[]) {
  const taken = changes.map((change) => ({ ...change, taken: takenSignalId(change.id) }));
  const rows = { key: ["workflowRunId", "id"], rows: taken, names: ["taken", "at"] } as const;
  return updateRows("signals", rows, null, (given) => ({
    set: `"id" = ${given("taken")}, "taken_at" = ${given("at")}`,
    where: `"signals"."taken_at" IS NULL`,
  }));
}

/** A signal of the same id may be another commit's; the ordinal is this one's alone. */
export function selectSentSignal({ row }: ChangeOf<"sendSignal">): Statement {
  const { sql, params } = fromRow("SELECT 1", signalRef(row));
  const taken = fromRow("SELECT 1", takenRef(row));
  return statement(
    `${sql} AND "ordinal" = ? UNION ALL ${taken.sql} AND "ordinal" = ?`,
    ...params,
    row.ordinal,
    ...taken.params,
    row.ordinal,
  );
}

export const signalChangeSql: ChangeSqlOf<"sendSignal" | "takeSignal"> = {
  sendSignal: { write: sendSignals, trace: selectSentSignal },
  takeSignal: { write: takeSignals },
};

export const signalQuerySql: QuerySqlOf<"nextSignal"> = {
  nextSignal: { select: selectNextSignal, ...aRowOf("signals") },
};
