/** Whom a run wakes when it leaves a concurrency key. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { Fatal, stage, workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();
const one = { concurrency: { key: "model", limit: 1 } } as const;
const other = { concurrency: { key: "other", limit: 1 } } as const;

function chainOf() {
  return workflow("keyed", { input }).stage("first", () => 1, one);
}
const toStage = (pass: () => Promise<void>) => chainOf().stage("next", pass);

describe("a run that goes on from a stage with a concurrency key", () => {
  it("sends one permit where another run waits for the slot, in the round trip of the step", async () => {
    const { gate, pass } = newGate();
    const flow = toStage(pass).build();
    const engine = new Engine({ workflows: [flow] });
    for (let runs = 0; runs < 3; runs += 1) await engine.runs.start(flow, null);
    engine.queue.take();
    const worker = engine.consume(1);
    await gate.reached();
    expect(engine.queue.take().map(({ body }) => body)).toEqual([{ v: 1, kind: "jobs" }]);
    const next = engine.consume(1);
    await gate.reached(2);
    gate.open();
    expect(await Promise.all([worker, next])).toMatchObject([{ claimed: 1 }, { claimed: 1 }]);
  });

  it("sends none where nobody waits", async () => {
    const { gate, pass } = newGate();
    const flow = toStage(pass).build();
    const engine = new Engine({ workflows: [flow] });
    await engine.runs.start(flow, null);
    engine.queue.take();
    const worker = engine.consume(1);
    await gate.reached();
    expect(engine.queue.take()).toEqual([]);
    gate.open();
    await worker;
  });

  it("sends one for the slot, and one for the stage of another key that it comes to", async () => {
    const flow = chainOf()
      .stage("next", () => 2, other)
      .build();
    const engine = new Engine({ workflows: [flow] });
    for (let runs = 0; runs < 2; runs += 1) await engine.runs.start(flow, null);
    engine.queue.take();
    await engine.consume(1);
    const sent = engine.queue.take().map(({ body }) => body);
    expect(sent).toMatchObject([
      { kind: "jobs", jobId: expect.any(String) },
      { v: 1, kind: "jobs" },
    ]);
    expect(sent[1]).not.toHaveProperty("jobId");
  });

  it("sends one as it comes to a wait, of which it holds no slot", async () => {
    const flow = chainOf().waitFor("go", { payload: z.null(), within: "1d" }).build();
    const engine = new Engine({ workflows: [flow] });
    for (let runs = 0; runs < 2; runs += 1) await engine.runs.start(flow, null);
    engine.queue.take();
    await engine.consume(1);
    const now = engine.queue.take().filter(({ delaySeconds = 0 }) => delaySeconds === 0);
    expect(now.map(({ body }) => body)).toEqual([{ v: 1, kind: "jobs" }]);
  });

  it("sends none for a stage of the same key, which waits for its turn", async () => {
    const flow = chainOf()
      .stage("next", () => 2, one)
      .build();
    const engine = new Engine({ workflows: [flow] });
    await engine.runs.start(flow, null);
    engine.queue.take();
    await engine.consume(1);
    expect(engine.queue.take().map(({ body }) => body.kind)).toEqual(["jobs"]);
  });
});

describe("a slot that a stage leaves as it is cancelled", () => {
  /** One stage holds the slot, beside one that fails when it is told to; two runs wait for it. */
  async function held() {
    const { gate, pass } = newGate();
    const failing = newGate();
    const pair = workflow("pair", { input })
      .parallel({
        held: stage({ ...one, run: pass }),
        beside: async (): Promise<null> => {
          await failing.pass();
          throw new Fatal("no");
        },
      })
      .build();
    const waits = chainOf().build();
    const engine = new Engine({ workflows: [pair, waits] });
    const run = await engine.runs.start(pair, null);
    const workers = [engine.consume(1), engine.consume(1)];
    await Promise.all([gate.reached(), failing.gate.reached()]);
    for (let runs = 0; runs < 2; runs += 1) await engine.runs.start(waits, null);
    engine.queue.take();
    const ended = async () => {
      for (const each of [gate, failing.gate]) each.open();
      await Promise.all(workers);
    };
    return { engine, run, failing: failing.gate, ended };
  }

  type Held = Awaited<ReturnType<typeof held>>;
  it.each([
    ["by the cancel of its run", async ({ run }: Held) => run.cancel(), 1],
    [
      "by a sibling that fails",
      async ({ run, failing }: Held) => {
        failing.open();
        await vi.waitUntil(async () => (await run.output()).status === "FAILED");
      },
      1,
    ],
    [
      "by a rerun, whose own job waits for it as well",
      async ({ run, engine }: Held) => {
        await run.pause();
        engine.queue.take();
        await run.rerun({ from: "held" });
      },
      3,
    ],
  ])("%s: a permit is sent for a run that waits", async (_, leave, permits) => {
    const world = await held();
    await leave(world);
    const sent = world.engine.queue.take().filter(({ body }) => body.kind === "jobs");
    expect(sent).toHaveLength(permits);
    const claimed = await world.engine.connection.jobs.dequeueMany(10);
    expect(claimed.filter(({ workflowId }) => workflowId === "keyed")).toHaveLength(1);
    await world.ended();
  });
});
