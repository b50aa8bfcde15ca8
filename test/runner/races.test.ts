/** Workers that want to move one run at the same instant: the second is refused, or finds what the first has left. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import { Fatal, workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { isLive } from "../../src/model/status.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import { drive } from "../../src/runner/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { sound } from "./support/crash.ts";
import type { Engine } from "./support/engine.ts";
import { has, tells } from "./support/gate.ts";
import { gated, lateLogs, leasesEnd, stopping } from "./support/race.ts";

const input = z.null();
type Stop = () => Promise<number>;

function chainOf(stop: Stop): Workflow {
  return workflow("chain", { input })
    .stage("p1", stop)
    .stage("last", () => "last")
    .build();
}

function endOf(stop: Stop): Workflow {
  return workflow("end", { input }).stage("p1", stop).build();
}

/** The first member to be claimed is the last to be done. */
function groupOf(stop: Stop): Workflow {
  return workflow("group", { input })
    .parallel({ p1: stop, p2: () => 2 })
    .stage("sum", ({ input: { p1, p2 } }) => p1 + p2)
    .build();
}

function failureOf(stop: Stop): Workflow {
  return workflow("fails", { input })
    .stage("p1", async () => {
      await stop();
      throw new Fatal("never");
    })
    .build();
}

beforeEach(async () => {
  await emptyDatabase();
});

describe("two workers", () => {
  it("of two attempts: the zombie that answers after its lease is refused, kept as a log, and its AI calls are counted", async () => {
    const { gate, stop } = stopping();
    const asks = workflow("asks", { input })
      .stage("ask", async ({ ai, attempt }) => {
        const call = await stop();
        ai.record({ model: "m", inputTokens: 1, outputTokens: 1, cost: call === 1 ? 100 : 1 });
        return attempt;
      })
      .stage("last", ({ input: attempt }) => attempt)
      .build();
    const { engine } = gated(asks);
    const run = await engine.runs.start(asks, null);
    const zombie = engine.consume(1);
    await gate.reached();
    await leasesEnd(engine);
    engine.now += 60_000;
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    gate.open();
    await zombie;
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(await sound(engine, run.id)).toEqual(["ask stage:completed", "last stage:completed"]);
    expect(await lateLogs(engine, run.id)).toHaveLength(1);
    const [row] = await engine.store.read([{ q: "run", id: run.id }]);
    expect(row?.totalCost).toBe(101);
  });

  it("of two attempts that answer at the same instant: one result is taken", async () => {
    const { gate, stop } = stopping(2);
    const asks = workflow("asks", { input })
      .stage("ask", async ({ attempt }) => (await stop()) && attempt)
      .build();
    const { engine } = gated(asks);
    const run = await engine.runs.start(asks, null);
    const first = engine.consume(1);
    await gate.reached();
    await leasesEnd(engine);
    engine.now += 60_000;
    const second = engine.consume(1);
    await gate.reached(2);
    gate.open();
    await Promise.all([first, second]);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(await sound(engine, run.id)).toEqual(["ask stage:completed"]);
    expect(await lateLogs(engine, run.id)).toHaveLength(1);
  });

  /** Claims the run's job, and gives it to any number of workers. */
  async function claimedBy(engine: Engine, of: Workflow) {
    const connection = new Connection(engine.store);
    const [job] = await connection.jobs.dequeueMany(1);
    if (job === undefined) throw new Error("There is no job");
    const { jobId, workflowRunId, stageId, attempt } = job;
    const ordinal = jobId.slice(workflowRunId.length + 1);
    return async () =>
      drive(
        { workflowRunId, ordinal, stageId, attempt },
        {
          unit: unitOf(connection),
          runner: stageRunner([of], { env: {}, now: () => 0 }),
          signal: new AbortController().signal,
        },
      );
  }

  it.each([
    ["between two stages", chainOf],
    ["at the end", endOf],
    ["before a join", groupOf],
    ["before a failure", failureOf],
  ] as const)(
    "with one attempt in their hands, %s: the second is refused as late, and nothing of it is taken",
    async (_where, make) => {
      const { gate, stop } = stopping(2);
      const flow = make(stop);
      const { engine } = gated(flow);
      const run = await engine.runs.start(flow, null);
      const worker = await claimedBy(engine, flow);
      // Of a group, the others are done.
      await engine.consume();
      const both = Promise.all([worker(), worker()]);
      await gate.reached(2);
      gate.open();
      await both;
      await engine.settle();
      await engine.pass(60_000);
      expect(isLive(await run.output())).toBe(false);
      const events = await engine.events(run.id);
      const ends = events.filter((event) => /stage:(?:completed|failed|retrying) p1/.test(event));
      expect(ends).toHaveLength(1);
      expect(await lateLogs(engine, run.id)).toHaveLength(1);
      expect(await engine.connection.audit()).toEqual([]);
    },
  );

  it("with one attempt in their hands, of which one is late: it does nothing where the other has taken the job on", async () => {
    const { gate, stop } = stopping();
    const called: string[] = [];
    const chain = workflow("chain", { input })
      .stage("first", () => called.push("first"))
      .stage("last", async () => {
        called.push("last");
        return stop();
      })
      .build();
    const { engine } = gated(chain);
    const run = await engine.runs.start(chain, null);
    const worker = await claimedBy(engine, chain);
    const early = worker();
    await gate.reached();
    await worker();
    gate.open();
    await early;
    expect(called).toEqual(["first", "last"]);
    expect(await run.output()).toMatchObject({ status: "COMPLETED" });
    await sound(engine, run.id);
  });
});

describe("a worker that stands still until its lease has run out", () => {
  const chain = workflow("chain", { input })
    .stage("first", () => 1)
    .parallel({ p1: () => 1, p2: () => 2 })
    .stage("last", () => "last")
    .build();

  it.each([
    ["before it begins a stage", tells("stage:started")],
    ["before its first result", has("moveJob", "p1")],
    ["before the join", has("moveJob", "last")],
    ["before the run's end", tells("workflow:completed")],
  ] as const)("%s takes nothing away from those that come after it", async (_when, matches) => {
    const { engine, store } = gated(chain);
    const run = await engine.runs.start(chain, null);
    const gate = store.before(matches);
    const zombies: Promise<unknown>[] = [];
    while (gate.waiting === 0) {
      zombies.push(engine.consume(1));
      await Promise.race([gate.reached(), zombies.at(-1)]);
    }
    await leasesEnd(engine);
    expect(await engine.connection.audit()).toEqual([]);
    // Its lease has ended, and nobody else has the job yet.
    gate.open();
    await Promise.all(zombies);
    expect(await engine.connection.audit()).toEqual([]);
    engine.now += 60_000;
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: "last" });
    await sound(engine, run.id);
  });
});

describe("siblings that end at the same instant", () => {
  it.each([2, 50, 500])("%i of them: exactly one joins", async (count) => {
    const { gate, stop } = stopping(count);
    const ids = Array.from({ length: count }, (_, at) => `p${at}`);
    const wide: Workflow = Chain.of("wide", { input })
      .parallel(Object.fromEntries(ids.map((id) => [id, stop])))
      .stage("sum", ({ input: all }: { input: Readonly<Record<string, number>> }) =>
        Object.values(all).reduce((a, b) => a + b, 0),
      )
      .build();
    const { engine, store } = gated(wide);
    const run = await engine.runs.start(wide, null);
    const leaving = store.before(has("leaveGroup"));
    const workers: Promise<unknown>[] = [];
    for (let left = count; left > 0; left -= 50) workers.push(engine.consume(Math.min(left, 50)));
    await gate.reached(count);
    gate.open();
    // All have run, and none has left the group.
    await leaving.reached(count);
    leaving.open();
    await Promise.all(workers);
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: (count * (count + 1)) / 2 });
    const events = await engine.rows(run.id);
    expect(events.filter(({ stageId }) => stageId === "sum")).toHaveLength(2);
    const jobs = await engine.connection.jobs.getJobsByWorkflowRun(run.id);
    expect(jobs).toHaveLength(count);
    expect(jobs.every(({ status }) => status === "COMPLETED")).toBe(true);
    expect(await engine.connection.audit()).toEqual([]);
  });
});

describe("a rerun against a zombie", () => {
  it("of the stage that is run again: its result is refused, and kept as a log", async () => {
    const { gate, stop } = stopping();
    const chain = workflow("chain", { input })
      .stage("first", () => 1)
      .stage("second", async () => stop())
      .stage("third", ({ input: call }) => call)
      .build();
    const { engine } = gated(chain);
    const run = await engine.runs.start(chain, null);
    const zombie = engine.consume(1);
    await gate.reached();
    await run.pause();
    await run.rerun({ from: "first" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    gate.open();
    await zombie;
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(await lateLogs(engine, run.id)).toHaveLength(1);
    expect(await sound(engine, run.id)).toEqual(
      ["first", "first", "second", "third"].map((id) => `${id} stage:completed`),
    );
  });
});
