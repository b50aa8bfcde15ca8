/** What `store/` knows of each kind of change and query: its SQL. The descriptions stand under the same names in `changes/` and `queries/`. */
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

export interface QuerySql<Name extends QueryName> {
  readonly select: (query: QueryOf<Name>) => Statement;
  readonly answer: (rows: readonly FoundRow[], query: QueryOf<Name>) => QueryResults[Name];
}

export type ChangeSqlOf<Kinds extends ChangeKind> = { readonly [Kind in Kinds]: ChangeSql<Kind> };
export type QuerySqlOf<Names extends QueryName> = { readonly [Name in Names]: QuerySql<Name> };

/*
 * Rows are taken at their word here and nowhere else: the statements select exactly the columns of the row types, under their names.
 */

export function oneRow<Row>(rows: readonly FoundRow[]): Row | null {
  return (rows[0] ?? null) as Row | null;
}

export function theRow<Row>(rows: readonly FoundRow[]): Row {
  return rows[0] as Row;
}

export function allRows<Row>(rows: readonly FoundRow[]): Row[] {
  return rows as unknown as Row[];
}

export function hasRow(rows: readonly FoundRow[]): boolean {
  return rows.length > 0;
}

/** The number that is selected as `count`. */
export function countOf(rows: readonly FoundRow[]): number {
  return Number(rows[0]?.["count"]);
}
