/** The ways in, each with as many connections as a test wants, and with what is behind them. */
import { afterEach, beforeEach, vi } from "vitest";
import { type Change, type Store } from "../../src/changes/index.ts";
import { newCommitId } from "../../src/model/index.ts";
import { Connection, type ConnectionOptions } from "../../src/persistence/connection.ts";
import { connect } from "../../src/client/index.ts";
import { type Backend, isServiceError, type JobRecord } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { D1Store } from "../../src/store/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";

export const START = 1_700_000_000_000;
export const MINUTE = 60_000;

export interface Place {
  connect(options?: ConnectionOptions): Backend;
  readonly store: Store;
  logs(): Promise<readonly Record<string, unknown>[]>;
}

export interface Way {
  readonly name: string;
  open(): Place;
}

const d1 = {
  store: new D1Store(env.DB),
  logs: async () => {
    const sql = `SELECT "workflow_run_id" AS "workflowRunId", "level", "message", "metadata" FROM "logs"`;
    return (await env.DB.prepare(sql).all()).results;
  },
};

export const ways: readonly Way[] = [
  { name: "embedded", open: () => ({ ...d1, connect: (options) => embed(env, options) }) },
  {
    name: "over a service binding",
    open: () => ({ ...d1, connect: (options) => connect(service, options) }),
  },
  {
    name: "in memory",
    open: () => {
      const store = createMemoryStore();
      return {
        store,
        connect: (options) => new Connection(store, options),
        logs: async () => [...store.state.logs.all()],
      };
    },
  },
];

/** An empty store, and one clock for all ways: the service runs in this isolate. */
export function usingTheClock(): void {
  beforeEach(async () => {
    await emptyDatabase();
    vi.useFakeTimers({ toFake: ["Date"], now: START });
    // A client counts on from the service's clock by its monotonic one.
    vi.spyOn(performance, "now").mockImplementation(() => Date.now() - START);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

export function pass(milliseconds: number): void {
  vi.setSystemTime(Date.now() + milliseconds);
}

/** One commit of changes that make a state which no call would. */
export async function write({ store }: Place, changes: readonly Change[]): Promise<void> {
  const commit = { id: newCommitId(Date.now()), guards: [], changes, reads: [] };
  const { applied } = await store.attempt(commit);
  if (!applied) throw new Error("The commit was refused");
}

export const JOB = { workflowRunId: "run", workflowId: "w", stageId: "s" } as const;
export const RUN = {
  id: "run",
  workflowId: "w",
  workflowName: "w",
  workflowType: "w",
  input: null,
} as const;

export async function jobsOf({ jobs }: Backend, run = "run"): Promise<readonly JobRecord[]> {
  return jobs.getJobsByWorkflowRun(run);
}

export async function statuses(backend: Backend, run = "run"): Promise<readonly string[]> {
  return (await jobsOf(backend, run)).map(({ status }) => status);
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error("Expected a value");
  return value;
}

/** The code of the fault, and its field, if it names one. */
export async function faultOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return "none";
  } catch (error) {
    if (!isServiceError(error)) return String(error);
    const { field } = error.details;
    return typeof field === "string" ? `${error.code} ${field}` : error.code;
  }
}

/** Takes the lease away from its holder, and gives it to this connection as the next attempt. */
export async function takeOver({ jobs }: Backend): Promise<number> {
  pass(10 * MINUTE);
  await jobs.releaseStaleJobs();
  return present(await jobs.dequeue()).attempt;
}

/** A value of a type that it does not have: what a caller without types passes. */
export function forced<T>(value: unknown): T {
  return value as T;
}
