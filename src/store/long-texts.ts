/**
 * Texts of middling length, and the rows that they belong to (ADR 0025).
 *
 * A row of a `WITHOUT ROWID` table that is longer than some 1,000 bytes takes pages of its own. So a
 * text of LONG_TEXT_MIN to LONG_TEXT_MAX bytes stands in `long_texts`, whose rows share their pages.
 * In the row, its column holds its place: its id there, and its bytes. `selectRow` and `withTexts`
 * put the two together again.
 *
 * A place belongs to one column of one row, and its text never changes. What writes another value
 * into the column, or deletes the row, drops the text before. So each text has its place in a row, and
 * each place has its text.
 */
import { LONG_TEXT, type LongTextTable, utf8Length } from "../model/index.ts";
import { KEYS } from "../model/state.ts";
import { isPlace, PLACE_BITS, placedId } from "./place.ts";
import { snakeCase } from "./names.ts";
import { column, columns, sourcesOf, type Statement, TEXTS_BESIDE, toParam } from "./sql.ts";

/** A shorter text stays in its row: it costs no row more. */
export const LONG_TEXT_MIN = 800;
/** Two texts of this length fill a page. A longer one stays in its row: it would fill as many pages beside it. */
export const LONG_TEXT_MAX = 2_000;

const LAST_ID = `(SELECT ifnull(max("id"), 0) FROM "long_texts")`;

type Fields = Readonly<Record<string, unknown>>;

/** Rows as a statement writes them, and the statements that put their long texts beside them. */
export interface HeldRows {
  /** A number stands for each text that goes beside its row. */
  readonly rows: readonly Fields[];
  /** The SQL of what a column holds, from the SQL of what the row of `rows` has. */
  readonly stored: (name: string, given: string) => string;
  readonly before: readonly Statement[];
  readonly after: readonly Statement[];
}

/** A text that goes beside its row. */
interface Leaving {
  /** The row's key, and whatever else it has. */
  readonly row: Fields;
  readonly name: string;
  readonly text: string;
}

/**
 * @param put "before": every row will be written, or the commit fails. "after": a row may turn out to
 * be there, or not to be there; its texts are put where it was written.
 */
export function holdTexts(
  table: LongTextTable,
  rows: readonly object[],
  put: "before" | "after",
): HeldRows {
  const texts: Leaving[] = [];
  const held = rows.map((row) => {
    const fields: Fields = { ...row };
    const places: [string, number][] = [];
    for (const name of LONG_TEXT[table]) {
      const text = fields[name];
      const bytes = longBytes(text);
      if (typeof text !== "string" || bytes === null) continue;
      places.push([name, texts.length * 2 ** PLACE_BITS + bytes]);
      texts.push({ row: fields, name, text });
    }
    return { ...fields, ...Object.fromEntries(places) };
  });
  const names = new Set(texts.map(({ name }) => name));
  const first = put === "before" ? `${LAST_ID} - ${texts.length - 1}` : `${LAST_ID} + 1`;
  return {
    rows: held,
    stored: (name, given) =>
      names.has(name)
        ? `iif(typeof(${given}) = 'text', ${given}, ((${first}) << ${PLACE_BITS}) + CAST(${given} AS INTEGER))`
        : given,
    before: put === "before" ? putInOrder(texts) : [],
    after: put === "after" ? putWhereWritten(table, texts) : [],
  };
}

/** The bytes of a text that goes beside its row; null for every other value. */
function longBytes(value: unknown): number | null {
  // A UTF-16 unit is one to three bytes.
  if (typeof value !== "string" || value.length > LONG_TEXT_MAX) return null;
  if (value.length * 3 < LONG_TEXT_MIN) return null;
  const bytes = utf8Length(value);
  return bytes >= LONG_TEXT_MIN && bytes <= LONG_TEXT_MAX ? bytes : null;
}

/** The ids follow one another. */
function putInOrder(texts: readonly Leaving[]): Statement[] {
  return sourcesOf(texts, ["text"]).map(({ sql, params }) => ({
    sql: `INSERT INTO "long_texts" ("text") SELECT "text" FROM ${sql} ORDER BY "position"`,
    params,
  }));
}

/** A place without a text can only be one that was just written. */
function putWhereWritten(table: LongTextTable, texts: readonly Leaving[]): Statement[] {
  const names = [...new Set(texts.map(({ name }) => name))];
  const place = `CASE src."name" ${names.map((name) => `WHEN '${name}' THEN owner.${column(name)}`).join(" ")} END`;
  const rows = texts.map(({ row, name, text }): Fields => ({ ...keyOf(table, row), name, text }));
  return sourcesOf(rows, [...keyNames(table), "name", "text"]).map(({ sql, params }) => ({
    sql:
      `INSERT INTO "long_texts" ("id", "text") SELECT "place" >> ${PLACE_BITS}, "text" ` +
      `FROM (SELECT ${place} AS "place", src."text" FROM ${sql} ${joinOwner(table)}) ` +
      `WHERE ${isPlace(`"place"`)} ON CONFLICT ("id") DO NOTHING`,
    params,
  }));
}

/** The parts of a row's key under names of their own. */
function keyOf(table: LongTextTable, row: Fields): Fields {
  const names = keyNames(table);
  return Object.fromEntries(KEYS[table].map((name, index) => [names[index], row[name]]));
}

function keyNames(table: LongTextTable): string[] {
  return KEYS[table].map((_, index) => `key${index}`);
}

function joinOwner(table: LongTextTable): string {
  const names = keyNames(table);
  const on = KEYS[table].map((name, index) => `owner.${column(name)} = src."${names[index]}"`);
  return `CROSS JOIN "${snakeCase(table)}" AS owner ON ${on.join(" AND ")}`;
}

/** Whether a text of the row goes beside it. */
export function hasTexts(table: LongTextTable, row: object): boolean {
  return holdTexts(table, [row], "after").after.length > 0;
}

/** Drops the texts of these columns, before the rows get other values there. */
export function dropTexts(
  table: LongTextTable,
  rows: readonly object[],
  written: readonly string[],
): Statement[] {
  const names = LONG_TEXT[table].filter((name) => written.includes(name));
  if (names.length === 0) return [];
  const owner = `"${snakeCase(table)}" AS owner`;
  const keys = rows.map((row) => keyOf(table, { ...row }));
  return sourcesOf(keys, keyNames(table)).map(({ sql, params }) => {
    // A source of one row would be a row read more.
    const alone = KEYS[table].map((name) => `owner.${column(name)} = ?`).join(" AND ");
    const from =
      rows.length === 1 ? `${owner} WHERE ${alone}` : `${sql} ${joinOwner(table)} WHERE true`;
    return dropTextsOf({ sql: from, params }, names);
  });
}

/**
 * Drops all texts of rows that are about to be deleted. `from`: what follows FROM, with a WHERE; it
 * calls the rows `owner`.
 */
export function dropAllTexts(table: LongTextTable, from: Statement): Statement {
  return dropTextsOf(from, LONG_TEXT[table]);
}

function dropTextsOf({ sql: from, params }: Statement, names: readonly string[]): Statement {
  const held = names.map((name) => `owner.${column(name)}`);
  const ids = held.map(placedId);
  const some = `(${held.map(isPlace).join(" OR ")})`;
  const [only] = ids;
  const select =
    ids.length === 1
      ? `SELECT ${only} FROM ${from} AND ${some}`
      : `SELECT place.value FROM (SELECT json_array(${ids.join(", ")}) AS "ids" FROM ${from} AND ${some}) CROSS JOIN json_each("ids") AS place`;
  return { sql: `DELETE FROM "long_texts" WHERE "id" IN (${select})`, params };
}

/**
 * INSERT of rows, with their long texts. `rest` follows the SELECT, such as an upsert clause; where the
 * SELECT `unless` finds something, no row is inserted. Columns that no row sets stay out of it, and a row
 * that is alone is bound by its values: SQLite has less to compile.
 */
export function insertRows<Row extends object>(
  table: LongTextTable,
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
  commitId: string | null,
  rest?: Statement & { readonly unless?: Statement },
): Statement[] {
  const { unless } = rest ?? {};
  const where = unless === undefined ? "true" : `NOT EXISTS (${unless.sql})`;
  const more = [...(unless?.params ?? []), ...(rest?.params ?? [])];
  const held = holdTexts(table, rows, rest === undefined ? "before" : "after");
  const set = names.filter((name) => held.rows.some((row) => toParam(row[name]) !== null));
  const commits = commitId === null ? [] : [commitId];
  const into = `INSERT INTO "${snakeCase(table)}" (${columns([...set, ...commits.map(() => "commits")])})`;
  const [alone] = held.rows;
  if (alone !== undefined && held.rows.length === 1) {
    const values = [
      ...set.map((name, index) => held.stored(name, `?${index + 1}`)),
      ...commits.map(() => `?${set.length + 1}`),
    ];
    const row = values.join(", ");
    const given = unless === undefined ? `VALUES (${row})` : `SELECT ${row} WHERE ${where}`;
    const insert = {
      sql: `${into} ${given} ${rest?.sql ?? ""}`,
      params: [...set.map((name) => toParam(alone[name])), ...commits, ...more],
    };
    return [...held.before, insert, ...held.after];
  }
  const selected = [
    ...set.map((name) => held.stored(name, column(name))),
    ...commits.map(() => "?"),
  ].join(", ");
  const inserts = sourcesOf<Fields>(held.rows, set).map((source) => ({
    sql: `${into} SELECT ${selected} FROM ${source.sql} WHERE ${where} ${rest?.sql ?? ""}`,
    params: [...commits, ...source.params, ...more],
  }));
  return [...held.before, ...inserts, ...held.after];
}

/** Rows as {@link selectRow} gives them, with their texts in them. */
export function withTexts(names: readonly string[], rows: readonly Fields[]): Fields[] {
  return rows.map(({ [TEXTS_BESIDE]: beside, ...row }) => {
    if (typeof beside !== "string") return row;
    const texts = new Map<string, unknown>(Object.entries(Object(JSON.parse(beside))));
    const placed = names.flatMap((name) => {
      const place = row[name];
      return typeof place === "number" ? [[name, texts.get(idOf(place))]] : [];
    });
    return { ...row, ...Object.fromEntries(placed) };
  });
}

function idOf(place: number): string {
  return String(Math.floor(place / 2 ** PLACE_BITS));
}
