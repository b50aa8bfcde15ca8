/**
 * What every change to the maps is written through. It keeps an undo log, so that a commit is
 * applied whole or not at all, and refuses rows that D1 could not hold. Pure.
 */
import {
  COMMIT_ID_CHARS,
  COMMITS_REMEMBERED,
  measureRow,
  ROW_BYTES_MAX,
  tooLarge,
} from "./index.ts";
import { ServiceError } from "../contract/index.ts";
import {
  type Place,
  placeOf,
  type Rows,
  type State,
  type Table,
  type TableName,
  tableOf,
} from "./state.ts";

export class Writer {
  readonly state: State;
  readonly commitId: string;
  readonly #undo: (() => void)[] = [];

  constructor(state: State, commitId: string) {
    this.state = state;
    this.commitId = commitId;
  }

  /**
   * Puts the row in its place, over an older one if there is one.
   * @throws PAYLOAD_TOO_LARGE when its text is beyond ROW_BYTES_MAX.
   */
  put<Name extends TableName>(name: Name, row: Rows[Name]): void {
    checkFits(name, row);
    this.#set(tableOf(this.state, name), placeOf(name, row), frozen(withoutNegativeZero(row)));
  }

  /**
   * Puts the row in its place, which a guard of the commit has found free.
   * @throws INTERNAL when the place is taken, where SQL would violate the primary key.
   */
  create<Name extends TableName>(name: Name, row: Rows[Name]): void {
    if (tableOf(this.state, name).get(...placeOf(name, row)) !== undefined) {
      throw new ServiceError("INTERNAL", `A commit without a guard creates a row of ${name} anew`);
    }
    this.put(name, row);
  }

  remove<Name extends TableName>(name: Name, row: Rows[Name]): void {
    this.#set(tableOf(this.state, name), placeOf(name, row), undefined);
  }

  #set<Row>(table: Table<Row>, [part, key]: Place, row: Row | undefined): void {
    const before = table.get(part, key);
    this.#undo.push(() => table.set(part, key, before));
    table.set(part, key, row);
  }

  /** Gives the run a place in the line of the outbox; undefined takes its place away. */
  setTurn(workflowRunId: string, turn: number | undefined): void {
    const { turns } = this.state.outboxEvents;
    const before = turns.get(workflowRunId);
    const set = (value: number | undefined) => {
      if (value === undefined) turns.delete(workflowRunId);
      else turns.set(workflowRunId, value);
    };
    this.#undo.push(() => set(before));
    set(turn);
  }

  /** Marks the job as delayed, or as ready: a claim takes only ready jobs. */
  setDelayed({ workflowRunId, ordinal }: Rows["jobs"], isDelayed: boolean): void {
    const { delayed } = this.state.jobs;
    this.#set(delayed, [workflowRunId, ordinal], isDelayed ? true : undefined);
  }

  /**
   * The row's `commits` after this commit: its id in front, once, however often the commit writes
   * the row.
   */
  stamp(commits: string): string {
    if (commits.startsWith(this.commitId)) return commits;
    return (this.commitId + commits).slice(0, COMMITS_REMEMBERED * COMMIT_ID_CHARS);
  }

  /** Takes everything back, the latest first. */
  rollBack(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo.length = 0;
  }
}

/**
 * A row that is to be inserted must fit, even if another row has its place and it is dropped: SQL
 * checks a row before it looks for a conflict, and the maps do the same.
 * @throws PAYLOAD_TOO_LARGE
 */
export function checkFits(name: TableName, row: Readonly<Record<string, unknown>>): void {
  if (name === "aiCallTotals") return;
  const { size, field } = measureRow(name, row);
  if (size > ROW_BYTES_MAX) throw tooLarge(field, size, ROW_BYTES_MAX);
}

/** Rows are shared, so none may ever be altered. A bug that tries throws. */
function frozen<Row>(row: Row): Row {
  Object.freeze(row);
  return row;
}

/** SQLite stores -0 as 0. */
function withoutNegativeZero<Row extends object>(row: Row): Row {
  const negative = Object.entries(row).filter(([, value]) => Object.is(value, -0));
  if (negative.length === 0) return row;
  return { ...row, ...Object.fromEntries(negative.map(([column]) => [column, 0])) };
}
