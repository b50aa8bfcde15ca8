/** Names in the database: those of columns, and those of the indexes by which runs are found. */
import { COLUMNS } from "../model/index.ts";
import { OWN_COLUMNS } from "../model/own-columns.ts";
import type { Members } from "../model/shape.ts";
import type { Rows, TableName } from "../model/state.ts";
import type { IndexedBy } from "../queries/index.ts";

/** Indexes that give the runs of one value of a column in the order of their age. */
export const RUNS_BY = {
  status: "runs_status_idx",
  workflowId: "runs_workflow_idx",
} as const satisfies Readonly<Record<IndexedBy, string>>;

/** Names that were asked for: those of tables and columns, which are few. */
const KNOWN = new Map<string, string>();

/** A property's name as a column's. */
export function snakeCase(name: string): string {
  let known = KNOWN.get(name);
  if (known === undefined) {
    known = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    KNOWN.set(name, known);
  }
  return known;
}

function membersOf(table: TableName): Members {
  return { ...(table === "aiCallTotals" ? {} : COLUMNS[table].members), ...OWN_COLUMNS[table] };
}

/** The properties of a table's rows. */
export function propertiesOf<
  Table extends TableName,
  Except extends keyof Rows[Table] & string = never,
>(table: Table, ...except: Except[]): Exclude<keyof Rows[Table] & string, Except>[] {
  const left: readonly string[] = except;
  return Object.keys(membersOf(table)).filter(
    (name): name is Exclude<keyof Rows[Table] & string, Except> => !left.includes(name),
  );
}

/** The properties that hold text. Of the shapes of columns, only those of numbers take one. */
export function textsOf(table: TableName): string[] {
  const members = Object.entries(membersOf(table));
  return members.filter(([, shape]) => shape.check(1) !== null).map(([name]) => name);
}
