/**
 * A bound for what queries answer. The database checks it, so that no Worker ever holds an answer
 * that is too large.
 */
import { ServiceError } from "../contract/index.ts";
import type { AnswerSize } from "./change-sql.ts";
import { textsOf } from "./names.ts";
import { type Statement, TEXTS_BESIDE } from "./sql.ts";

/** What a row takes beside its text. */
const ROW_BYTES = 500;
/** A row of a few ids and numbers. */
const PLAIN_ROW_BYTES = 2_000;

const MARK = "wfe:answer-too-large";

/** The statement of a query, made to fail when its rows have more than `bytesMax` bytes. */
export function withinAnswer(plain: Statement, size: AnswerSize, bytesMax: number): Statement {
  if (size === "number") return plain;
  const bytes = bytesSql(size);
  const within = (total: string) =>
    `WHERE CASE WHEN ${total} > ${bytesMax} THEN json_extract('{}', '${MARK}') ELSE 1 END`;
  if (size !== "plain-rows" && size.single === true) {
    return { sql: `SELECT * FROM (${plain.sql}) AS answer ${within(bytes)}`, params: plain.params };
  }
  // MATERIALIZED: the rows are read from the table once, measured, and only then answered, in their
  // order. D1 counts each as read three times.
  return {
    sql:
      `WITH answer AS MATERIALIZED (${plain.sql}) SELECT * FROM answer ` +
      within(`(SELECT total(${bytes}) FROM answer)`),
    params: plain.params,
  };
}

/**
 * The SQL of a row's size: its text, and a fixed part. With its table's name before it, a column that
 * the answer does not have is an error; alone it would count as text.
 */
function bytesSql(size: Exclude<AnswerSize, "number">): string {
  if (size === "plain-rows") return String(PLAIN_ROW_BYTES);
  const texts = textsOf(size.rows).filter((name) => size.only?.includes(name) ?? true);
  // A place counts as a number's few digits, and its text where it is brought along.
  const sizes = [...texts, TEXTS_BESIDE].map((name) => `ifnull(octet_length(answer."${name}"), 0)`);
  return [ROW_BYTES, ...sizes].join(" + ");
}

/** The error that such a failure means, or null. */
export function answerTooLarge(message: string, limit: number | undefined): ServiceError | null {
  if (limit === undefined || !message.includes(MARK)) return null;
  return new ServiceError(
    "PAYLOAD_TOO_LARGE",
    `The answer would have more than ${limit} bytes; ask for fewer rows, or for fewer of their fields`,
    { field: "answer", limit },
  );
}
