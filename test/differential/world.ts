/** One side of the comparison: two connections onto one store, its clock, and everything it holds. */
import { snakeCase } from "../../src/store/names.ts";
import { tables as schema } from "../../schema/tables.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type { Store } from "../../src/changes/index.ts";
import { type Backend, ServiceError } from "../../src/contract/index.ts";
import { embed, type WorkflowEngineEnv } from "../../src/embed.ts";
import { LONG_TEXT } from "../../src/model/index.ts";
import { compareUtf8 } from "../../src/model/order.ts";
import { placeOf, type State, type TableName } from "../../src/model/state.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { env } from "../support/env.ts";
import { astrayAmong, placeIn, SELECT_TEXTS, textsById } from "../support/long-texts.ts";

export type Row = Readonly<Record<string, unknown>>;
export type Tables = Readonly<Record<TableName, readonly Row[]>>;

/** Ids in the order in which they were first seen, those of deleted rows included; jobs also move up when delivered. */
export interface Seen {
  readonly run: readonly string[];
  readonly stage: readonly string[];
  readonly job: readonly string[];
  readonly event: readonly string[];
}

export const NOTHING_SEEN: Seen = { run: [], stage: [], job: [], event: [] };
export const START = 1_700_000_000_000;
const WORKERS = ["worker-a", "worker-b"] as const;

/** The names of the tables that both sides have. */
export const TABLES = Object.keys(createMemoryStore().state) as TableName[];

interface Parts {
  readonly clock: { now: number };
  /** While it is on, the database turns every call away. */
  readonly outage: { on: boolean };
  /** Calls that the database has not answered yet, and the most that there have been at once. */
  readonly traffic: { underWay: number; most: number };
  readonly connections: readonly [Backend, Backend];
  readonly dump: () => Promise<Tables>;
}

export class World {
  readonly clock: Parts["clock"];
  readonly outage: Parts["outage"];
  readonly traffic: Parts["traffic"];
  readonly connections: Parts["connections"];
  readonly #dump: Parts["dump"];
  tables: Tables = Object.fromEntries(TABLES.map((name) => [name, []])) as unknown as Tables;
  seen: Seen = NOTHING_SEEN;

  constructor({ clock, outage, traffic, connections, dump }: Parts) {
    this.clock = clock;
    this.outage = outage;
    this.traffic = traffic;
    this.connections = connections;
    this.#dump = dump;
  }

  /** Takes note of what the store holds now. */
  async look(): Promise<void> {
    const before = new Map(this.tables.jobs.map((job) => [jobId(job), job["attempt"]]));
    this.tables = await this.#dump();
    const { runs, stages, jobs, outboxEvents } = this.tables;
    const delivered = jobs.filter((job) => before.get(jobId(job)) !== job["attempt"]).map(jobId);
    const kept = this.seen.job.filter((id) => !delivered.includes(id));
    this.seen = {
      run: union(this.seen.run, runs, (row) => text(row, "id")),
      stage: union(this.seen.stage, stages, (row) => text(row, "id")),
      job: [...kept, ...delivered],
      event: union(
        this.seen.event,
        outboxEvents,
        (row) => `${text(row, "workflowRunId")}/${text(row, "sequence")}`,
      ),
    };
  }
}

function jobId(row: Row): string {
  return `${text(row, "workflowRunId")}/${text(row, "ordinal")}`;
}

function text(row: Row, column: string): string {
  return String(row[column]);
}

function union(known: readonly string[], rows: readonly Row[], idOf: (row: Row) => string) {
  return [...new Set([...known, ...rows.map(idOf)])];
}

const OVERLOADED = "D1 DB is overloaded. Too many requests queued.";

export function createD1World(): World {
  const clock = { now: START };
  const outage = { on: false };
  const traffic = { underWay: 0, most: 0 };
  const watched = async <T>(call: () => Promise<T>): Promise<T> => {
    traffic.underWay += 1;
    traffic.most = Math.max(traffic.most, traffic.underWay);
    try {
      return await call();
    } finally {
      traffic.underWay -= 1;
    }
  };
  const database: Pick<D1Database, "prepare" | "batch"> = {
    prepare: (sql) => env.DB.prepare(sql),
    batch: async <T>(statements: D1PreparedStatement[]) => {
      if (outage.on) throw new Error(OVERLOADED);
      return watched(() => env.DB.batch<T>(statements));
    },
  };
  const bindings: WorkflowEngineEnv = {
    DB: database as D1Database,
    RUNS: {
      getByName: (name) => ({
        attempt: (commit) => watched(async () => env.RUNS.getByName(name).attempt(commit)),
      }),
    },
  };
  const [a, b] = WORKERS.map((workerId) => embed(bindings, { now: () => clock.now, workerId }));
  return new World({ clock, outage, traffic, connections: both(a, b), dump: dumpD1 });
}

export function createMemoryWorld(): World {
  const clock = { now: START };
  const outage = { on: false };
  const memory = createMemoryStore({ now: () => clock.now });
  const whileUp = <T>(call: () => T): T => {
    if (outage.on) throw new ServiceError("OVERLOADED", `D1 is overloaded: ${OVERLOADED}`);
    return call();
  };
  const store: Store = {
    now: () => memory.now(),
    read: async (queries) => whileUp(() => memory.read(queries)),
    attempt: async (commit) => whileUp(() => memory.attempt(commit)),
    settle: (commit) => memory.settle(commit),
  };
  const [a, b] = WORKERS.map((workerId) => new Connection(store, { workerId }));
  const dump = async () => dumpMemory(memory.state);
  const traffic = { underWay: 0, most: 0 };
  return new World({ clock, outage, traffic, connections: both(a, b), dump });
}

function both(a: Backend | undefined, b: Backend | undefined): readonly [Backend, Backend] {
  if (a === undefined || b === undefined) throw new Error("There are two connections");
  return [a, b];
}

/** Everything that the memory store holds, in the order of the primary keys. */
export function dumpMemory(state: State): Tables {
  return Object.fromEntries(
    TABLES.map((name) => [name, sorted(name, [...state[name].all()])]),
  ) as unknown as Tables;
}

function sorted<Name extends TableName>(
  name: Name,
  rows: readonly Parameters<typeof placeOf<Name>>[1][],
): readonly Row[] {
  const placed = rows.map((row) => ({ row, place: placeOf(name, row) }));
  placed.sort(
    (a, b) =>
      compareUtf8(a.place[0], b.place[0]) ||
      (name === "outboxEvents"
        ? Number(a.place[1]) - Number(b.place[1])
        : compareUtf8(a.place[1], b.place[1])),
  );
  return placed.map(({ row }) => row as unknown as Row);
}

/** A late result is kept outside its transaction, however that transaction ends. */
export function withoutLateResults(tables: Tables): Tables {
  const late = (row: Row) =>
    row["key"] === "job.late-result" || String(row["message"]).startsWith("A late result");
  return Object.fromEntries(
    TABLES.map((name) => [name, tables[name].filter((row) => !late(row))]),
  ) as unknown as Tables;
}

const KEYS: Readonly<Record<TableName, string>> = {
  runs: `"id"`,
  stages: `"workflow_run_id", "stage_id"`,
  stageAttempts: `"workflow_run_id", "id"`,
  signals: `"workflow_run_id", "id"`,
  logs: `"workflow_run_id", "ordinal"`,
  artifacts: `"workflow_run_id", "key"`,
  annotations: `"workflow_run_id", "ordinal"`,
  outboxEvents: `"workflow_run_id", "sequence"`,
  idempotencyKeys: `"key", "command_type"`,
  jobs: `"workflow_run_id", "ordinal"`,
  aiCalls: `"batch_id", "ordinal"`,
  aiCallTotals: `"topic", "model_key"`,
};
/** What only D1 has in its rows: which index a PENDING job is in, and a run's place in the line of the outbox. */
const D1_ONLY = new Set(["delayed", "turn"]);

/** Everything that D1 holds, named as the memory store names it, in the order of the primary keys. */
export async function dumpD1(): Promise<Tables> {
  const selects = TABLES.map((name) => `SELECT * FROM "${snakeCase(name)}" ORDER BY ${KEYS[name]}`);
  const results = await env.DB.batch<Row>(
    [SELECT_TEXTS, ...selects].map((sql) => env.DB.prepare(sql)),
  );
  const [beside, ...found] = results.map(({ results: rows }) => rows);
  const texts = textsById(beside ?? []);
  const tables = TABLES.map((name, index) => [name, found[index] ?? []] as const);
  const astray = astrayAmong(
    tables.flatMap(([name, rows]) => (name === "aiCallTotals" ? [] : [[name, rows] as const])),
    texts,
  );
  if (astray.length > 0) throw new Error(`Long texts are astray: ${astray.join("; ")}`);
  return Object.fromEntries(
    tables.map(([name, rows]) => [name, rows.map((row) => whole(name, camelCased(row), texts))]),
  ) as unknown as Tables;
}

/** The row with the texts that stand beside it. */
function whole(table: TableName, row: Row, texts: ReadonlyMap<number, string>): Row {
  const names: readonly string[] = table === "aiCallTotals" ? [] : LONG_TEXT[table];
  const placed = names.flatMap((name) => {
    const place = placeIn(row[name]);
    return place === null ? [] : [[name, texts.get(place.id)]];
  });
  return { ...row, ...Object.fromEntries(placed) };
}

const PROPERTIES = new Map(
  Object.values(schema).flatMap((table) =>
    Object.keys(table).map((property) => [snakeCase(property), property] as const),
  ),
);

function camelCased(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([column]) => !D1_ONLY.has(column))
      .map(([column, value]) => [PROPERTIES.get(column) ?? column, value]),
  );
}
