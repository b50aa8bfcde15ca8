/**
 * Statements as data, and the one way in which many rows reach one statement.
 *
 * A statement takes at most 100 parameters, so rows travel as one JSON array that json_each unfolds. A
 * parameter holds at most 2 MB, so the rows are cut into chunks, and a row that is alone in its chunk is
 * bound value by value, which spares it the escaping.
 */
import { getTableColumns } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import {
  COMMIT_ID_CHARS,
  COMMITS_REMEMBERED,
  LONG_TEXT,
  type LongTextTable,
  utf8Length,
} from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import type { TableName } from "../model/state.ts";
import {
  isNumber,
  LONG_TEXT_PLACES,
  longTextBytes,
  type LongTextPlace,
  snakeCase,
} from "./schema.ts";

/** Numbers bind as REAL; the columns' affinity makes them integers again. */
export type Param = string | number | null;

export interface Statement {
  readonly sql: string;
  readonly params: readonly Param[];
}

/** Rows as a subquery `src` with the given column names, plus `position`, and its parameters. */
export interface Source extends Statement {
  /** Index of the first row of this chunk among all rows. */
  readonly first: number;
}

const CHUNK_BYTES_MAX = 1_000_000;

export function statement(sql: string, ...params: Param[]): Statement {
  return { sql, params };
}

/** A column's name in SQL. */
export function column(name: string): string {
  return `"${snakeCase(name)}"`;
}

export function columns(names: readonly string[]): string {
  return names.map(column).join(", ");
}

/** The properties of each table's primary key, as a {@link RowRef} names a row. */
export const KEYS: Readonly<Record<TableName, readonly string[]>> = {
  runs: ["id"],
  stages: ["workflowRunId", "stageId"],
  logs: ["workflowRunId", "ordinal"],
  artifacts: ["workflowRunId", "key"],
  annotations: ["workflowRunId", "ordinal"],
  outboxEvents: ["workflowRunId", "sequence"],
  idempotencyKeys: ["key", "commandType"],
  jobs: ["workflowRunId", "ordinal"],
  aiCalls: ["batchId", "ordinal"],
  aiCallTotals: ["topic", "modelKey"],
};

export function keyColumns(table: TableName): string[] {
  return KEYS[table].map(snakeCase);
}

/** `select` from the row's table, where the row is. */
export function fromRow(select: string, { table, part, key }: RowRef): Statement {
  const keys = keyColumns(table);
  const second = table === "outboxEvents" ? Number(key) : key;
  return statement(
    `${select} FROM "${snakeCase(table)}" WHERE ${keys.map((name) => `"${name}" = ?`).join(" AND ")}`,
    ...[part, second].slice(0, keys.length),
  );
}

/** The properties of a table's rows, in the schema's order; not the places of their long texts. */
export function propertiesOf<T extends SQLiteTable, Except extends string = never>(
  table: T,
  ...except: Except[]
): Exclude<keyof T["_"]["columns"] & string, Except | LongTextPlace["id"]>[] {
  const names: readonly string[] = [...except, "longTextId", "laterTextId"];
  return Object.keys(getTableColumns(table)).filter(
    (name): name is Exclude<keyof T["_"]["columns"] & string, Except | LongTextPlace["id"]> =>
      !names.includes(name),
  );
}

/** A SELECT's list that answers columns under the properties' own names. Not for long text: that takes {@link selectRow}. */
export function selectList(names: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? "" : `${alias}.`;
  return names.map((name) => `${prefix}${column(name)} AS "${name}"`).join(", ");
}

/** The same for rows, with their long texts wherever these are; columns to omit as the JSON null. */
export function selectRow(
  table: LongTextTable,
  names: readonly string[],
  { alias = snakeCase(table), omit = [] }: SelectedRow = {},
): string {
  const valueOf = (name: string) => {
    const held = `"${alias}".${column(name)}`;
    if (omit.includes(name)) return "'null'";
    const place = LONG_TEXT_PLACES[table].find(({ names: texts }) => texts.includes(name));
    if (place === undefined) return held;
    return `iif(${isNumber(held)}, (SELECT ${column(name)} FROM "long_texts" WHERE "id" = "${alias}".${column(place.id)}), ${held})`;
  };
  return names.map((name) => `${valueOf(name)} AS "${name}"`).join(", ");
}

interface SelectedRow {
  /** What the statement calls the table; default: its name. */
  readonly alias?: string;
  readonly omit?: readonly string[] | undefined;
}

export function sourcesOf<Row extends object>(
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
): Source[] {
  const values = rows.map((row) => names.map((name) => toParam(row[name])));
  const encoded = values.map((row) => JSON.stringify(row));
  const sources: Source[] = [];
  let first = 0;
  while (first < rows.length) {
    let end = first;
    let bytes = 2;
    while (end < rows.length) {
      bytes += utf8Length(encoded[end] ?? "") + 1;
      if (bytes > CHUNK_BYTES_MAX && end > first) break;
      end += 1;
    }
    sources.push(
      end === first + 1
        ? boundSource(values[first] ?? [], names, first)
        : unfoldedSource(encoded.slice(first, end), names, first),
    );
    first = end;
  }
  return sources;
}

function boundSource(values: readonly Param[], names: readonly string[], first: number): Source {
  const list = names.map((name) => `? AS ${column(name)}`).join(", ");
  return { sql: `(SELECT ${list}, 0 AS "position") AS src`, params: values, first };
}

function unfoldedSource(
  encoded: readonly string[],
  names: readonly string[],
  first: number,
): Source {
  const list = names.map((name, index) => `value ->> ${index} AS ${column(name)}`).join(", ");
  return {
    sql: `(SELECT ${list}, key AS "position" FROM json_each(?)) AS src`,
    params: [`[${encoded.join(",")}]`],
    first,
  };
}

function toParam(value: unknown): Param {
  switch (typeof value) {
    case "string":
    case "number":
      return value;
    case "boolean":
      return value ? 1 : 0;
    default:
      return null;
  }
}

const OLDER_COMMITS_CHARS = COMMIT_ID_CHARS * (COMMITS_REMEMBERED - 1);

/** The new value of a row's `commits` when this commit writes it; `old` is the SQL of the value so far. */
export function remembering(commitId: string, old: string): Statement {
  return statement(
    `CASE WHEN substr(${old}, 1, ${COMMIT_ID_CHARS}) = ? THEN ${old} ` +
      `ELSE ? || substr(${old}, 1, ${OLDER_COMMITS_CHARS}) END`,
    commitId,
    commitId,
  );
}

/** The SQL of a row's token. */
export function tokenSql(commits: string): string {
  return `substr(${commits}, 1, ${COMMIT_ID_CHARS})`;
}

/** The SQL of a row's bytes of long text, but for the columns in `omit`; null when none is left to count. */
export function longTextSql(
  table: LongTextTable,
  omit: readonly string[] = [],
  alias?: string,
): string | null {
  const prefix = alias === undefined ? "" : `${alias}.`;
  const names = LONG_TEXT[table].filter((name) => !omit.includes(name));
  const sizes = names.map((name) => longTextBytes(prefix + column(name)));
  return sizes.length === 0 ? null : sizes.join(" + ");
}

export interface ListOfRun {
  readonly table: LongTextTable;
  readonly properties: readonly string[];
  /** The second part of the primary key, behind the run. */
  readonly key: string;
  /** Columns in the order of the list, the key last. */
  readonly order: readonly string[];
  readonly descending: boolean;
  readonly where: string;
  /** The first is the run's id. */
  readonly params: readonly Param[];
  /** Null: all. */
  readonly limit: number | null;
  readonly omit?: readonly string[] | undefined;
  readonly bytesMax?: number | undefined;
}

/** Rows of a run. With `bytesMax` their sizes are looked at first, and only what is answered is read. */
export function listOfRun(list: ListOfRun): Statement {
  const { table, properties, key, order, where, params, limit, omit, bytesMax } = list;
  const name = `"${snakeCase(table)}"`;
  const inOrder = (prefix: string) =>
    order.map((each) => `${prefix}${column(each)}${list.descending ? " DESC" : ""}`).join(", ");
  const rest = `FROM ${name} WHERE ${where} ORDER BY ${inOrder("")}${limit === null ? "" : " LIMIT ?"}`;
  const given = [...params, ...(limit === null ? [] : [limit])];
  const bytes = bytesMax === undefined ? null : longTextSql(table, omit);
  if (bytes === null || bytesMax === undefined) {
    return { sql: `SELECT ${selectRow(table, properties, { omit })} ${rest}`, params: given };
  }
  const sized = `SELECT ${columns(order)}, ${bytes} AS "bytes" ${rest}`;
  return {
    sql:
      `SELECT ${selectRow(table, properties, { alias: "whole", omit })} FROM (SELECT *, sum("bytes") OVER (ORDER BY ${inOrder("")} ROWS UNBOUNDED PRECEDING) - "bytes" AS "before" FROM (${sized})) AS sized ` +
      `CROSS JOIN ${name} AS whole ON whole."workflow_run_id" = ? AND whole.${column(key)} = sized.${column(key)} ` +
      `WHERE sized."before" < ? ORDER BY ${inOrder("sized.")}`,
    params: [...given, params[0] ?? "", bytesMax],
  };
}

/** The members of `items` by the key that `keyOf` gives, groups and members in the order of appearance. */
export function groupBy<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
