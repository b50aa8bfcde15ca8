import { tables } from "../../src/store/schema.ts";
import { snakeCase } from "../../src/store/schema.ts";
import { env } from "./env.ts";

/** Empties every table. Children first, for their foreign keys. */
export async function emptyDatabase(db: D1Database = env.DB): Promise<void> {
  const names = Object.keys(tables).map(snakeCase).toReversed();
  await db.batch(names.map((name) => db.prepare(`DELETE FROM "${name}"`)));
}
