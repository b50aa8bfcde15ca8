/**
 * What a transaction has written, as the changes of its commit. A row that the transaction itself
 * inserts is written once, as it is in the end; updates of one other row become one.
 */
import { type CallerChange, type ChangeOf, kindOfCallers } from "../../changes/index.ts";
import { type RowRef, rowName, stageRef } from "../../model/row-ref.ts";
import type { State, TableName } from "../../model/state.ts";

/** The tables in the order of the commit: rows refer only to rows of tables before theirs. */
const ORDER = [
  "runs",
  "stages",
  "artifacts",
  "annotations",
  "logs",
  "outboxEvents",
  "idempotencyKeys",
  "jobs",
] as const satisfies readonly TableName[];
type Written = (typeof ORDER)[number];

type Update = ChangeOf<"updateRun"> | ChangeOf<"updateStage">;

/** Collects changes and gives those of the commit. */
export class WriteSet {
  count = 0;
  readonly #deleteStages = new Map<string, ChangeOf<"deleteStage">>();
  /** Rows that the transaction inserts. */
  readonly #inserted = new Map<string, RowRef>();
  /**
   * Changes of other rows by their table; of one row only one, where they can be merged: under the
   * row's name. Others stand under themselves.
   */
  readonly #others = new Map<Written, Map<string | CallerChange, CallerChange>>(
    ORDER.map((table) => [table, new Map()]),
  );

  /** Events that have no sequence yet, because the run's tail has not been loaded. */
  readonly #unnumbered = new Set<ChangeOf<"appendOutboxEvent">>();

  hold(change: ChangeOf<"appendOutboxEvent">): void {
    this.count += 1;
    this.#unnumbered.add(change);
  }

  /** The event has its sequence now, and is about to be added. */
  release(change: ChangeOf<"appendOutboxEvent">): void {
    if (this.#unnumbered.delete(change)) this.count -= 1;
  }

  /**
   * Notes a change that has just been applied to the local copy, and the row that it wrote; null:
   * no single one.
   */
  add(change: CallerChange, row: RowRef | null): void {
    this.count += 1;
    if (change.kind === "deleteStage") return this.#deleteStage(change);
    switch (kindOfCallers(change).recorded) {
      case "insert":
        if (row !== null) this.#inserted.set(rowName(row), row);
        break;
      case "merge":
        if (row !== null && !this.owns(row)) this.#merge(row, change);
        break;
      case "each":
        if (row === null || !this.owns(row)) this.#note(tableOf(change, row), change);
        break;
      case "never":
        break;
    }
  }

  /** Whether the transaction inserts the row. */
  owns(row: RowRef): boolean {
    return this.#inserted.has(rowName(row));
  }

  #note(table: Written, change: CallerChange): void {
    this.#others.get(table)?.set(change, change);
  }

  /**
   * Two updates of one row become one: the later value of each column, and both steps of the
   * version.
   */
  #merge(row: RowRef, change: CallerChange): void {
    const changes = this.#others.get(tableOf(change, row));
    const earlier = changes?.get(rowName(row));
    changes?.set(rowName(row), earlier === undefined ? change : merged(earlier, change));
  }

  #deleteStage(change: ChangeOf<"deleteStage">): void {
    const stage = stageRef(change);
    this.#others.get("stages")?.delete(rowName(stage));
    // A stage that this transaction itself created never reaches the database.
    if (!this.#inserted.delete(rowName(stage))) this.#deleteStages.set(rowName(stage), change);
    // Deletions come first in the commit. So what was written before them no longer refers to the
    // stage.
    for (const table of ["artifacts", "annotations"] as const) {
      const changes = this.#others.get(table);
      for (const [name, earlier] of changes ?? [])
        changes?.set(name, withoutStage(earlier, change.id));
    }
    const logs = this.#others.get("logs");
    for (const [name, earlier] of logs ?? []) {
      if (earlier.kind === "createLog" && earlier.row.workflowStageId === change.id)
        logs?.delete(name);
    }
  }

  /**
   * The changes of the commit, in an order in which each finds what it needs and neighbours share a
   * statement. Updates come before insertions: a job that ends frees its dedupe key, and marks go
   * to events that were read, not to appended ones.
   */
  changes(local: State): CallerChange[] {
    return [
      ...this.#deleteStages.values(),
      ...ORDER.flatMap((table) => [
        ...(this.#others.get(table)?.values() ?? []),
        ...[...this.#inserted.values()].flatMap((row) =>
          row.table === table ? (insertion(local, row) ?? []) : [],
        ),
        ...(table === "outboxEvents" ? this.#unnumbered : []),
      ]),
    ];
  }
}

/**
 * The table that a change is about. Changes without a row of their own are about the jobs of a run.
 */
function tableOf(change: CallerChange, row: RowRef | null): Written {
  const table = row?.table ?? "jobs";
  const known = ORDER.find((each) => each === table);
  if (known === undefined) throw new TypeError(`A transaction does not write ${change.kind}`);
  return known;
}

/** The change that inserts the row as the transaction leaves it. */
function insertion(local: State, { table, part, key }: RowRef): CallerChange | null {
  switch (table) {
    case "runs": {
      const row = local.runs.get(part, key);
      return row === undefined ? null : { kind: "createRun", row: withoutCommits(row) };
    }
    case "stages": {
      const row = local.stages.get(part, key);
      if (row === undefined) return null;
      const { attendAt: _, ...stage } = withoutCommits(row);
      return { kind: "createStage", row: stage };
    }
    case "outboxEvents": {
      const row = local.outboxEvents.get(part, key);
      if (row === undefined) return null;
      const { sequence: _, countAfter: __, ...event } = withoutCommits(row);
      return { kind: "appendOutboxEvent", row: event };
    }
    case "jobs": {
      const row = local.jobs.get(part, key);
      if (row === undefined) return null;
      const { resumeAt: _, handOverAt: __, ...job } = withoutCommits(row);
      return { kind: "enqueueJob", row: job };
    }
    default:
      return null;
  }
}

function withoutCommits<Row extends { commits: string }>({ commits: _, ...row }: Row) {
  return row;
}

function merged(earlier: CallerChange, later: CallerChange): CallerChange {
  if (earlier.kind === "updateRun" && later.kind === "updateRun") return both(earlier, later);
  if (earlier.kind === "updateStage" && later.kind === "updateStage") return both(earlier, later);
  return later;
}

function both<U extends Update>(earlier: U, later: U): U {
  return {
    ...later,
    set: { ...earlier.set, ...later.set },
    bump: earlier.bump + later.bump,
  };
}

/** The change without its reference to a stage that was deleted. */
export function withoutStage(change: CallerChange, id: string): CallerChange {
  if (change.kind === "saveArtifact" && change.row.workflowStageId === id) {
    return { ...change, row: { ...change.row, workflowStageId: null } };
  }
  if (change.kind === "appendAnnotation" && change.row.workflowStageRecordId === id) {
    return { ...change, row: { ...change.row, workflowStageRecordId: null } };
  }
  return change;
}
