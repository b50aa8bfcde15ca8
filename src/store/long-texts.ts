/**
 * Long texts, and the rows that they belong to.
 *
 * A row of a `WITHOUT ROWID` table that is longer than some 1,000 bytes takes a page of 4,096 for itself. So a text of LONG_TEXT_BYTES or
 * more stands in `long_texts`, whose rows lie close together. Its row keeps the place in `long_text_id` or `later_text_id`, and in the
 * text's own column the number of its bytes. `selectRow` puts the two together again.
 *
 * A place is given by the statement that writes the row, as the highest + 1, and taken by the next one, in the same batch. It is the row's
 * until the row is deleted, and given back just before.
 */
import { type LongTextTable, utf8Length } from "../model/index.ts";
import { isNumber, LONG_TEXT_PLACES, type LongTextPlace, snakeCase } from "./schema.ts";
import { column, columns, KEYS, type Source, sourcesOf, type Statement } from "./sql.ts";

/** A text of fewer bytes never leaves its row. */
export const LONG_TEXT_BYTES = 800;
/** Texts that have more bytes than this together, and at most so many, would fill a page beside their row as well as in it: they stay. */
const PAGE_HALF_BYTES = 2_000;
const PAGE_BYTES = 4_200;

type Fields = Readonly<Record<string, unknown>>;

/** A row, or some columns of one, as its table holds it; with whether it needs its places. */
export type HeldRow = Fields & { readonly [Id in LongTextPlace["id"]]: boolean };

/** The row with the number of bytes in the stead of each long text. */
export function heldRow(table: LongTextTable, row: object): HeldRow {
  const texts = longTextsOf(table, row);
  const needs = (id: LongTextPlace["id"]) =>
    LONG_TEXT_PLACES[table].some(
      (place) => place.id === id && place.names.some((name) => texts.has(name)),
    );
  const needed = { longTextId: needs("longTextId"), laterTextId: needs("laterTextId") };
  return { ...row, ...Object.fromEntries(texts), ...needed };
}

/** The long texts of a row, by their columns, with their bytes. */
export function longTextsOf(table: LongTextTable, row: object): ReadonlyMap<string, number> {
  const fields: Fields = { ...row };
  return new Map(LONG_TEXT_PLACES[table].flatMap((place) => [...textsFor(place, fields)]));
}

/** The texts that go to this place, with their bytes. */
function textsFor({ names }: LongTextPlace, fields: Fields): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  let sum = 0;
  for (const name of names) {
    const bytes = bytesOf(fields[name]);
    if (bytes < LONG_TEXT_BYTES) continue;
    found.set(name, bytes);
    sum += bytes;
  }
  return sum > PAGE_HALF_BYTES && sum <= PAGE_BYTES ? new Map() : found;
}

function bytesOf(value: unknown): number {
  // A UTF-16 unit is at most three bytes.
  if (typeof value !== "string" || value.length * 3 < LONG_TEXT_BYTES) return 0;
  return utf8Length(value);
}

/** The columns of the places that one of the rows needs. */
export function placesOf(rows: readonly HeldRow[]): LongTextPlace["id"][] {
  return (["longTextId", "laterTextId"] as const).filter((id) => rows.some((row) => row[id]));
}

/** The next place. */
export const NEXT_PLACE = `(SELECT ifnull(max("id"), 0) + 1 FROM "long_texts")`;
/** The place that was taken last. */
export const LAST_PLACE = `(SELECT max("id") FROM "long_texts")`;

/** The SQL of a new place for a row that needs one; `src` is its source. A row may need two. */
export function newPlace(id: LongTextPlace["id"]): string {
  return `CASE WHEN src.${column(id)} THEN ${NEXT_PLACE} + 2 * src."position"${id === "laterTextId" ? " + 1" : ""} END`;
}

/** What an UPDATE sets beside the texts: a row that has no place takes the new one. */
export function placed(
  table: LongTextTable,
  ids: readonly LongTextPlace["id"][],
  place: (id: LongTextPlace["id"]) => string = newPlace,
): string {
  return ids
    .map((id) => `${column(id)} = ifnull("${snakeCase(table)}".${column(id)}, ${place(id)}), `)
    .join("");
}

/** One INSERT per chunk, and what puts its long texts in their places. `rest` follows the SELECT (a conflict's clause, say). */
export function insertRows<Row extends object>(
  table: LongTextTable,
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
  commitId: string | null,
  rest = "",
): Statement[] {
  const held = rows.map((row) => heldRow(table, row));
  const places = placesOf(held);
  const commits = commitId === null ? [] : [commitId];
  const into = columns([...names, ...places, ...commits.map(() => "commits")]);
  const selected = [columns(names), ...places.map(newPlace), ...commits.map(() => "?")].join(", ");
  return chunksOf(held, [...names, ...places]).flatMap(({ source, first, end }) => [
    {
      sql: `INSERT INTO "${snakeCase(table)}" (${into}) SELECT ${selected} FROM ${source.sql} WHERE true ${rest}`,
      params: [...commits, ...source.params],
    },
    ...putNew(table, rows.slice(first, end)),
  ]);
}

/** The chunks of rows, with where each begins and ends among them. */
export function chunksOf<Row extends object>(
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
): { readonly source: Source; readonly first: number; readonly end: number }[] {
  const sources = sourcesOf(rows, names);
  return sources.map((source, index) => ({
    source,
    first: source.first,
    end: sources[index + 1]?.first ?? rows.length,
  }));
}

/** Puts the long texts of rows that are about to be inserted into places that follow one another, the last of them at the end. */
export function putFirst(table: LongTextTable, rows: readonly object[]): Statement[] {
  return LONG_TEXT_PLACES[table].flatMap((place) =>
    sourcesOf(textsOf(table, rows, place), place.names).map((source) => ({
      sql: `INSERT INTO "long_texts" (${columns(place.names)}) SELECT ${columns(place.names)} FROM ${source.sql} ORDER BY "position"`,
      params: source.params,
    })),
  );
}

/** Puts the long texts of rows that have been inserted in their places; of those that were there already, nothing. */
function putNew(table: LongTextTable, rows: readonly object[]): Statement[] {
  return LONG_TEXT_PLACES[table].flatMap((place) => {
    const { id, names } = place;
    return sourcesOf(textsOf(table, rows, place), [...KEYS[table], ...names]).map((source) => ({
      sql:
        `INSERT INTO "long_texts" ("id", ${columns(names)}) SELECT owner.${column(id)}, ${prefixed("src", names)} ` +
        `FROM ${source.sql} ${joinOwner(table)} WHERE owner.${column(id)} IS NOT NULL ON CONFLICT ("id") DO NOTHING`,
      params: source.params,
    }));
  });
}

/**
 * Puts long texts that have been set in their rows' places. `rows` have a row's key and what was set of it; `set`: which columns that are.
 * What else is in the place stays, as far as the row still has it; a text that came with a row which was inserted after all goes there too.
 */
export function putSet(
  table: LongTextTable,
  rows: readonly object[],
  set: readonly string[],
): Statement[] {
  return LONG_TEXT_PLACES[table].flatMap((place) => {
    const { id, names } = place;
    const selected = names.map((name) =>
      set.includes(name)
        ? `src.${column(name)}`
        : `iif(${isNumber(`owner.${column(name)}`)}, ifnull(src.${column(name)}, ''), NULL)`,
    );
    const replaced = names.map((name) =>
      set.includes(name)
        ? `${column(name)} = excluded.${column(name)}`
        : `${column(name)} = iif(excluded.${column(name)} IS NULL, NULL, "long_texts".${column(name)})`,
    );
    return sourcesOf(textsOf(table, rows, place), [...KEYS[table], ...names]).map((source) => ({
      sql:
        `INSERT INTO "long_texts" ("id", ${columns(names)}) SELECT owner.${column(id)}, ${selected.join(", ")} ` +
        `FROM ${source.sql} ${joinOwner(table)} WHERE owner.${column(id)} IS NOT NULL ON CONFLICT ("id") DO UPDATE SET ${replaced.join(", ")}`,
      params: source.params,
    }));
  });
}

/** Rows' keys with the texts that go to this place; NULL for those that do not. Rows without any are left out. */
function textsOf(table: LongTextTable, rows: readonly object[], place: LongTextPlace): Fields[] {
  return rows.flatMap((row) => {
    const fields: Fields = { ...row };
    const found = textsFor(place, fields);
    if (found.size === 0) return [];
    const texts = place.names.map((name) => [name, found.has(name) ? fields[name] : null]);
    return [Object.fromEntries([...KEYS[table].map((name) => [name, fields[name]]), ...texts])];
  });
}

/** Joins the rows to which the texts of the source belong. */
function joinOwner(table: LongTextTable): string {
  const key = KEYS[table].map((name) => `owner.${column(name)} = src.${column(name)}`);
  return `CROSS JOIN "${snakeCase(table)}" AS owner ON ${key.join(" AND ")}`;
}

function prefixed(alias: string, names: readonly string[]): string {
  return names.map((name) => `${alias}.${column(name)}`).join(", ");
}

/**
 * Drops what rows have in their places and no longer say so: the text was cleared. One that a short text has replaced stays until the next
 * long one comes, or its row goes: to look for it each time would cost more than it takes.
 */
export function dropCleared(
  table: LongTextTable,
  rows: readonly object[],
  set: readonly string[],
): Statement[] {
  return LONG_TEXT_PLACES[table].flatMap(({ id, names }) => {
    const cleared = rows
      .map((row): Fields => ({ ...row }))
      .filter((row) => !heldRow(table, row)[id] && names.some((name) => row[name] === null));
    const given = names.filter((name) => set.includes(name));
    const sets = given.map(
      (name) =>
        `${column(name)} = iif(${isNumber(`owner.${column(name)}`)}, "long_texts".${column(name)}, NULL)`,
    );
    const some = given.map((name) => `"long_texts".${column(name)} IS NOT NULL`).join(" OR ");
    return sourcesOf(cleared, KEYS[table]).map((source) => ({
      sql:
        `UPDATE "long_texts" SET ${sets.join(", ")} FROM ${source.sql} ${joinOwner(table)} ` +
        `WHERE "long_texts"."id" = owner.${column(id)} AND (${some})`,
      params: source.params,
    }));
  });
}

/** Gives back the places of rows that are about to be deleted; `from` is the rest of a SELECT of them. */
export function dropLongTexts(select: Statement): Statement {
  return { sql: `DELETE FROM "long_texts" WHERE "id" IN (${select.sql})`, params: select.params };
}
