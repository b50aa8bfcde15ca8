/** What `store/` knows of each kind of change and query: its SQL. The descriptions stand under the same names in `changes/` and `queries/`. */
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import type { ChangeKind, ChangeOf } from "../changes/index.ts";
import type { QueryName, QueryOf, QueryResults } from "../queries/index.ts";
import type { Statement } from "./sql.ts";

export interface ChangeSql<Kind extends ChangeKind> {
  /** Several changes of the kind, in one commit. */
  readonly write: (changes: readonly ChangeOf<Kind>[], commitId: string) => readonly Statement[];
  /**
   * Where the change left its trace, if that is not its own row: a SELECT of the `commits` that hold the mark, or of the row that is there.
   */
  readonly trace?: (change: ChangeOf<Kind>, commitId: string) => Statement;
}

/** A row as D1 answers it, under the names of its properties. */
export type FoundRow = Readonly<Record<string, unknown>>;

/** What an answer holds, for its bound in bytes: rows of a table, whole or some properties of them, rows of a few ids and numbers, or one number or flag. */
export type AnswerSize =
  | {
      readonly rows: SQLiteTable;
      readonly single?: true;
      readonly properties?: readonly string[] | undefined;
    }
  | "plain-rows"
  | "number";

export interface QuerySql<Name extends QueryName> {
  readonly select: (query: QueryOf<Name>) => Statement;
  readonly answer: (rows: readonly FoundRow[], query: QueryOf<Name>) => QueryResults[Name];
  readonly size: AnswerSize | ((query: QueryOf<Name>) => AnswerSize);
}

export type ChangeSqlOf<Kinds extends ChangeKind> = { readonly [Kind in Kinds]: ChangeSql<Kind> };
export type QuerySqlOf<Names extends QueryName> = { readonly [Name in Names]: QuerySql<Name> };

/*
 * Rows are taken at their word here and nowhere else: the statements select exactly the columns of the row types, under their names.
 */

export function oneRow<Row>(rows: readonly FoundRow[]): Row | null {
  return (rows[0] ?? null) as Row | null;
}

export function allRows<Row>(rows: readonly FoundRow[]): Row[] {
  return rows as unknown as Row[];
}

/** The answer is a row of the table, or null. */
export function aRowOf(rows: SQLiteTable) {
  return { answer: oneRow, size: { rows, single: true } } as const;
}

/** The answer is rows of the table, whole or these properties of them. */
export function rowsOf(rows: SQLiteTable, properties?: readonly string[]) {
  return { answer: allRows, size: { rows, properties } } as const;
}

/** The answer is rows of a few ids and numbers. */
export const plainRows = { answer: allRows, size: "plain-rows" } as const;

/** The answer is a single row of numbers, which there always is. */
export const numbers = {
  answer<Row>(rows: readonly FoundRow[]): Row {
    return rows[0] as Row;
  },
  size: "number",
} as const;

/** The answer is whether there is a row. */
export const presence = {
  answer: (rows: readonly FoundRow[]): boolean => rows.length > 0,
  size: "number",
} as const;

/** The answer is the number that is selected as `count`. */
export const count = {
  answer: (rows: readonly FoundRow[]): number => Number(rows[0]?.["count"]),
  size: "number",
} as const;
