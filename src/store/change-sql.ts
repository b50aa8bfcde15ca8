/**
 * What `store/` knows of each kind of change and query: its SQL. The descriptions stand in
 * `changes/` and `queries/` under the same names.
 */
import type { ChangeKind, ChangeOf } from "../changes/index.ts";
import { LONG_TEXT, type LongTextTable } from "../model/index.ts";
import type { QueryName, QueryOf, QueryResults } from "../queries/index.ts";
import { withTexts } from "./long-texts.ts";
import type { Statement } from "./sql.ts";

/** The SQL of one kind of change. */
export interface ChangeSql<Kind extends ChangeKind> {
  /** Several changes of the kind in one commit, neighbours in it. */
  readonly write: (changes: readonly ChangeOf<Kind>[], commitId: string) => readonly Statement[];
  /**
   * Where the change left its trace, if not in its own row: a SELECT of the `commits` that hold the
   * mark, or of the row.
   */
  readonly trace?: (change: ChangeOf<Kind>, commitId: string) => Statement;
  /** Statements after all changes of the commit. Kinds with the same function share one call. */
  readonly finish?: (changes: readonly ChangeOf<Kind>[]) => readonly Statement[];
}

/** A row as D1 answers it, under the names of its properties. */
export type FoundRow = Readonly<Record<string, unknown>>;

/**
 * What an answer consists of, to bound its bytes: rows of a table, whole or `only` some of their
 * columns, rows of a few ids and numbers, or one number or flag.
 */
export type AnswerSize =
  | { readonly rows: LongTextTable; readonly only?: readonly string[]; readonly single?: true }
  | "plain-rows"
  | "number";

/** The SQL of one kind of query, and how its rows become the answer. */
export interface QuerySql<Name extends QueryName> {
  readonly select: (query: QueryOf<Name>) => Statement;
  readonly answer: (rows: readonly FoundRow[], query: QueryOf<Name>) => QueryResults[Name];
  readonly size: AnswerSize | ((query: QueryOf<Name>) => AnswerSize);
}

export type ChangeSqlOf<Kinds extends ChangeKind> = { readonly [Kind in Kinds]: ChangeSql<Kind> };
export type QuerySqlOf<Names extends QueryName> = { readonly [Name in Names]: QuerySql<Name> };

/*
 * Here and nowhere else a row is trusted to have its type: the statements select exactly the
 * columns of the row types, under their names.
 */

/** The row, or null. See above: the row's columns are those of the type. */
export function oneRow<Row>(rows: readonly FoundRow[]): Row | null {
  return (rows[0] ?? null) as Row | null;
}

export function allRows<Row>(rows: readonly FoundRow[]): Row[] {
  return rows as unknown as Row[];
}

/** The answer is a row of the table, or null. */
export function aRowOf(rows: LongTextTable) {
  return {
    answer: <Row>(found: readonly FoundRow[]): Row | null =>
      oneRow(withTexts(LONG_TEXT[rows], found)),
    size: { rows, single: true },
  } as const;
}

/** The answer is rows of the table, or `only` some of their columns. */
export function rowsOf(rows: LongTextTable, only?: readonly string[]) {
  return {
    answer: <Row>(found: readonly FoundRow[]): Row[] => allRows(withTexts(LONG_TEXT[rows], found)),
    size: only === undefined ? { rows } : { rows, only },
  } as const;
}

/** The answer is rows of a few ids and numbers. */
export const plainRows = { answer: allRows, size: "plain-rows" } as const;

/** The answer is a single row of numbers. There always is one. */
export const numbers = {
  answer<Row>(rows: readonly FoundRow[]): Row {
    return rows[0] as Row;
  },
  size: "number",
} as const;

/** The answer is whether a row was found. */
export const presence = {
  answer: (rows: readonly FoundRow[]): boolean => rows.length > 0,
  size: "number",
} as const;

/** The answer is the number that is selected as `count`. */
export const count = {
  answer: (rows: readonly FoundRow[]): number => Number(rows[0]?.["count"]),
  size: "number",
} as const;
