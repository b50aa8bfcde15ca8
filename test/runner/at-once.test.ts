/** Stages that say that they are short begin in the invocation that starts their run; and how a run's starter learns of its end. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { connect } from "../../src/client/index.ts";
import { Chain } from "../../src/engine/chain.ts";
import { workflow } from "../../src/engine/index.ts";
import type { Run, Runs } from "../../src/engine/runs.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { runsIn, runsOver } from "../../src/engine-worker.ts";
import { faultyD1 } from "../../src/testing/faulty-d1.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";
import { lateLogs } from "./support/race.ts";

beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.useRealTimers();
});

const input = z.object({ text: z.string() });
const SHORT = { timeout: "5s" } as const;

type Cancelled = Pick<Run<Workflow>, "id" | "cancel">;
async function setByCaller({ id }: Cancelled): Promise<void> {
  const { persistence } = new Engine({ workflows: [] }).connection;
  await persistence.updateRun(id, { status: "CANCELLED" });
}

const ways: readonly [string, (ctx: ExecutionContext) => Runs][] = [
  ["in the Worker that keeps it", (ctx) => runsIn(env, ctx)],
  ["in an app beside the service", (ctx) => runsOver(connect(service), env, ctx)],
];

describe.each(ways)("a run that is started where its stages are worked, %s", (_where, runsWith) => {
  it("goes through short stages at once, with no wake-up and no claim", async () => {
    const short = workflow("short", { input })
      .stage("first", ({ input: { text } }) => text, SHORT)
      .stage("second", ({ input: text }) => `${text}!`, SHORT)
      .build();
    const ctx = createExecutionContext();
    const run = await runsWith(ctx).start(short, { text: "hi" });
    expect(await run.output({ within: "10s" })).toEqual({ status: "COMPLETED", value: "hi!" });
    await waitOnExecutionContext(ctx);
    const engine = new Engine({ workflows: [short] });
    const [job] = await engine.connection.jobs.getJobsByWorkflowRun(run.id);
    expect(job).toMatchObject({ status: "COMPLETED", attempt: 1, workerId: null });
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("leaves a stage that may take long to the queue's consumer, also after short ones", async () => {
    const mixed = workflow("mixed", { input })
      .stage("short", ({ input: { text } }) => text, SHORT)
      .stage("long", ({ input: text }) => `${text}!`)
      .build();
    const ctx = createExecutionContext();
    const run = await runsWith(ctx).start(mixed, { text: "hi" });
    await waitOnExecutionContext(ctx);
    const engine = new Engine({ workflows: [mixed] });
    engine.now = Date.now();
    const jobs = await engine.connection.jobs.getJobsByWorkflowRun(run.id);
    expect(jobs).toMatchObject([{ status: "PENDING", stageId: "long" }]);
    expect(await run.outputOf("short")).toBe("hi");
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: "hi!" });
  });

  it.each([
    ["is cancelled", async (run: Cancelled) => run.cancel("no"), "no", "CANCELLED"],
    ["is set to CANCELLED by a caller", setByCaller, "The run is CANCELLED", "RUNNING"],
  ])(
    "aborts a stage within ten seconds when its run %s, and takes nothing from it",
    async (_, cancel, reason, status) => {
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
      const { gate, pass } = newGate();
      const aborted = Promise.withResolvers<string>();
      const held = workflow("held", { input })
        .stage(
          "first",
          async ({ signal }) => {
            signal.addEventListener("abort", () => aborted.resolve(String(signal.reason.message)));
            await pass();
            return "too late";
          },
          SHORT,
        )
        .build();
      const ctx = createExecutionContext();
      const run = await runsWith(ctx).start(held, { text: "" });
      await gate.reached();
      await cancel(run);
      vi.advanceTimersByTime(10_000);
      expect(await aborted.promise).toContain("The lease is lost, or the run has ended");
      gate.open();
      await waitOnExecutionContext(ctx);
      expect(await run.output()).toEqual({ status: "CANCELLED", reason });
      const { persistence } = new Engine({ workflows: [held] }).connection;
      const [stage] = await persistence.getStagesByRun(run.id);
      expect(stage).toMatchObject({ status, outputData: null });
    },
  );

  it("tells its starter that another has ended it, while a stage of it still runs", async () => {
    const { gate, pass } = newGate();
    let given: AbortSignal | undefined;
    const held = workflow("held", { input })
      .stage(
        "first",
        async ({ signal }) => {
          given = signal;
          await pass();
        },
        SHORT,
      )
      .build();
    const ctx = createExecutionContext();
    const run = await runsWith(ctx).start(held, { text: "" });
    await gate.reached();
    const output = run.output({ within: "20s" });
    await new Engine({ workflows: [held] }).runs.get(held, run.id).cancel("by another");
    expect(await output).toEqual({ status: "CANCELLED", reason: "by another" });
    // Its time is not up, and nobody has told it to stop.
    expect(given?.aborted).toBe(false);
    gate.open();
    await waitOnExecutionContext(ctx);
  });

  it("works 150 stages in one invocation, of all the runs that it starts", async () => {
    let chain = Chain.of("long", { input: z.null() });
    for (let step = 0; step < 80; step += 1) chain = chain.stage(`s${step}`, () => null, SHORT);
    const long: Workflow = chain.build();
    const ctx = createExecutionContext();
    const runs = runsWith(ctx);
    const started: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      const run = await runs.start(long, null);
      await run.output({ within: "1s" });
      started.push(run.id);
    }
    await waitOnExecutionContext(ctx);
    const engine = new Engine({ workflows: [long] });
    const stages = await Promise.all(started.map(async (id) => engine.stages(id)));
    const done = stages.flat().filter(({ status }) => status === "COMPLETED");
    expect(done).toHaveLength(150);
    engine.now = Date.now();
    await engine.settle();
    for (const id of started) {
      expect(await engine.runs.get(long, id).output()).toMatchObject({ status: "COMPLETED" });
    }
  });
});

describe("a run that is started in the Worker that keeps it", () => {
  const counts = workflow("counts", { input })
    .stage("first", ({ attempt }) => attempt, SHORT)
    .stage("second", ({ input: first, attempt }) => [first, attempt], SHORT)
    .build();

  it("is three round trips from start to output: the start, and one commit for each of two stages", async () => {
    const { db, calls } = faultyD1(env.DB);
    const ctx = createExecutionContext();
    const run = await runsIn({ ...env, DB: db }, ctx).start(counts, { text: "" });
    expect(await run.output({ within: "10s" })).toEqual({ status: "COMPLETED", value: [1, 1] });
    expect(calls).toHaveLength(3);
    await waitOnExecutionContext(ctx);
  });

  it("gives what it gives now, also to its starter, once it was run again", async () => {
    const ctx = createExecutionContext();
    const run = await runsIn(env, ctx).start(counts, { text: "" });
    expect(await run.output({ within: "10s" })).toEqual({ status: "COMPLETED", value: [1, 1] });
    await run.rerun({ from: "second" });
    expect(await run.output()).toEqual({ status: "RUNNING" });
    const engine = new Engine({ workflows: [counts] });
    engine.now = Date.now();
    await engine.settle();
    expect(await run.output({ within: "10s" })).toEqual({ status: "COMPLETED", value: [1, 2] });
    await waitOnExecutionContext(ctx);
  });

  it("takes a lease for no longer than the stages may take", async () => {
    let locked: Date | null | undefined;
    const short = workflow("short", { input })
      .stage(
        "first",
        async () => {
          const [job] = await engine.connection.jobs.getJobsByWorkflowRun(id);
          locked = job?.lockedAt;
        },
        SHORT,
      )
      .build();
    const engine = new Engine({ workflows: [short] });
    const ctx = createExecutionContext();
    const started = Date.now();
    const { id } = await runsIn({ ...env, LEASE_MS: 300_000 }, ctx).start(short, { text: "" });
    await waitOnExecutionContext(ctx);
    // What is left of the five minutes of a lease is one.
    expect(started - (locked?.getTime() ?? 0)).toBeGreaterThan(200_000);
  });
});

describe("output", () => {
  const asks = workflow("asks", { input })
    .waitFor("go", { payload: z.boolean(), within: "1d" })
    .stage("last", ({ input: waited }) => waited.received)
    .build();

  it("waits on the run's events: it answers as soon as the run has ended", async () => {
    const engine = new Engine({ workflows: [asks] });
    const run = await engine.runs.start(asks, { text: "" });
    await engine.settle();
    const waiting = run.output({ within: "1m" });
    await run.signal("go", true);
    await engine.settle();
    expect(await waiting).toEqual({ status: "COMPLETED", value: true });
  });

  it("says that the run is not over after its time, and how a run ended that gave nothing", async () => {
    const engine = new Engine({ workflows: [asks] });
    const run = await engine.runs.start(asks, { text: "" });
    expect(await run.output({ within: 50 })).toEqual({ status: "RUNNING" });
    await run.cancel("no");
    expect(await run.output({ within: "1m" })).toEqual({ status: "CANCELLED", reason: "no" });
  });
});

describe("a run of the engine in the hands of the contract", () => {
  it("ends when a caller cancels it: what its stage gives is refused, and kept as a log", async () => {
    const engine: Engine = new Engine({ workflows: [] });
    const { persistence } = engine.connection;
    const steered = workflow("steered", { input })
      .stage("first", async ({ run, ai }) => {
        ai.record({ model: "small", inputTokens: 3, outputTokens: 4, cost: 0.5 });
        await persistence.updateRun(run.id, { status: "CANCELLED" });
        return "too late";
      })
      .stage("second", () => "never")
      .build();
    engine.workflows = [steered];
    const run = await engine.runs.start(steered, { text: "" });
    await engine.settle();
    const stored = await persistence.getRun(run.id);
    expect(stored).toMatchObject({ status: "CANCELLED", totalCost: 0.5, totalTokens: 7 });
    expect(await engine.stages(run.id)).toHaveLength(1);
    expect(await lateLogs(engine, run.id)).toHaveLength(1);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("fails a stage that gives more than a row holds, with the size and the limit", async () => {
    const large = workflow("large", { input })
      .stage("first", () => "x".repeat(3_000_000))
      .build();
    const engine = new Engine({ workflows: [large] });
    const run = await engine.runs.start(large, { text: "" });
    await engine.settle();
    expect(await run.output()).toMatchObject({
      status: "FAILED",
      reason: expect.stringMatching(/3000002 bytes.*limit/),
    });
  });
});
