/** What a failure leaves behind: in a run's output, in its stages, and on the console. */
import {
  createExecutionContext,
  createMessageBatch,
  waitOnExecutionContext,
} from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { Fatal, stage, workflow } from "../../src/engine/index.ts";
import type { StageDelivery } from "../../src/engine/delivery.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { engine as engineOf, runsIn, runsOver, StageWorker } from "../../src/engine-worker.ts";
import { connect } from "../../src/client/index.ts";
import { deliveryOf, toolsWith } from "../engine/tools.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";
import { textsAstray } from "../support/long-texts.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const input = z.null();

describe.each(["D1", "maps"] as const)("over %s", (over) => {
  it("the output of a FAILED run names the stage that failed", async () => {
    const fails = workflow("fails", { input })
      .stage("first", () => 1)
      .parallel({
        good: () => 1,
        bad: () => {
          throw new Fatal("never");
        },
      })
      .build();
    const engine = new Engine({ workflows: [fails], over });
    const run = await engine.runs.start(fails, null);
    await engine.settle();
    const failed = { status: "FAILED", reason: "never", stage: "bad" };
    expect(await run.output()).toEqual(failed);
    // Also where the event of its end is not the last one any more.
    await engine.connection.persistence.appendOutboxEvents([
      {
        workflowRunId: run.id,
        eventType: "own:event",
        payload: {},
        causationId: run.id,
        occurredAt: new Date(engine.now),
      },
    ]);
    expect(await run.output()).toEqual(failed);
  });

  it("the output of a run that a caller has set to FAILED names none, and that of a cancelled one has none", async () => {
    const asks = workflow("asks", { input })
      .waitFor("go", { payload: z.number(), within: "1d" })
      .build();
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    await engine.connection.persistence.updateRun(run.id, { status: "FAILED" });
    expect(await run.output()).toEqual({
      status: "FAILED",
      reason: "The run is FAILED",
      stage: null,
    });
    const other = await engine.runs.start(asks, null);
    await other.cancel("enough");
    expect(await other.output()).toEqual({ status: "CANCELLED", reason: "enough" });
  });

  it.each([
    ["short", "broken"],
    ["kept beside its row", "broken ".repeat(150)],
  ])(
    "a stage that completes has no reason of an earlier try, one that is %s",
    async (_, reason) => {
      const flaky = workflow("flaky", { input })
        .stage("once", ({ attempt }) => {
          if (attempt === 1) throw new Error(reason);
          return attempt;
        })
        .stageIf(
          "maybe",
          () => {
            throw new Error(reason);
          },
          () => 1,
          { retry: { attempts: 2 } },
        )
        .build();
      const engine = new Engine({ workflows: [flaky], over });
      const run = await engine.runs.start(flaky, null);
      await engine.settle();
      expect(await engine.stages(run.id)).toMatchObject([{ errorMessage: reason }]);
      await engine.pass(2_000);
      const [once, maybe] = await engine.stages(run.id);
      expect(once).toMatchObject({ status: "COMPLETED", outputData: 2, errorMessage: null });
      expect(maybe).toMatchObject({ status: "PENDING", errorMessage: reason });
      await engine.pass(2_000);
      const [, failed] = await engine.stages(run.id);
      expect(failed).toMatchObject({ status: "FAILED", errorMessage: reason });
      expect(await textsAstray()).toEqual([]);
      expect(await engine.connection.audit()).toEqual([]);
    },
  );

  it("also where its condition was open, where it is polled, and where it waits or is skipped", async () => {
    let asked = 0;
    const broken = <T>(value: T): T => {
      asked += 1;
      // Asked where the run comes to it, and then by its own delivery.
      if (asked <= 2) throw new Error("broken");
      asked = 0;
      return value;
    };
    const flaky = workflow("flaky", { input })
      .stage("first", () => 1)
      .stageIf(
        "met",
        () => broken(true),
        () => 2,
      )
      .stageIf(
        "skipped",
        () => broken(false),
        () => 3,
      )
      .sleep("nap", () => broken("1m" as const))
      .stage(
        "batch",
        stage({
          run: ({ suspend, attempt }) => {
            if (attempt === 1) throw new Error("broken");
            return suspend(1, { pollIn: "1s", within: "1d" });
          },
          poll: () => 4,
        }),
      )
      .build();
    const engine = new Engine({ workflows: [flaky], over });
    const run = await engine.runs.start(flaky, null);
    for (let tries = 0; tries < 12; tries += 1) await engine.pass(60_000);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 4 });
    const told = await engine.payloads(run.id, "stage:retrying");
    expect(told.map(({ stageId }) => stageId)).toEqual(["met", "skipped", "nap", "batch"]);
    const stages = await engine.stages(run.id);
    expect(
      stages.map(({ stageId, status, errorMessage }) => [stageId, status, errorMessage]),
    ).toEqual([
      ["first", "COMPLETED", null],
      ["met", "COMPLETED", null],
      ["skipped", "SKIPPED", null],
      ["nap", "COMPLETED", null],
      ["batch", "COMPLETED", null],
    ]);
  });

  it("a rerun from a stage that is not there says so, also while the run goes on", async () => {
    const asks = workflow("asks", { input })
      .stage("draft", () => 1)
      .waitFor("approval", { payload: z.number(), within: "1d" })
      .build();
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    const from: string = "aproval";
    await expect(run.rerun({ from: from as "draft" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: 'There is no stage "aproval"; there are: "approval", "draft"',
      details: { field: "from" },
    });
    await expect(run.rerun({ from: "draft" })).rejects.toMatchObject({
      details: { field: "status", status: "RUNNING" },
    });
  });

  it("a start of a chain that is not built says what it lacks", async () => {
    const unbuilt: object = workflow("unbuilt", { input }).stage("a", () => 1);
    const engine = new Engine({ workflows: [], over });
    await expect(engine.runs.start(unbuilt as Workflow<null>, null)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(".build()"),
    });
  });
});

describe("where stages run in a Worker", () => {
  const short = { timeout: "5s", retry: { attempts: 2, backoff: 0 } } as const;
  const fails = workflow("fails", { input })
    .stage("good", () => 1, short)
    .stage(
      "bad",
      ({ attempt }): number => {
        throw new TypeError(`broken\n${attempt}`);
      },
      short,
    )
    .build();

  /** The lines on the console of which stages have failed. */
  function linesOf() {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    return () =>
      written.mock.calls.flatMap(([line]: unknown[]) =>
        typeof line === "string" && line.includes("wfe-stage-failed")
          ? [{ isOne: !line.includes("\n"), ...(JSON.parse(line) as object) }]
          : [],
      );
  }

  const first = {
    isOne: true,
    event: "wfe-stage-failed",
    workflow: "fails",
    stage: "bad",
    attempt: 1,
    retryInMs: 0,
    error: "broken\n1",
    stack: expect.stringMatching(/^TypeError: broken\n1\n +at .*failures\.test/),
  };

  it.each([
    ["runsIn", (ctx: ExecutionContext) => runsIn(env, ctx)],
    ["runsOver", (ctx: ExecutionContext) => runsOver(connect(service), env, ctx)],
  ])(
    "each try that fails in the invocation that starts its run is a line on the console, with its stack: %s",
    async (_, runsWith) => {
      const lines = linesOf();
      const ctx = createExecutionContext();
      const run = await runsWith(ctx).start(fails, null);
      await waitOnExecutionContext(ctx);
      expect(lines()).toEqual([{ ...first, runId: run.id }]);
    },
  );

  class Stages extends StageWorker<typeof env> {
    workflows = [fails];
  }

  it("so is each that fails in a StageWorker", async () => {
    const lines = linesOf();
    const delivery: StageDelivery = deliveryOf(fails, "bad", {
      before: { group: 1, outputs: { good: "1" } },
      attempt: 2,
      triesLeft: 0,
    });
    const stages = new Stages(createExecutionContext(), env);
    expect(await stages.runStage(delivery, toolsWith())).toMatchObject({ outcome: "failed" });
    expect(lines()).toMatchObject([{ runId: delivery.run.id, attempt: 2, retryInMs: null }]);
  });

  it("so is each that fails in the queue's consumer of an engine", async () => {
    const lines = linesOf();
    const long = workflow("fails", { input })
      .stage("bad", (): number => {
        throw new Error("broken");
      })
      .build();
    const started = new Engine({ workflows: [long] });
    started.now = Date.now();
    const run = await started.runs.start(long, null);
    const worker = engineOf({ workflows: [long] });
    const ctx = createExecutionContext();
    const wakeUp = { id: "1", timestamp: new Date(), attempts: 1, body: { v: 1, kind: "jobs" } };
    await worker.queue(createMessageBatch("workflow-engine-jobs", [wakeUp]), env, ctx);
    await waitOnExecutionContext(ctx);
    expect(lines()).toMatchObject([{ event: "wfe-stage-failed", runId: run.id, stage: "bad" }]);
  });

  it("what an error says is cut where a line would be too long", async () => {
    const lines = linesOf();
    const long = workflow("long", { input })
      .stage(
        "bad",
        (): number => {
          throw new Error("a".repeat(100_000));
        },
        short,
      )
      .build();
    const ctx = createExecutionContext();
    await runsIn(env, ctx).start(long, null);
    await waitOnExecutionContext(ctx);
    expect(JSON.stringify(lines()[0]).length).toBeLessThan(20_000);
  });
});
