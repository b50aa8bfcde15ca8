/** What holds of the texts beside their rows, whatever has been written: each has one place, and each place its text. */
import { LONG_TEXT, type LongTextTable, utf8Length } from "../../src/model/index.ts";
import { PLACE_BITS, snakeCase } from "../../src/store/schema.ts";
import { env } from "./env.ts";

type Row = Readonly<Record<string, unknown>>;

const NAMES = Object.keys(LONG_TEXT) as LongTextTable[];

/** The texts of `long_texts` by their ids. */
export async function textsBeside(db: D1Database = env.DB): Promise<Map<number, string>> {
  const { results } = await db
    .prepare(`SELECT "id", "text" FROM "long_texts"`)
    .run<{ id: number; text: string }>();
  return new Map(results.map(({ id, text }) => [id, text]));
}

/** The id and the bytes of a place; null: the value is the text itself. */
export function placeIn(value: unknown): { id: number; bytes: number } | null {
  if (typeof value !== "number") return null;
  return { id: Math.floor(value / 2 ** PLACE_BITS), bytes: value % 2 ** PLACE_BITS };
}

/** Says what is wrong: nothing. */
export async function textsAstray(db: D1Database = env.DB): Promise<string[]> {
  const texts = await textsBeside(db);
  const results = await db.batch<Row>(
    NAMES.map((table) => db.prepare(`SELECT * FROM "${snakeCase(table)}"`)),
  );
  const wrong: string[] = [];
  NAMES.forEach((table, index) => {
    for (const row of results[index]?.results ?? []) {
      for (const name of LONG_TEXT[table]) {
        const place = placeIn(row[snakeCase(name)]);
        if (place === null) continue;
        const text = texts.get(place.id);
        if (text === undefined) wrong.push(`${table}.${name}: no text ${place.id} of its own`);
        else if (utf8Length(text) !== place.bytes) wrong.push(`${table}.${name}: other bytes`);
        texts.delete(place.id);
      }
    }
  });
  return [...wrong, ...[...texts.keys()].map((id) => `text ${id}: no place`)];
}
