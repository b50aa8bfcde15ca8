import { type SQL, is } from "drizzle-orm";
import {
  getTableConfig,
  type Index,
  SQLiteColumn,
  SQLiteSyncDialect,
  type SQLiteTable,
} from "drizzle-orm/sqlite-core";
import { describe, expect, it } from "vitest";
import { snakeCase } from "../../src/store/names.ts";
import { tables } from "../../schema/tables.ts";
import { env } from "../support/env.ts";

const dialect = new SQLiteSyncDialect();

/** SQL text as the database keeps it: names without their table. */
function textOf(sql: SQL): string {
  return dialect.sqlToQuery(sql).sql.replace(/"\w+"\."/g, '"');
}

async function query<Row>(sql: string, ...params: string[]): Promise<Row[]> {
  const { results } = await env.DB.prepare(sql)
    .bind(...params)
    .run<Row>();
  return results;
}

/** The statement that made a table or an index. */
async function definitionOf(name: string): Promise<string> {
  const rows = await query<{ sql: string }>(
    `SELECT "sql" FROM sqlite_master WHERE "name" = ?`,
    name,
  );
  return (rows[0]?.sql ?? "").replaceAll("`", '"');
}

interface ColumnInfo {
  name: string;
  type: string;
  notnull: number;
  dflt_value: string | null;
  /** Place in the primary key, from 1; 0 for none. */
  pk: number;
}

function expectedColumns(table: SQLiteTable): ColumnInfo[] {
  const { columns, primaryKeys } = getTableConfig(table);
  const key = primaryKeys[0]?.columns.map(({ name }) => name) ?? [];
  return columns.map((column) => ({
    name: column.name,
    type: column.getSQLType().toUpperCase(),
    notnull: column.notNull ? 1 : 0,
    dflt_value: column.default === undefined ? null : String(column.default),
    pk: column.primary ? 1 : key.indexOf(column.name) + 1,
  }));
}

async function storedColumns(name: string): Promise<ColumnInfo[]> {
  const rows = await query<ColumnInfo & { cid: number }>(`PRAGMA table_info("${name}")`);
  return rows.map(({ cid: _, type, ...row }) => ({ ...row, type: type.toUpperCase() }));
}

/** An index as the statement that would make it. */
function definitionOfIndex({ config }: Index, table: string): string {
  const columns = config.columns.map((column) =>
    is(column, SQLiteColumn) ? `"${column.name}"` : textOf(column as SQL),
  );
  const where = config.where === undefined ? "" : ` WHERE ${textOf(config.where)}`;
  const unique = config.unique ? "UNIQUE " : "";
  return `CREATE ${unique}INDEX "${config.name}" ON "${table}" (${columns.join(",")})${where}`;
}

describe.each(Object.entries(tables))("the table of %s", (property, table) => {
  const config = getTableConfig(table);
  const name = snakeCase(property);

  it("is called so", () => {
    expect(config.name).toBe(name);
  });

  it("has the same columns, types and primary key in the database and in the schema", async () => {
    expect(await storedColumns(name)).toEqual(expectedColumns(table));
  });

  it("names its columns after its properties", () => {
    const names = Object.entries(table)
      .filter((entry) => is(entry[1], SQLiteColumn))
      .map(([key, column]) => [snakeCase(key), (column as SQLiteColumn).name]);
    expect(names.length).toBe(config.columns.length);
    for (const [key, column] of names) expect(column).toBe(key);
  });

  it("has the same indexes", async () => {
    const stored = await query<{ name: string }>(
      `SELECT "name" FROM sqlite_master WHERE "type" = 'index' AND "tbl_name" = ? AND "sql" IS NOT NULL`,
      name,
    );
    const definitions = await Promise.all(stored.map((index) => definitionOf(index.name)));
    const expected = config.indexes.map((index) => definitionOfIndex(index, name));
    expect(definitions.toSorted()).toEqual(expected.toSorted());
  });

  it("has the same foreign keys", async () => {
    const stored = await query<{ from: string; table: string; to: string; on_delete: string }>(
      `PRAGMA foreign_key_list("${name}")`,
    );
    const expected = config.foreignKeys.map((key) => {
      const { columns, foreignColumns, foreignTable } = key.reference();
      return {
        from: columns.map((column) => column.name).join(),
        table: getTableConfig(foreignTable).name,
        to: foreignColumns.map((column) => column.name).join(),
        on_delete: key.onDelete?.toUpperCase(),
      };
    });
    expect(stored.map((key) => pick(key, ["from", "table", "to", "on_delete"]))).toEqual(expected);
  });

  it("has the same checks", async () => {
    const definition = await definitionOf(name);
    const expected = config.checks.map(
      (check) => `CONSTRAINT "${check.name}" CHECK(${textOf(check.value)})`,
    );
    for (const check of expected) expect(definition).toContain(check);
    expect(definition.match(/\bCHECK\(/g) ?? []).toHaveLength(expected.length);
  });

  it("is its primary key, and has no rowid beside it; that of long texts has the rowid for its key", async () => {
    const definition = await definitionOf(name);
    if (table === tables.longTexts) {
      expect(definition).toContain('"id" integer PRIMARY KEY NOT NULL');
      expect(definition).not.toMatch(/ROWID|AUTOINCREMENT/);
    } else expect(definition).toMatch(/\) WITHOUT ROWID$/);
  });
});

function pick<Row extends object, Key extends keyof Row>(row: Row, keys: readonly Key[]) {
  return Object.fromEntries(keys.map((key) => [key, row[key]]));
}

describe("the database", () => {
  it("has the tables of the schema and no others", async () => {
    const stored = await query<{ name: string }>(
      `SELECT "name" FROM sqlite_master WHERE "type" = 'table' AND "name" NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND "name" <> 'd1_migrations' AND "name" <> 'sqlite_sequence'`,
    );
    expect(stored.map(({ name }) => name).toSorted()).toEqual(
      Object.keys(tables).map(snakeCase).toSorted(),
    );
  });

  it("has no triggers and no views", async () => {
    expect(
      await query(`SELECT "name" FROM sqlite_master WHERE "type" IN ('trigger', 'view')`),
    ).toEqual([]);
  });
});
