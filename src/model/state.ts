/**
 * The database as maps. Pure. A row is immutable: a change puts a new row in its place and never
 * alters the old one, so that two States may share rows.
 */
import type {
  AiCallRow,
  AiCallTotalRow,
  AnnotationRow,
  ArtifactRow,
  IdempotencyKeyRow,
  JobRow,
  LogRow,
  OutboxEventRow,
  RunRow,
  SignalRow,
  StageRow,
} from "./index.ts";

/** Rows by a primary key of two columns: the first is the part, the second the key. */
export class Table<Row> {
  readonly #parts = new Map<string, Map<string, Row>>();

  get(part: string, key: string): Row | undefined {
    return this.#parts.get(part)?.get(key);
  }

  /** Undefined: no row. */
  set(part: string, key: string, row: Row | undefined): void {
    const rows = this.#parts.get(part) ?? new Map<string, Row>();
    if (row === undefined) rows.delete(key);
    else rows.set(key, row);
    if (rows.size === 0) this.#parts.delete(part);
    else this.#parts.set(part, rows);
  }

  /** The rows of one part, in no particular order; empty when there are none. */
  part(part: string): ReadonlyMap<string, Row> {
    return this.#parts.get(part) ?? new Map<string, Row>();
  }

  /** Every row, in no particular order. */
  *all(): Iterable<Row> {
    for (const rows of this.#parts.values()) yield* rows.values();
  }

  clear(): void {
    this.#parts.clear();
  }
}

/**
 * Outbox events, and the line of runs that have waiting ones. The database keeps the line in the
 * column `turn`.
 */
export class OutboxTable extends Table<OutboxEventRow> {
  /**
   * A run's place in the line: smaller numbers come first. Runs without waiting events have none.
   */
  readonly turns = new Map<string, number>();

  override clear(): void {
    super.clear();
    this.turns.clear();
  }
}

/**
 * Jobs, and which of them are delayed, as the database has it in the column `delayed`. A claim
 * first makes the delayed jobs ready that are due, and then looks at ready jobs alone.
 */
export class JobTable extends Table<JobRow> {
  readonly delayed = new Table<true>();

  override clear(): void {
    super.clear();
    this.delayed.clear();
  }
}

/** Which row each table holds. */
export interface Rows {
  runs: RunRow;
  stages: StageRow;
  /** Stages as they were before their run was run again. */
  stageAttempts: StageRow;
  signals: SignalRow;
  logs: LogRow;
  artifacts: ArtifactRow;
  annotations: AnnotationRow;
  outboxEvents: OutboxEventRow;
  idempotencyKeys: IdempotencyKeyRow;
  jobs: JobRow;
  aiCalls: AiCallRow;
  aiCallTotals: AiCallTotalRow;
}
export type TableName = keyof Rows;

/** All tables. {@link placeOf} tells under which part and key a table keeps a row. */
export type State = { readonly [Name in TableName]: Table<Rows[Name]> } & {
  readonly outboxEvents: OutboxTable;
  readonly jobs: JobTable;
};

/** A database without rows. */
export function createState(): State {
  return {
    runs: new Table(),
    stages: new Table(),
    stageAttempts: new Table(),
    signals: new Table(),
    logs: new Table(),
    artifacts: new Table(),
    annotations: new Table(),
    outboxEvents: new OutboxTable(),
    idempotencyKeys: new Table(),
    jobs: new JobTable(),
    aiCalls: new Table(),
    aiCallTotals: new Table(),
  };
}

/** The part and the key of a row. */
export type Place = readonly [part: string, key: string];

/** The columns of each table's primary key: the part, and the key within it. */
export const KEYS = {
  runs: ["id"],
  stages: ["workflowRunId", "stageId"],
  stageAttempts: ["workflowRunId", "id"],
  signals: ["workflowRunId", "id"],
  logs: ["workflowRunId", "ordinal"],
  artifacts: ["workflowRunId", "key"],
  annotations: ["workflowRunId", "ordinal"],
  outboxEvents: ["workflowRunId", "sequence"],
  idempotencyKeys: ["key", "commandType"],
  jobs: ["workflowRunId", "ordinal"],
  aiCalls: ["batchId", "ordinal"],
  aiCallTotals: ["topic", "modelKey"],
} as const satisfies {
  readonly [Name in TableName]: readonly [keyof Rows[Name], keyof Rows[Name]] | readonly ["id"];
};

/** Where a table keeps this row. */
export function placeOf<Name extends TableName>(name: Name, row: Rows[Name]): Place {
  const columns: Readonly<Record<string, unknown>> = row;
  const [part, key] = KEYS[name];
  return [String(columns[part]), key === undefined ? "" : String(columns[key])];
}

/** The table of that name. */
export function tableOf<Name extends TableName>(state: State, name: Name): Table<Rows[Name]> {
  const tables: { readonly [Each in TableName]: Table<Rows[Each]> } = state;
  return tables[name];
}

/** Puts the row in its place. */
export function keep<Name extends TableName>(state: State, name: Name, row: Rows[Name]): void {
  tableOf(state, name).set(...placeOf(name, row), row);
}

/** The run's outbox event with the highest sequence. */
export function lastOutboxEvent(state: State, workflowRunId: string): OutboxEventRow | undefined {
  let last: OutboxEventRow | undefined;
  for (const event of state.outboxEvents.part(workflowRunId).values()) {
    if (last === undefined || event.sequence > last.sequence) last = event;
  }
  return last;
}

/** Whether the event is still to be published: it is neither published nor in the DLQ. */
export function isWaiting({
  publishedAt,
  dlqAt,
}: Pick<OutboxEventRow, "publishedAt" | "dlqAt">): boolean {
  return publishedAt === null && dlqAt === null;
}

/** The sequence of the run's first waiting event; undefined when none waits. */
export function firstWaiting(state: State, workflowRunId: string): number | undefined {
  let first: number | undefined;
  for (const event of state.outboxEvents.part(workflowRunId).values()) {
    if (isWaiting(event) && event.sequence < (first ?? Infinity)) first = event.sequence;
  }
  return first;
}

/**
 * The row as an answer without its long columns: those in `omit` have the JSON null in their place.
 */
export function without<Row extends object>(row: Row, omit: readonly string[] = []): Row {
  return omit.length === 0
    ? row
    : { ...row, ...Object.fromEntries(omit.map((name) => [name, "null"])) };
}
