/** A caller and a worker that want to move one run at the same instant. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import { emptyDatabase } from "../support/database.ts";
import { sound } from "./support/crash.ts";
import { Engine } from "./support/engine.ts";
import { type Gate, has, tells } from "./support/gate.ts";
import { callerOver, gated, lateLogs, stopping } from "./support/race.ts";

const input = z.null();
/** Of races whose winner is not told beforehand. */
const ROUNDS = 12;

beforeEach(async () => {
  await emptyDatabase();
});

describe("a signal against its timeout", () => {
  const asks = workflow("asks", { input })
    .waitFor("approval", { payload: z.number(), within: "1h" })
    .stage("last", ({ input: waited }) => waited)
    .build();

  async function waiting() {
    const { engine, store } = gated(asks);
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    engine.now += 3_600_000;
    return { engine, store, run };
  }

  it("counts, where it comes before the timeout is written", async () => {
    const { engine, store, run } = await waiting();
    const gate = store.before(has("updateStage", "approval"));
    const late = engine.consume(1);
    await gate.reached();
    await run.signal("approval", 1);
    gate.open();
    await late;
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: { received: true, payload: 1 } });
    await sound(engine, run.id);
  });

  it("comes too late for it where the timeout is written first: the run is told that none came", async () => {
    const { engine, store, run } = await waiting();
    const sending = store.before(has("sendSignal"));
    const sent = callerOver(store, asks, run.id)
      .signal("approval", 1)
      .catch((error: unknown) => error);
    await sending.reached();
    await engine.consume(1);
    sending.open();
    await sent;
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: { received: false } });
    await sound(engine, run.id);
  });

  it("at the same instant: the run is told of one of them, and goes on once", async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await emptyDatabase();
      const { engine, store, run } = await waiting();
      const ending = store.before(has("updateStage", "approval"));
      const late = engine.consume(1);
      const sending = store.before(has("sendSignal"));
      const sent = callerOver(store, asks, run.id)
        .signal("approval", 1)
        .catch((error: unknown) => error);
      await Promise.all([ending.reached(), sending.reached()]);
      // Both are sent before either is answered.
      for (const each of round % 2 === 0 ? [ending, sending] : [sending, ending]) each.open();
      await Promise.all([late, sent]);
      await engine.settle();
      expect(await run.output()).toMatchObject({ status: "COMPLETED" });
      expect(await sound(engine, run.id)).toEqual([
        "approval stage:completed",
        "last stage:completed",
      ]);
    }
  });
});

describe("a cancel against the end of the run", () => {
  const one = workflow("one", { input })
    .stage("only", () => 1)
    .build();

  it("wins where it comes first: the result is refused, and kept as a log", async () => {
    const { engine, store } = gated(one);
    const run = await engine.runs.start(one, null);
    const gate = store.before(tells("workflow:completed"));
    const worker = engine.consume(1);
    await gate.reached();
    await run.cancel("enough");
    gate.open();
    await worker;
    expect(await run.output()).toEqual({ status: "CANCELLED", reason: "enough" });
    expect(await sound(engine, run.id)).toEqual([]);
    expect(await lateLogs(engine, run.id)).toHaveLength(1);
  });

  it("at the same instant: the run has one end", async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await emptyDatabase();
      const { engine, store } = gated(one);
      const run = await engine.runs.start(one, null);
      const gate = store.before(tells("workflow:completed"));
      const worker = engine.consume(1);
      await gate.reached();
      const cancelling = store.before(tells("workflow:cancelled"));
      const cancelled = callerOver(store, one, run.id)
        .cancel()
        .then(
          () => true,
          () => false,
        );
      await cancelling.reached();
      for (const each of round % 2 === 0 ? [gate, cancelling] : [cancelling, gate]) each.open();
      await worker;
      const { status } = await run.output();
      expect(status).toBe((await cancelled) ? "CANCELLED" : "COMPLETED");
      await sound(engine, run.id);
    }
  });
});

describe("a pause against a boundary", () => {
  const chain = workflow("chain", { input })
    .stage("first", () => 1)
    .stage("second", ({ input: one }) => one + 1)
    .build();
  const wide = workflow("wide", { input })
    .parallel({ p1: () => 1, p2: () => 2 })
    .stage("sum", ({ input: { p1, p2 } }) => p1 + p2)
    .build();

  it.each([
    ["between two stages", chain, has("moveJob", "second"), 2],
    ["before a join", wide, has("moveJob", "sum"), 3],
    ["before the end", chain, tells("workflow:completed"), 2],
  ] as const)(
    "%s: the result is kept, and the run goes on from there",
    async (_where, of, matches, value) => {
      const flow: Workflow = of;
      const { engine, store } = gated(flow);
      const run = await engine.runs.start(flow, null);
      const gate: Gate = store.before(matches);
      const workers: Promise<unknown>[] = [];
      while (gate.waiting === 0) {
        workers.push(engine.consume(1));
        await Promise.race([gate.reached(), workers.at(-1)]);
      }
      await run.pause();
      gate.open();
      await Promise.all(workers);
      await engine.settle();
      expect(await run.output()).toEqual({ status: "SUSPENDED" });
      expect(await engine.connection.audit()).toEqual([]);
      const before = (await engine.rows(run.id)).length;
      await engine.pass(86_400_000);
      expect(await engine.rows(run.id)).toHaveLength(before);
      await run.resume();
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value });
      await sound(engine, run.id);
    },
  );
});

describe("what comes while a worker looks", () => {
  const asks = workflow("asks", { input })
    .waitFor("approval", { payload: z.number(), within: "3d" })
    .stage("last", ({ input: waited }) => waited)
    .build();
  const chain = workflow("chain", { input })
    .stage("first", () => 1)
    .stage("second", ({ input: one }) => one + 1)
    .build();

  it("is a resume, before it has parked the job: the run goes on", async () => {
    const { engine, store } = gated(chain);
    const run = await engine.runs.start(chain, null);
    await run.pause();
    const gate = store.before(has("suspendJob"));
    const worker = engine.consume(1);
    await gate.reached();
    await run.resume();
    gate.open();
    await worker;
    expect(await engine.connection.audit()).toEqual([]);
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    await sound(engine, run.id);
  });

  it("is a pause and a resume, before it has stored a result: the result is taken", async () => {
    const { engine, store } = gated(chain);
    const run = await engine.runs.start(chain, null);
    const storing = store.before(has("moveJob", "second"));
    const looking = store.beforeReading("runStatus");
    const worker = engine.consume(1);
    await storing.reached();
    await run.pause();
    storing.open();
    // The result was refused, and the worker asks why.
    await looking.reached();
    await run.resume();
    looking.open();
    await worker;
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(await lateLogs(engine, run.id)).toEqual([]);
    await sound(engine, run.id);
  });

  it("is a signal, after it found none and the wait not over: the signal counts at once", async () => {
    const { engine, store } = gated(asks);
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    const { id: workflowRunId } = run;
    // Its job is due without reason, as after a signal whose row a caller has deleted.
    const at = engine.now;
    const due = { kind: "dueJobs", workflowRunId, stageId: "approval", wakes: 0, at } as const;
    await unitOf(engine.connection).write({ changes: [due] });
    const gate = store.before(has("suspendJob"));
    const worker = engine.consume(1);
    await gate.reached();
    await run.signal("approval", 1);
    gate.open();
    await worker;
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: { received: true, payload: 1 } });
    await sound(engine, run.id);
  });
});

describe("a resumed run", () => {
  it("gets a wake-up for each job that was delivered while it was paused, and for no other", async () => {
    const wide = workflow("wide", { input })
      .parallel({ one: () => 1, two: () => 2, nap: () => 3 })
      .build();
    const { engine } = gated(wide);
    const run = await engine.runs.start(wide, null);
    await engine.consume(1);
    await run.pause();
    await engine.settle();
    engine.queue.take();
    await run.resume();
    expect(engine.queue.take().map(({ body }) => body.kind)).toEqual(["jobs", "jobs"]);
    await engine.settle();
    expect(await run.output()).toMatchObject({ status: "COMPLETED" });
  });
});

describe("a rerun of a paused run", () => {
  it.each(["D1", "maps"] as const)(
    "keeps a sibling that runs as CANCELLED, and takes nothing from it, on %s",
    async (over) => {
      const { gate, stop } = stopping();
      const wide = workflow("wide", { input })
        .parallel({ p1: () => 1, p2: async () => stop() })
        .stage("sum", ({ input: { p1, p2 } }) => p1 + p2)
        .build();
      const engine = new Engine({ workflows: [wide], over });
      const run = await engine.runs.start(wide, null);
      const worker = engine.consume(2);
      await gate.reached();
      await run.pause();
      await engine.settle();
      await run.rerun({ from: "p1" });
      gate.open();
      await worker;
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: 3 });
      const [archived] = await engine.store.read([
        { q: "stageAttempts", workflowRunId: run.id, after: "", limit: 10 },
      ]);
      expect(archived.find(({ stageId }) => stageId === "p2")).toMatchObject({
        status: "CANCELLED",
        completedAt: engine.now,
        outputData: null,
      });
    },
  );

  it("against a sibling that ends at the same instant: the sibling's result counts, or it is run again", async () => {
    const { gate, stop } = stopping();
    const wide = workflow("wide", { input })
      .parallel({ p1: () => 1, p2: async () => stop() })
      .stage("sum", ({ input: { p1, p2 } }) => p1 + p2)
      .build();
    const { engine, store } = gated(wide);
    const run = await engine.runs.start(wide, null);
    const worker = engine.consume(2);
    await gate.reached();
    await run.pause();
    const rerunning = store.before(has("archiveStages"));
    const rerun = callerOver(store, wide, run.id).rerun({ from: "p1" });
    await rerunning.reached();
    gate.open();
    await worker;
    rerunning.open();
    await rerun;
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    await sound(engine, run.id);
  });
});
