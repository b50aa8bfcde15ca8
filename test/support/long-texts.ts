/** What holds of the texts beside their rows, whatever has been written: each has one place, and each place its text. */
import { LONG_TEXT, type LongTextTable, utf8Length } from "../../src/model/index.ts";
import { LONG_TEXT_MIN } from "../../src/store/long-texts.ts";
import { PLACE_BITS } from "../../src/store/place.ts";
import { snakeCase } from "../../src/store/names.ts";
import { env } from "./env.ts";

type Row = Readonly<Record<string, unknown>>;

const NAMES = Object.keys(LONG_TEXT) as LongTextTable[];

/** The texts of `long_texts` by their ids. */
export async function textsBeside(db: D1Database = env.DB): Promise<Map<number, string>> {
  return textsById((await db.prepare(SELECT_TEXTS).run<Row>()).results);
}

export const SELECT_TEXTS = `SELECT "id", "text" FROM "long_texts"`;

export function textsById(rows: readonly Row[]): Map<number, string> {
  return new Map(rows.map((row) => [Number(row["id"]), String(row["text"])]));
}

/** The id and the bytes of a place; null: the value is the text itself. */
export function placeIn(value: unknown): { id: number; bytes: number } | null {
  if (typeof value !== "number") return null;
  return { id: Math.floor(value / 2 ** PLACE_BITS), bytes: value % 2 ** PLACE_BITS };
}

/** Says what is wrong: nothing. */
export async function textsAstray(db: D1Database = env.DB): Promise<string[]> {
  const results = await db.batch<Row>(
    NAMES.map((table) => db.prepare(`SELECT * FROM "${snakeCase(table)}"`)),
  );
  const rows = NAMES.map((table, index) => [table, results[index]?.results ?? []] as const);
  return astrayAmong(rows, await textsBeside(db));
}

/** The same of rows that have been read, under the names of their columns. */
export function astrayAmong(
  tables: readonly (readonly [table: LongTextTable, rows: readonly Row[]])[],
  texts: ReadonlyMap<number, string>,
): string[] {
  const left = new Map(texts);
  const wrong: string[] = [];
  for (const [table, rows] of tables) {
    for (const name of LONG_TEXT[table]) {
      for (const row of rows) {
        const place = placeIn(row[snakeCase(name)]);
        if (place === null) continue;
        const text = left.get(place.id);
        if (text === undefined) wrong.push(`${table}.${name}: no text ${place.id} of its own`);
        else if (utf8Length(text) !== place.bytes) wrong.push(`${table}.${name}: other bytes`);
        left.delete(place.id);
      }
    }
  }
  return [...wrong, ...[...left.keys()].map((id) => `text ${id}: no place`)];
}

const LONG_NAMES: ReadonlySet<string> = new Set(Object.values(LONG_TEXT).flat());

/** The value, a change say, with texts that go beside their rows, wherever it has a text of any length. */
export function withLongTexts<T>(value: T, name = ""): T {
  if (typeof value === "string" && LONG_NAMES.has(name)) return "t".repeat(LONG_TEXT_MIN) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([member, held]: [string, unknown]) => [
      member,
      withLongTexts(held, member),
    ]),
  ) as T;
}
