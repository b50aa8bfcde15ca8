import { afterAll, beforeAll, describe, expect, it } from "vitest";
import costs from "../../docs/cost.md?raw";
import { AICalls } from "../../src/persistence/ai-calls.ts";
import { Jobs } from "../../src/persistence/jobs.ts";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import { METHODS } from "../../src/persistence/persistence.ts";
import { openApiDocument } from "../../src/http/app.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { DISPATCH } from "./dispatch.ts";
import { BUDGET } from "./budget.ts";
import { type Call, CALLS } from "./calls.ts";
import {
  clearLive,
  dropKept,
  keepLive,
  NOW,
  populate,
  recordedConnection,
  restoreLive,
  type World,
} from "./live.ts";
import { MOVES } from "./moves.ts";
import { ALLOWED_SCANS, badSteps, type Plan, plansOf } from "./plans.ts";
import { type Figures, Recorder } from "./recorder.ts";
import { ledgerLines, tableRow } from "./report.ts";
import { addFinishedRuns, ROWS_PER_FINISHED_RUN } from "./seed.ts";
import { ROUTES } from "./routes.ts";
import { possibleStatements } from "./statements.ts";
import { TRANSACTIONS, WHOLE_STAGE } from "./transactions.ts";

const SIZES = [0, 1_000, 100_000] as const;
const LARGEST = Math.max(...SIZES);
/** What has figures of its own; the other routes cost what a call of these does. */
const ALL: readonly Call[] = [
  ...CALLS,
  ...DISPATCH,
  ...TRANSACTIONS,
  WHOLE_STAGE,
  ...MOVES,
  ...ROUTES.filter(({ as }) => as === null),
];
/** A page of theirs is only full where there are finished runs. */
const FILL = new Set(ROUTES.filter(({ fills }) => fills).map(({ name }) => name));
/** Totals of AI calls in one page. */
const PAGE = 500;

/** docs/cost.md, without what aligns its tables. */
const told = costs.replaceAll(/ +/g, " ");

const recorder = new Recorder(env.DB);
const ledger = new Map<string, Figures[]>();
/** Each statement's plan, by the statistics that D1 has, by its text. */
const plans = new Map<string, ReadonlyMap<string, Plan>>();

async function measure(world: World, { before, call }: Call): Promise<Figures> {
  await restoreLive(env.DB);
  await before?.(world);
  recorder.reset();
  await call(world);
  return recorder.figures();
}

async function measureAll(): Promise<void> {
  const world = await populate(recorder);
  await keepLive(env.DB);
  for (const call of new Set([...ALL, ...ROUTES])) {
    const figures = await measure(world, call);
    ledger.set(call.name, [...(ledger.get(call.name) ?? []), figures]);
  }
  await clearLive(env.DB);
  await dropKept(env.DB);
}

async function explainAll(statistics: string): Promise<void> {
  const statements = [...new Map([...possibleStatements(), ...recorder.seen]).values()];
  plans.set(statistics, await plansOf(env.DB, statements));
}

/** Without statistics, with some from a moment when nothing was under way, and with some from one of work. */
async function explainUnderStatistics(): Promise<void> {
  await explainAll("none");
  await env.DB.prepare("PRAGMA optimize").run();
  await explainAll("without live rows");
  await measureAll();
  await populate(recorder);
  await env.DB.prepare("ANALYZE").run();
  await explainAll("with live rows");
  await clearLive(env.DB);
}

beforeAll(async () => {
  await emptyDatabase();
  let finished = 0;
  for (const size of SIZES) {
    await addFinishedRuns(env.DB, finished, size);
    finished = size;
    await measureAll();
  }
  await explainUnderStatistics();
}, 300_000);

afterAll(() => {
  const conditions = [...SIZES.map((size) => `${size} finished runs`), "the same, statistics"];
  console.log(ledgerLines(conditions, ledger).join("\n"));
});

function methodsOf(prototype: object, prefix = ""): string[] {
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== "constructor")
    .map((name) => prefix + name);
}

function methodOf(call: Call): string {
  return call.name.replace(/ \(.*/, "");
}

describe("the ledger", () => {
  it("holds every method of the three interfaces", () => {
    const methods = [
      "withTransaction",
      ...Object.keys(METHODS),
      ...methodsOf(Jobs.prototype, "jobs."),
      ...methodsOf(ConsumerJobs.prototype, "consumer."),
      ...methodsOf(AICalls.prototype, "aiCalls.").filter((name) => name !== "aiCalls.flush"),
    ];
    // The contract's, and beyond it eleven of the queue: four for everyone, seven for the consumer.
    expect(methods).toHaveLength(41 + 11 + 11 + 4);
    const measured = [...CALLS, ...DISPATCH, ...TRANSACTIONS]
      .map(methodOf)
      .filter((name) => !["audit", "sweep"].includes(name));
    expect([...new Set(measured)].toSorted()).toEqual(methods.toSorted());
  });

  it("has a budget for each call and no other", () => {
    expect(Object.keys(BUDGET)).toEqual(ALL.map(({ name }) => name));
  });

  it("says why where a budget exceeds its aim", () => {
    for (const [name, { roundTrips, rowsWritten, aim, note }] of Object.entries(BUDGET)) {
      const { roundTrips: trips = 1, rowsWritten: rows = Infinity } = aim ?? {};
      if (roundTrips > trips || rowsWritten > rows) expect(note, name).toBeTypeOf("string");
    }
  });
});

describe.each(ALL)("$name", ({ name }) => {
  it("keeps to its budget", () => {
    const budget = BUDGET[name];
    for (const figures of ledger.get(name) ?? []) {
      expect(figures.roundTrips).toBeLessThanOrEqual(budget?.roundTrips ?? 0);
      expect(figures.rowsRead).toBeLessThanOrEqual(budget?.rowsRead ?? 0);
      expect(figures.rowsWritten).toBeLessThanOrEqual(budget?.rowsWritten ?? 0);
      expect(figures.coordinated).toBeLessThanOrEqual(budget?.coordinated ?? 0);
    }
  });

  it("costs the same however many runs are finished", () => {
    const [empty, ...figures] = ledger.get(name) ?? [];
    const [first, ...others] = FILL.has(name) ? figures : [empty, ...figures];
    expect(others.length).toBeGreaterThan(1);
    expect(others).toEqual(others.map(() => first));
  });

  it("is told in docs/cost.md", () => {
    const figures = ledger.get(name)?.at(-1);
    const row = figures === undefined ? name : tableRow(name, figures);
    expect(told).toContain(row);
  });
});

describe("HTTP", () => {
  it("has a figure for every operation of the document but the stream of events", () => {
    const operations = Object.entries(openApiDocument().paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("/v1", "")}`),
    );
    const measured = new Set(ROUTES.map(({ operation }) => operation));
    expect([...measured, "GET /runs/{runId}/events"].toSorted()).toEqual(operations.toSorted());
  });

  it.each(ROUTES.filter(({ as }) => as !== null))(
    "adds nothing to what $as costs, for $name, but to look at what it answers",
    ({ name, as }) => {
      const own = ledger.get(as ?? "") ?? [];
      // A list is measured before it is answered: each of its rows counts twice more.
      const measured = own.map((figures, index) => ({
        ...figures,
        rowsRead: ledger.get(name)?.[index]?.rowsRead ?? -1,
      }));
      expect(ledger.get(name)).toEqual(measured);
      for (const [index, { rowsRead }] of measured.entries()) {
        const plain = own[index]?.rowsRead ?? 0;
        expect(rowsRead).toBeGreaterThanOrEqual(plain);
        expect(rowsRead).toBeLessThanOrEqual(3 * plain + 2);
      }
      expect(told).toContain(`| \`${name}\` | \`${as}\` |`);
    },
  );
});

describe("statistics of AI calls", () => {
  it("read each total of a long prefix once", async () => {
    const { aiCalls } = recordedConnection(recorder, NOW);
    const runs = 1_000;
    recorder.reset();
    const { totalCalls } = await aiCalls.getStats("workflow.older-0000012");
    const totals = runs * ROWS_PER_FINISHED_RUN.ai_call_totals;
    expect(totalCalls).toBe(totals);
    const { roundTrips, rowsRead } = recorder.figures();
    expect(roundTrips).toBe(totals / PAGE + 1);
    expect(rowsRead).toBeLessThanOrEqual(totals + roundTrips);
  });

  it("read every total once when everything is asked for", async () => {
    const { aiCalls } = recordedConnection(recorder, NOW);
    recorder.reset();
    const { totalCalls } = await aiCalls.getStats("");
    const totals = LARGEST * ROWS_PER_FINISHED_RUN.ai_call_totals;
    expect(totalCalls).toBe(totals);
    const { roundTrips, rowsRead } = recorder.figures();
    expect(roundTrips).toBe(totals / PAGE + 1);
    expect(rowsRead).toBeLessThanOrEqual(totals + roundTrips);
  });
});

describe("plans", () => {
  it("contain no full scan", () => {
    expect(plans.size).toBe(3);
    for (const [statistics, bySql] of plans) {
      expect(bySql.size).toBeGreaterThan(100);
      for (const [sql, plan] of bySql) {
        expect(badSteps(sql, plan), `${sql}\nstatistics: ${statistics}`).toEqual([]);
      }
    }
  });

  it("do not change when somebody gives D1 statistics", () => {
    const usual = plans.get("none") ?? new Map<string, Plan>();
    for (const [statistics, bySql] of plans) {
      for (const [sql, plan] of usual) {
        expect(bySql.get(sql), `${sql}\nstatistics: ${statistics}`).toEqual(plan);
      }
    }
  });

  it.each([
    ["siblings", 'AS sibling CROSS JOIN "stages"', "stages", "workflow_run_id=? AND stage_id=?"],
    ["inputs", "AS source CROSS JOIN", "given", "workflow_run_id=? AND stage_id=?"],
    ["signals", '"signals"."name" =', "signals", "workflow_run_id=? AND id>? AND id<?"],
    [
      "stages to cancel",
      `UPDATE "stages" SET "status" = 'CANCELLED'`,
      "stages",
      "workflow_run_id=?",
    ],
    ["stages to archive", 'INSERT INTO "stage_attempts"', "stages", "workflow_run_id=?"],
  ])("find %s by the key", (_, text, table, key) => {
    for (const [statistics, bySql] of plans) {
      const found = [...bySql].filter(([sql]) => sql.includes(text));
      expect(found.length, statistics).toBeGreaterThan(0);
      for (const [sql, plan] of found) {
        expect(plan, `${sql}\nstatistics: ${statistics}`).toContain(
          `SEARCH ${table} USING PRIMARY KEY (${key})`,
        );
      }
    }
  });

  it("depend on no value of a parameter, so that a statement is compiled once", () => {
    // Where SQLite's planner looks at the value: a limit, and what a partial index is chosen by.
    const looksAtValue = /LIMIT \?|AND "status" = \?/;
    const statements = [...(plans.get("none") ?? new Map<string, Plan>()).keys()];
    expect(statements.filter((sql) => looksAtValue.test(sql))).toEqual([]);
    expect(statements.filter((sql) => sql.includes("LIMIT CAST(?")).length).toBeGreaterThan(10);
  });

  it("allow no scan that no plan contains", () => {
    const steps = new Set([...plans.values()].flatMap((bySql) => [...bySql.values()].flat()));
    for (const { step } of ALLOWED_SCANS) {
      expect(
        [...steps].some((one) => step.test(one)),
        String(step),
      ).toBe(true);
    }
  });
});
