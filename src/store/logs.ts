/** Logs: the SQL of their change. They are only added to; `pages.ts` reads them. */
import type { ChangeSqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { statement } from "./sql.ts";

const ROW = propertiesOf("logs");

export function createLogs(changes: readonly ChangeOf<"createLog">[]) {
  return insertRows(
    "logs",
    changes.map((change) => change.row),
    ROW,
    null,
    statement("ON CONFLICT DO NOTHING"),
  );
}

export const logChangeSql: ChangeSqlOf<"createLog"> = { createLog: { write: createLogs } };
