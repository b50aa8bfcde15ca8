/** The whole database as data: to put it back as it was, and to compare it. */
import { snakeCase } from "../../../src/store/names.ts";
import { tables } from "../../../schema/tables.ts";
import { env } from "../../support/env.ts";

export type Rows = Readonly<Record<string, unknown>>[];
export type Database = Readonly<Record<string, Rows>>;

const TABLES = Object.keys(tables).map(snakeCase);

/** Every row of every table, in the order of the keys, which are the first two columns everywhere. */
export async function readDatabase(): Promise<Database> {
  const results = await env.DB.batch<Record<string, unknown>>(
    TABLES.map((table) => env.DB.prepare(`SELECT * FROM "${table}" ORDER BY 1, 2`)),
  );
  return Object.fromEntries(
    TABLES.map((table, index): [string, Rows] => [table, results[index]?.results ?? []]),
  );
}

/** Empties the database and fills it with these rows, in one call. */
export async function writeDatabase(database: Database): Promise<void> {
  const deletes = TABLES.toReversed().map((table) => env.DB.prepare(`DELETE FROM "${table}"`));
  const inserts = TABLES.flatMap((table) => {
    const rows = database[table] ?? [];
    const columns = Object.keys(rows[0] ?? {});
    if (columns.length === 0) return [];
    const values = columns.map((_, index) => `value ->> ${index}`);
    return env.DB.prepare(
      `INSERT INTO "${table}" (${columns.map((name) => `"${name}"`).join(", ")}) SELECT ${values.join(", ")} FROM json_each(?)`,
    ).bind(JSON.stringify(rows.map((row) => columns.map((name) => row[name]))));
  });
  await env.DB.batch([...deletes, ...inserts]);
}

/** What callers can see of it: the rows without their memory of commits. */
export function visible(database: Database): Database {
  return Object.fromEntries(
    Object.entries(database)
      .filter(([table]) => table !== "commits")
      .map(([table, rows]): [string, Rows] => [table, rows.map(({ commits: _, ...row }) => row)]),
  );
}

/** As text in which the ids that we make are numbered in the order in which they turn up. */
export function normalised(value: unknown): string {
  const names = new Map<string, string>();
  const text = JSON.stringify(value, null, 1);
  return text.replace(/(?<![0-9a-z])[0-9a-z]{22}(?![0-9a-z])/g, (id) => {
    const name = names.get(id) ?? `id ${names.size + 1}`;
    names.set(id, name);
    return name;
  });
}
