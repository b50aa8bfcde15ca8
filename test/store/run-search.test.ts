import { beforeAll, describe, expect, it } from "vitest";
import { type Change, type ChangeOf, type Store } from "../../src/changes/index.ts";
import { newCommitId } from "../../src/model/index.ts";
import {
  type QueryOf,
  type RunFilters,
  RUNS_LOOKED_AT,
  type RunsPage,
  WORKFLOWS_MAX,
} from "../../src/queries/index.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { D1Store } from "../../src/store/index.ts";
import { faultyD1 } from "../../src/testing/faulty-d1.ts";
import { aRun, anAnnotation } from "../memory/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const d1 = new D1Store(env.DB);
let memory: Store;

const STATUSES = ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "RUNNING", "PENDING"] as const;
const NAMES = ["Daily digest", "Invoice", "INVOICE check", "100% report", "under_score"] as const;

/** Two runs of each instant, of a few workflows; every 50th has the status FAILED and the name of its own kind. */
function run(n: number, name: string = NAMES[n % NAMES.length] ?? ""): ChangeOf<"createRun"> {
  return aRun({
    id: `run-${n}`,
    ordinal: String(n).padStart(9, "0"),
    createdAt: 1_000 + Math.floor(n / 2),
    workflowId: n % 3 === 0 ? "invoices" : "digests",
    workflowType: n % 4 === 0 ? "batch" : "live",
    workflowName: name,
    status: n % 50 === 0 ? "FAILED" : (STATUSES[n % STATUSES.length] ?? "PENDING"),
  });
}

function annotated(n: number, value: string, ordinal: string): ChangeOf<"appendAnnotation"> {
  return anAnnotation({ workflowRunId: `run-${n}`, key: "model", value, ordinal });
}

async function fill(changes: readonly Change[]): Promise<void> {
  await emptyDatabase();
  memory = createMemoryStore();
  for (let first = 0; first < changes.length; first += 500) {
    const commit = {
      id: newCommitId(first + 1),
      guards: [],
      changes: changes.slice(first, first + 500),
      reads: [],
    };
    expect((await d1.attempt(commit)).applied).toBe(true);
    expect((await memory.attempt(commit)).applied).toBe(true);
  }
}

type Asked = Partial<Omit<QueryOf<"runs">, "q">>;

/** The page, which both stores answer alike. */
async function page(filters: RunFilters, asked: Asked = {}): Promise<RunsPage> {
  const query = {
    q: "runs",
    filters,
    after: null,
    descending: false,
    limit: 100,
    ...asked,
  } as const;
  const [found] = await d1.read([query]);
  const [expected] = await memory.read([query]);
  expect(found).toEqual(expected);
  return found;
}

/** The ids of all pages, and how many pages there were. */
async function walk(filters: RunFilters, asked: Asked = {}) {
  const ids: string[] = [];
  let after: Asked["after"] = null;
  // More pages than any walk here has: a place that is inclusive fails instead of going on.
  for (let pages = 1; pages <= 2_000; pages += 1) {
    const found: RunsPage = await page(filters, { ...asked, after });
    ids.push(...found.rows.map(({ id }) => id));
    after = found.next;
    if (after === null) return { ids, pages };
  }
  throw new Error("The pages do not come to an end");
}

/** The store, and how many rows D1 has read for it. */
function counting() {
  const { db, calls } = faultyD1(env.DB);
  return {
    d1: new D1Store(db),
    rowsRead: () => calls.reduce((sum, call) => sum + call.rowsRead, 0),
  };
}

const RUNS = 240;
const runs = Array.from({ length: RUNS }, (_, n) => run(n));

function idsOf(fits: (row: ChangeOf<"createRun">["row"]) => boolean, all = runs): string[] {
  return all.filter(({ row }) => fits(row)).map(({ row }) => row.id);
}

const FILTERS: readonly (readonly [RunFilters, string[]])[] = [
  [{}, idsOf(() => true)],
  [{ status: "RUNNING" }, idsOf((row) => row.status === "RUNNING")],
  [{ status: "COMPLETED" }, idsOf((row) => row.status === "COMPLETED")],
  [{ workflowId: "invoices" }, idsOf((row) => row.workflowId === "invoices")],
  [{ workflowType: "batch" }, idsOf((row) => row.workflowType === "batch")],
  [{ nameContains: "invoice" }, idsOf((row) => /invoice/i.test(row.workflowName))],
  [{ nameContains: "%" }, idsOf((row) => row.workflowName.includes("%"))],
  [{ nameContains: "_" }, idsOf((row) => row.workflowName.includes("_"))],
  [{ createdFrom: 1_010, createdBefore: 1_020 }, idsOf((row) => inRange(row.createdAt))],
  [
    { status: "FAILED", workflowId: "invoices", createdFrom: 1_010 },
    idsOf((row) => isFailedInvoice(row) && row.createdAt >= 1_010),
  ],
  [
    { status: "COMPLETED", workflowId: "digests", workflowType: "live", nameContains: "DIGEST" },
    idsOf(
      (row) =>
        row.status === "COMPLETED" &&
        row.workflowId === "digests" &&
        row.workflowType === "live" &&
        row.workflowName === "Daily digest",
    ),
  ],
];

function inRange(at: number): boolean {
  return at >= 1_010 && at < 1_020;
}

function isFailedInvoice(row: ChangeOf<"createRun">["row"]): boolean {
  return row.status === "FAILED" && row.workflowId === "invoices";
}

describe("runs are found", () => {
  beforeAll(async () => {
    await fill([
      ...runs,
      annotated(7, `"small"`, "a1"),
      annotated(7, `"small"`, "a2"),
      annotated(3, `"small"`, "a3"),
      annotated(9, `"Small"`, "a4"),
      annotated(200, `"small"`, "a5"),
      annotated(201, JSON.stringify("x".repeat(254)), "a6"),
      annotated(202, JSON.stringify("x".repeat(255)), "a7"),
    ]);
  });

  it.each(FILTERS)("by %j, oldest and newest first, in pages of any size", async (filters, ids) => {
    expect(ids).not.toEqual([]);
    for (const limit of [1_000, 7]) {
      expect((await walk(filters, { limit })).ids).toEqual(ids);
      expect((await walk(filters, { limit, descending: true })).ids).toEqual(ids.toReversed());
    }
  });

  it("by an annotation, once each, in the order of their own age", async () => {
    const filters = { annotation: { key: "model", value: `"small"` } };
    expect((await walk(filters)).ids).toEqual(["run-3", "run-7", "run-200"]);
    expect((await walk(filters, { limit: 1, descending: true })).ids).toEqual([
      "run-200",
      "run-7",
      "run-3",
    ]);
    expect((await walk({ ...filters, createdFrom: 1_003, createdBefore: 1_100 })).ids).toEqual([
      "run-7",
    ]);
    expect((await walk({ ...filters, workflowId: "invoices" })).ids).toEqual(["run-3"]);
  });

  it("by an annotation's value of up to 256 bytes; a longer one is kept out of the index", async () => {
    const value = JSON.stringify("x".repeat(254));
    expect((await walk({ annotation: { key: "model", value } })).ids).toEqual(["run-201"]);
    const { results } = await env.DB.prepare(
      `SELECT count(*) AS "count" FROM "annotated_runs"`,
    ).run();
    expect(results).toEqual([{ count: 5 }]);
  });

  it("without the long columns that are to be left out", async () => {
    const { rows } = await page({}, { limit: 1, omit: ["input", "metadata"] });
    expect(rows[0]).toMatchObject({ input: "null", metadata: "null", config: "{}" });
  });

  it("once each, while new ones arrive", async () => {
    const first = await page({ status: "RUNNING" }, { limit: 5, descending: true });
    const late = { ...run(RUNS + 4), row: { ...run(RUNS + 4).row, status: "RUNNING" as const } };
    const commit = { id: newCommitId(9_999), guards: [], changes: [late], reads: [] };
    await d1.attempt(commit);
    await memory.attempt(commit);
    const rest = await walk({ status: "RUNNING", createdBefore: 2_000 }, { descending: true });
    expect(rest.ids[0]).toBe(late.row.id);
    const second = await page({ status: "RUNNING" }, { after: first.next, descending: true });
    expect(second.rows.map(({ id }) => id)).toEqual(rest.ids.slice(6));
  });
});

describe("a page looks at a bounded number of runs", () => {
  const many = Array.from({ length: RUNS_LOOKED_AT + 300 }, (_, n) => {
    const change = run(n, `Run ${n}`);
    const row = { ...change.row, status: n % 1_250 === 3 ? ("FAILED" as const) : "COMPLETED" };
    return { ...change, row: { ...row, workflowId: "one" } };
  }) as ChangeOf<"createRun">[];

  const filled = [
    ...many,
    ...many.map((_, n) =>
      anAnnotation({ workflowRunId: `run-${n}`, key: "model", value: "1", ordinal: `a${n}` }),
    ),
  ];

  beforeAll(async () => {
    await fill(filled);
  });

  it("comes back short, and goes on from where it stopped", async () => {
    const filters = { status: "COMPLETED", workflowId: "one", nameContains: "run 12" } as const;
    const ids = idsOf(
      (row) => row.workflowName.startsWith("Run 12") && row.status === "COMPLETED",
      many,
    );
    const found = await walk(filters, { descending: true });
    expect(found).toEqual({ ids: ids.toReversed(), pages: 2 });
  });

  it("also while it looks for text among more names than it keeps apart", async () => {
    expect(new Set(many.map(({ row }) => row.workflowName)).size).toBeGreaterThan(WORKFLOWS_MAX);
    const first = await page({ nameContains: "RUN 1250" });
    expect(first).toEqual({ rows: [], next: { createdAt: 1_499, ordinal: "000000999" } });
    expect((await walk({ nameContains: "RUN 1250" })).ids).toEqual(["run-1250"]);
    const { d1: counted, rowsRead } = counting();
    const filters = { nameContains: "RUN 1250" };
    await counted.read([{ q: "runs", filters, after: null, descending: true, limit: 100 }]);
    expect(rowsRead()).toBeLessThan(16 * RUNS_LOOKED_AT);
  });

  it("also of the runs of several names, all of which contain the text", async () => {
    const names = 100;
    const ofFewNames = many.map((_, n) => run(n, `Name ${n % names}`));
    await fill(ofFewNames);
    const limit = 500;
    const { d1: counted, rowsRead } = counting();
    const [first] = await counted.read([
      { q: "runs", filters: { nameContains: "NAME" }, after: null, descending: true, limit },
    ]);
    expect(first.rows).toHaveLength(limit);
    expect(rowsRead()).toBeLessThan(15 * limit);
    const ids = ofFewNames.map(({ row }) => row.id);
    expect((await walk({ nameContains: "name" }, { limit, descending: true })).ids).toEqual(
      ids.toReversed(),
    );
    expect((await walk({ nameContains: "name 7" }, { limit: 50 })).ids).toEqual(
      idsOf((row) => row.workflowName.startsWith("Name 7"), ofFewNames),
    );
    await fill(filled);
  });

  it.each<RunFilters>([
    {},
    { workflowId: "one" },
    { nameContains: "Run" },
    { annotation: { key: "model", value: "1" } },
  ])("and reads nothing of earlier pages: %j", async (leading) => {
    const after = { createdAt: 1_400, ordinal: "000000800" };
    for (const [descending, bound] of [
      [true, { createdBefore: 1_640 }],
      [false, { createdFrom: 1_001 }],
    ] as const) {
      const { d1: counted, rowsRead } = counting();
      const query = { q: "runs", after, descending, limit: 10 } as const;
      const [found] = await counted.read([{ ...query, filters: leading }]);
      const unbounded = rowsRead();
      const [within] = await counted.read([{ ...query, filters: { ...leading, ...bound } }]);
      expect(within).toEqual(found);
      expect(rowsRead() - unbounded).toBeLessThanOrEqual(unbounded);
    }
  });

  it("wherever its range and its place meet", async () => {
    const filters = { workflowId: "one", createdFrom: 1_100, createdBefore: 1_110 };
    for (const createdAt of [1_099, 1_100, 1_109, 1_110]) {
      for (const descending of [true, false]) {
        const after = { createdAt, ordinal: String((createdAt - 1_000) * 2).padStart(9, "0") };
        await page(filters, { after, descending });
      }
    }
  });

  it("and never so when one filter is all there is", async () => {
    expect(await walk({ status: "FAILED" })).toEqual({ ids: ["run-3", "run-1253"], pages: 1 });
    expect((await walk({ workflowId: "one" }, { limit: 1_000 })).pages).toBe(2);
  });
});
