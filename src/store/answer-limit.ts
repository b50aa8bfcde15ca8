/** A bound for what queries answer. It is met in the database, before an answer is on its way: whoever asks never has to hold it. */
import { getTableColumns } from "drizzle-orm";
import { ServiceError } from "../contract/index.ts";
import type { AnswerSize } from "./change-sql.ts";
import type { Statement } from "./sql.ts";

/** What a row takes beside its text. */
const ROW_BYTES = 500;
/** A row of a few ids and numbers. */
const PLAIN_ROW_BYTES = 2_000;

const MARK = "wfe:answer-too-large";

/** The statement of a query, which fails when its rows have more than so many bytes. */
export function withinAnswer(plain: Statement, size: AnswerSize, bytesMax: number): Statement {
  if (size === "number") return plain;
  const bytes = bytesSql(size);
  const within = (total: string) =>
    `WHERE CASE WHEN ${total} > ${bytesMax} THEN json_extract('{}', '${MARK}') ELSE 1 END`;
  if (size !== "plain-rows" && size.single === true) {
    return { sql: `SELECT * FROM (${plain.sql}) ${within(bytes)}`, params: plain.params };
  }
  // MATERIALIZED: the rows are read from the table once, measured, and only then given out, in their order. D1 counts each three times.
  return {
    sql:
      `WITH answer AS MATERIALIZED (${plain.sql}) SELECT * FROM answer ` +
      within(`(SELECT total(${bytes}) FROM answer)`),
    params: plain.params,
  };
}

function bytesSql(size: Exclude<AnswerSize, "number">): string {
  if (size === "plain-rows") return String(PLAIN_ROW_BYTES);
  const { rows, properties } = size;
  const texts = Object.entries(getTableColumns(rows))
    .filter(([name, { dataType }]) => dataType === "string" && (properties?.includes(name) ?? true))
    .map(([name]) => `ifnull(octet_length("${name}"), 0)`);
  return [ROW_BYTES, ...texts].join(" + ");
}

/** The fault that such a failure means, or null. */
export function answerTooLarge(message: string, limit: number | undefined): ServiceError | null {
  if (limit === undefined || !message.includes(MARK)) return null;
  return new ServiceError(
    "PAYLOAD_TOO_LARGE",
    `The answer would have more than ${limit} bytes; ask for fewer rows, or for fewer of their fields`,
    { field: "answer", limit },
  );
}
