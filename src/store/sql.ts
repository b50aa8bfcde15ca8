/**
 * Statements as data, and the one way in which many rows reach one statement.
 *
 * A statement takes at most 100 parameters, so rows travel as one JSON array that json_each
 * unfolds. A parameter holds at most 2 MB, so rows are cut into chunks. A row that is alone in its
 * chunk is bound value by value, which spares it the escaping of JSON.
 *
 * A limit that is a parameter is written `LIMIT CAST(? AS INTEGER)`, and a condition on a column
 * that chooses a partial index `+"status" = ?`. In their plain form the planner would look at the
 * value, and SQLite would compile the statement anew at every binding, which took five times as
 * long as the statement itself.
 */
import {
  COMMIT_ID_CHARS,
  COMMITS_REMEMBERED,
  LONG_TEXT,
  type LongTextTable,
  utf8Length,
} from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import { KEYS } from "../model/state.ts";
import { LIVE } from "../model/status.ts";
import { isPlace, longTextBytes, placedId } from "./place.ts";
import { snakeCase } from "./names.ts";

/** Numbers are bound as REAL. The affinity of the columns makes them integers again. */
export type Param = string | number | null;

/** SQL with its parameters. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly Param[];
}

/**
 * Rows as a subquery `src` with columns of the given names, and `position`, the row's index in its
 * chunk.
 */
export interface Source extends Statement {
  /** Index of the first row of this chunk among all rows. */
  readonly first: number;
}

/** JSON of one chunk: half of what a parameter holds. */
const CHUNK_BYTES_MAX = 1_000_000;

export function statement(sql: string, ...params: Param[]): Statement {
  return { sql, params };
}

/** Parameters of one statement: D1 binds no more. */
const PARAMS_MAX = 100;

/**
 * The statements in groups, in their order. Each group can become one statement, with `besides`
 * parameters more.
 */
export function groupsToBind(statements: readonly Statement[], besides = 0): Statement[][] {
  const groups: Statement[][] = [];
  let left = 0;
  for (const each of statements) {
    const count = each.params.length;
    if (groups.length === 0 || count > left) {
      groups.push([]);
      left = PARAMS_MAX - besides;
    }
    groups.at(-1)?.push(each);
    left -= count;
  }
  return groups;
}

/** A condition on a status: a run, a stage or a job goes on. */
export const IS_LIVE = `IN ${textList(LIVE)}`;

/** Words as a list in SQL. Only for constants of the code: they are not escaped. */
export function textList(words: readonly string[]): string {
  return `(${words.map((word) => `'${word}'`).join(", ")})`;
}

/** A column's name in SQL. */
export function column(name: string): string {
  return `"${snakeCase(name)}"`;
}

export function columns(names: readonly string[]): string {
  return names.map(column).join(", ");
}

/** `select` from the row's table, with the row alone. */
export function fromRow(select: string, { table, part, key }: RowRef): Statement {
  const keys = KEYS[table];
  const second = table === "outboxEvents" ? Number(key) : key;
  return statement(
    `${select} FROM "${snakeCase(table)}" WHERE ${keys.map((name) => `${column(name)} = ?`).join(" AND ")}`,
    ...[part, second].slice(0, keys.length),
  );
}

/** The list of a SELECT whose rows have the properties' own names. For long text: {@link selectRow}. */
export function selectList(names: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? "" : `${alias}.`;
  return names.map((name) => `${prefix}${column(name)} AS "${name}"`).join(", ");
}

/** The property under which a row brings the texts that stand beside it, as JSON, by their ids. */
export const TEXTS_BESIDE = "longTexts";

/**
 * The list of a SELECT of rows with long text; `withTexts` makes whole rows of what it gives. A
 * subquery for each column would take D1 twice as long to compile. Columns in `omit` are answered as
 * the JSON null.
 */
export function selectRow(
  table: LongTextTable,
  names: readonly string[],
  { alias = `"${snakeCase(table)}"`, omit = [] }: SelectedRow = {},
): string {
  const list = names.map(
    (name) => `${omit.includes(name) ? "'null'" : `${alias}.${column(name)}`} AS "${name}"`,
  );
  const held: readonly string[] = LONG_TEXT[table];
  const texts = names
    .filter((name) => held.includes(name) && !omit.includes(name))
    .map((name) => `${alias}.${column(name)}`);
  const ids = texts.map(placedId).join(", ");
  const beside = `(SELECT json_group_object("id", "text") FROM "long_texts" WHERE "id" IN (${ids}))`;
  const brought =
    texts.length === 0 ? "NULL" : `iif(${texts.map(isPlace).join(" OR ")}, ${beside}, NULL)`;
  list.push(`${brought} AS "${TEXTS_BESIDE}"`);
  return list.join(", ");
}

interface SelectedRow {
  /** What the statement calls the table. Default: its name. */
  readonly alias?: string;
  readonly omit?: readonly string[] | undefined;
}

/** The rows of one statement: a single row value by value, several as one JSON array. */
type Chunk = { readonly first: number } & (
  | { readonly alone: readonly Param[] }
  | { readonly alone: null; readonly json: string }
);

function chunksOf<Row extends object>(
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
): Chunk[] {
  const values = rows.map((row) => names.map((name) => toParam(row[name])));
  const [alone] = values;
  if (alone !== undefined && rows.length === 1) return [{ first: 0, alone }];
  const encoded = values.map((row) => JSON.stringify(row));
  const chunks: Chunk[] = [];
  let first = 0;
  while (first < rows.length) {
    const end = endOfChunk(encoded, first);
    chunks.push(
      end === first + 1
        ? { first, alone: values[first] ?? [] }
        : { first, alone: null, json: `[${encoded.slice(first, end).join(",")}]` },
    );
    first = end;
  }
  return chunks;
}

function endOfChunk(encoded: readonly string[], first: number): number {
  let end = first;
  let bytes = 2;
  while (end < encoded.length) {
    bytes += utf8Length(encoded[end] ?? "") + 1;
    if (bytes > CHUNK_BYTES_MAX && end > first) break;
    end += 1;
  }
  return end;
}

export function sourcesOf<Row extends object>(
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
): Source[] {
  return chunksOf(rows, names).map((chunk) =>
    chunk.alone === null
      ? { sql: unfolded(names, "?"), params: [chunk.json], first: chunk.first }
      : boundSource(chunk.alone, names, chunk.first),
  );
}

function boundSource(values: readonly Param[], names: readonly string[], first: number): Source {
  const list = names.map((name) => `? AS ${column(name)}`).join(", ");
  return { sql: `(SELECT ${list}, 0 AS "position") AS src`, params: values, first };
}

/** The rows of a JSON array, in the form of a {@link Source}. */
function unfolded(names: readonly string[], json: string): string {
  const list = names.map((name, index) => `value ->> ${index} AS ${column(name)}`).join(", ");
  return `(SELECT ${list}, key AS "position" FROM json_each(${json})) AS src`;
}

/** A property of a row as a parameter. */
export function toParam(value: unknown): Param {
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

/**
 * The value of a row's `commits` after this commit writes it. `old` is the SQL of the value before.
 */
export function remembering(commitId: string, old: string): Statement {
  return statement(rememberingAs("?", old), commitId, commitId);
}

/** The same SQL, where `id` is the parameter that holds the commit id. */
export function rememberingAs(id: string, old: string): string {
  return (
    `CASE WHEN substr(${old}, 1, ${COMMIT_ID_CHARS}) = ${id} THEN ${old} ` +
    `ELSE ${id} || substr(${old}, 1, ${OLDER_COMMITS_CHARS}) END`
  );
}

/** The SQL of a row's token. */
export function tokenSql(commits: string): string {
  return `substr(${commits}, 1, ${COMMIT_ID_CHARS})`;
}

/**
 * The SQL of the bytes of a row's long text without the columns in `omit`; null when no column is
 * left.
 */
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

/** A list of a run's rows. */
export interface ListOfRun {
  readonly table: LongTextTable;
  readonly properties: readonly string[];
  /** The second part of the primary key, after the run. */
  readonly key: string;
  /** The columns by which the list is sorted, the key last. */
  readonly order: readonly string[];
  readonly descending: boolean;
  readonly where: string;
  /** The first of them is the run's id. */
  readonly params: readonly Param[];
  /** Null: all. */
  readonly limit: number | null;
  readonly omit?: readonly string[] | undefined;
  readonly bytesMax?: number | undefined;
}

/**
 * Rows of a run. With `bytesMax`, sizes are looked at first, and only rows that are answered are
 * read.
 */
export function listOfRun(list: ListOfRun): Statement {
  const { table, properties, key, order, where, params, limit, omit, bytesMax } = list;
  const name = `"${snakeCase(table)}"`;
  const inOrder = (prefix: string) =>
    order.map((each) => `${prefix}${column(each)}${list.descending ? " DESC" : ""}`).join(", ");
  const rest = `FROM ${name} WHERE ${where} ORDER BY ${inOrder("")}${limit === null ? "" : " LIMIT CAST(? AS INTEGER)"}`;
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

/** Groups in the order of their first items. */
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

/** How a row is updated, in the SQL of the values that are given for it. */
export interface RowUpdate {
  /** Assignments, without that of `commits`. */
  readonly set: string;
  /** A condition that the row must meet; otherwise it stays as it is. */
  readonly where?: string;
}

/**
 * UPDATE of the rows under their keys, each with its own values. A single row is updated directly,
 * by parameters; several are joined with {@link sourcesOf their source}, which SQLite has to build
 * first. `commitId`: the commit that the rows are to remember; null: none.
 */
export function updateRows<Row extends object>(
  table: string,
  { key, rows, names }: RowsToUpdate<Row>,
  commitId: string | null,
  update: (given: (name: keyof Row & string) => string) => RowUpdate,
): Statement[] {
  const all = [...key, ...names];
  return chunksOf(rows, all).map((chunk) => {
    const { alone } = chunk;
    const params = alone ?? [chunk.json];
    const from = alone === null ? ` FROM ${unfolded(all, "?1")}` : "";
    const given = (name: keyof Row & string) =>
      alone === null ? `src.${column(name)}` : `?${all.indexOf(name) + 1}`;
    const { set, where } = update(given);
    const commits = rememberingAs(`?${params.length + 1}`, `"${table}"."commits"`);
    const conditions = key.map((name) => `"${table}".${column(name)} = ${given(name)}`);
    if (where !== undefined) conditions.push(where);
    return {
      sql:
        `UPDATE "${table}" SET ${set}${commitId === null ? "" : `, "commits" = ${commits}`}${from} ` +
        `WHERE ${conditions.join(" AND ")}`,
      params: commitId === null ? params : [...params, commitId],
    };
  });
}

interface RowsToUpdate<Row> {
  /** The properties of the primary key. */
  readonly key: readonly (keyof Row & string)[];
  readonly rows: readonly Row[];
  /** What else a row gives. */
  readonly names: readonly (keyof Row & string)[];
}
