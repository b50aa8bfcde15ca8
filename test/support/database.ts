import { tables } from "../../schema/tables.ts";
import { snakeCase } from "../../src/store/names.ts";
import { env } from "./env.ts";

/** Empties every table. Children first, for their foreign keys. */
export async function emptyDatabase(db: D1Database = env.DB): Promise<void> {
  const names = Object.keys(tables).map(snakeCase).toReversed();
  await db.batch(names.map((name) => db.prepare(`DELETE FROM "${name}"`)));
}

/** Every row of every table, by its table, as JSON. */
export async function everything(db: D1Database = env.DB): Promise<string> {
  const names = Object.keys(tables).map(snakeCase);
  const results = await db.batch(names.map((name) => db.prepare(`SELECT * FROM "${name}"`)));
  return JSON.stringify(Object.fromEntries(names.map((name, at) => [name, results[at]?.results])));
}
