/** Callers of the contract that write the rows of a typed workflow's run: it goes on, or ends with a reason. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { connect } from "../../src/client/index.ts";
import type { Status } from "../../src/contract/index.ts";
import type { Run } from "../../src/engine/runs.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import type { Connection } from "../../src/persistence/connection.ts";
import { endDead, runsOf } from "../../src/runner/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { service } from "../support/env.ts";
import { sound } from "./support/crash.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();
const asks = workflow("asks", { input })
  .stage("draft", () => 1)
  .waitFor("go", { payload: z.number(), within: "1d" })
  .stage("last", ({ input: waited }) => (waited?.received ? waited.payload : null))
  .build();

/** A run that waits for its signal. */
async function waiting() {
  const engine = new Engine({ workflows: [asks] });
  const run = await engine.runs.start(asks, null);
  await engine.settle();
  return { engine, run, ...engine.connection };
}

async function signalled(engine: Engine, run: Run<typeof asks>): Promise<void> {
  await run.signal("go", 7);
  await engine.settle();
}

async function record(engine: Engine, id: string, stageId: string): Promise<string> {
  const found = (await engine.stages(id)).find((each) => each.stageId === stageId);
  return found?.id ?? "";
}

describe("a caller that ends the stage at which a run stands", () => {
  it.each<[Status, string]>([
    ["FAILED", "Stage go was set to FAILED: not wanted"],
    ["CANCELLED", "Stage go was set to CANCELLED: not wanted"],
  ])("as %s ends the run with that reason", async (status, reason) => {
    const { engine, run, persistence } = await waiting();
    const set = { status, errorMessage: "not wanted" };
    await persistence.updateStageByRunAndStageId(run.id, "go", set);
    await signalled(engine, run);
    expect(await run.output()).toEqual({ status: "FAILED", reason, stage: "go" });
    await sound(engine, run.id);
  });

  it("by deleting it ends the run with that reason", async () => {
    const { engine, run, persistence } = await waiting();
    await persistence.deleteStage(await record(engine, run.id, "go"));
    await signalled(engine, run);
    expect(await run.output()).toEqual({
      status: "FAILED",
      reason: "Stage go was deleted",
      stage: "go",
    });
    await sound(engine, run.id);
  });

  it.each<Status>(["COMPLETED", "SKIPPED"])("as %s lets the run go on", async (status) => {
    const { engine, run, persistence } = await waiting();
    await persistence.updateStageByRunAndStageId(run.id, "go", {
      status,
      outputData: { received: true, payload: 3 },
    });
    await signalled(engine, run);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 3 });
    await sound(engine, run.id);
  });

  it("by deleting it, while its job fails for good, ends the run", async () => {
    const { engine, run, persistence, jobs } = await waiting();
    await persistence.deleteStage(await record(engine, run.id, "go"));
    const [job] = await jobs.getJobsByWorkflowRun(run.id);
    await jobs.fail(job?.id ?? "", "no more", false);
    await engine.failures();
    expect(await run.output()).toEqual({ status: "FAILED", reason: "no more", stage: "go" });
    await sound(engine, run.id);
  });
});

describe("a caller that deletes what a stage takes", () => {
  it("ends the run with that reason, instead of giving the stage something else", async () => {
    let tries = 0;
    const flaky = workflow("flaky", { input })
      .stage("first", () => "given")
      .stage("second", ({ input: given }) => {
        tries += 1;
        if (tries === 1) throw new Error("again");
        return given;
      })
      .build();
    const engine = new Engine({ workflows: [flaky] });
    const run = await engine.runs.start(flaky, null);
    await engine.settle();
    await engine.connection.persistence.deleteStage(await record(engine, run.id, "first"));
    await engine.pass(2_000);
    const reason = "Stage first was deleted, and stage second takes what it gave";
    expect(await run.output()).toEqual({ status: "FAILED", reason, stage: "second" });
    await sound(engine, run.id);
  });
});

describe("a caller that makes a run PENDING", () => {
  it("does not stop it: its next delivery takes it up", async () => {
    const { engine, run, persistence } = await waiting();
    await persistence.updateRun(run.id, { status: "PENDING" });
    await signalled(engine, run);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 7 });
    await sound(engine, run.id);
  });

  it("while a stage runs takes nothing from what it gives", async () => {
    const engine: Engine = new Engine({ workflows: [] });
    const steered: Workflow = workflow("steered", { input })
      .stage("first", async ({ run: { id } }) => {
        await engine.connection.persistence.updateRun(id, { status: "PENDING" });
        return "given";
      })
      .build();
    engine.workflows = [steered];
    const run = await engine.runs.start(steered, null);
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: "given" });
    await sound(engine, run.id);
  });
});

describe.each(["D1", "maps"] as const)("a caller that ends the pause of a run, on %s", (over) => {
  const chain = workflow("chain", { input })
    .stage("first", () => 1)
    .stage("second", ({ input: one }) => one + 1)
    .build();

  /** A run that was paused, whose job has been parked, and that is not paused any more. */
  async function parked(by: "pause" | "updateRun", status: Status) {
    const engine = new Engine({ workflows: [chain], over });
    const run = await engine.runs.start(chain, null);
    const { persistence, jobs } = engine.connection;
    if (by === "pause") await run.pause();
    else await persistence.updateRun(run.id, { status: "SUSPENDED" });
    await engine.settle();
    await engine.pass(86_400_000);
    await engine.sweep();
    expect(await jobs.getJobsByWorkflowRun(run.id)).toMatchObject([{ status: "SUSPENDED" }]);
    await persistence.updateRun(run.id, { status });
    return { engine, run, jobs };
  }

  it.each([
    ["pause", "RUNNING"],
    ["pause", "PENDING"],
    ["updateRun", "RUNNING"],
    ["updateRun", "PENDING"],
  ] as const)("after %s, and makes it %s: the sweep lets it go on", async (by, status) => {
    const { engine, run } = await parked(by, status);
    await engine.sweep();
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    await sound(engine, run.id);
  });

  it.each(["RUNNING", "PENDING"] as const)(
    "and makes it %s: resume lets it go on at once",
    async (status) => {
      const { engine, run } = await parked("pause", status);
      engine.queue.take();
      await run.resume();
      if (over === "D1") expect(engine.queue.take()).toHaveLength(1);
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
      await sound(engine, run.id);
    },
  );

  it("by ending it ends its job as well", async () => {
    const { engine, run, jobs } = await parked("pause", "FAILED");
    await engine.sweep();
    await engine.settle();
    expect(await jobs.getJobsByWorkflowRun(run.id)).toMatchObject([{ status: "COMPLETED" }]);
  });
});

describe("a stage that waits for no signal", () => {
  it("stays asleep where a caller or another workflow leaves a signal of its name", async () => {
    const { engine, run, persistence } = await waiting();
    // A sleep looks like this.
    const suspendedState = { waitsFor: "time" };
    await persistence.updateStageByRunAndStageId(run.id, "go", { suspendedState });
    await signalled(engine, run);
    expect(await run.output()).toEqual({ status: "RUNNING" });
    await engine.pass(86_400_000);
    expect(await run.output()).toMatchObject({ status: "FAILED" });
    await sound(engine, run.id);
  });
});

describe("the reason of a run that has ended", () => {
  it("is not that of an earlier try, where a caller has cancelled it", async () => {
    const fails = workflow("fails", { input })
      .stage("first", () => {
        throw new Error("a try's own");
      })
      .build();
    const engine = new Engine({ workflows: [fails] });
    const run = await engine.runs.start(fails, null);
    await engine.settle();
    await engine.connection.persistence.updateRun(run.id, { status: "CANCELLED" });
    expect(await run.output()).toEqual({ status: "CANCELLED", reason: "The run is CANCELLED" });
  });

  it("is still there where callers have added events", async () => {
    const { run, persistence } = await waiting();
    await run.cancel("not needed");
    await persistence.appendOutboxEvents(
      Array.from({ length: 3 }, () => ({
        workflowRunId: run.id,
        eventType: "mail:sent",
        payload: { error: "none" },
        causationId: "c",
        occurredAt: new Date(0),
      })),
    );
    expect(await run.output()).toEqual({ status: "CANCELLED", reason: "not needed" });
  });
});

describe("a caller that ends the job of a run", () => {
  it.each(["completes", "cancels"])(
    "and %s it takes nothing for good: the run goes on when it is paused and resumed",
    async (how) => {
      const { engine, run, jobs } = await waiting();
      const [job] = await jobs.getJobsByWorkflowRun(run.id);
      if (how === "completes") await jobs.complete(job?.id ?? "");
      else await jobs.cancelByRun(run.id);
      await signalled(engine, run);
      expect(await run.output()).toEqual({ status: "RUNNING" });
      await run.pause();
      await run.resume();
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: 7 });
      await sound(engine, run.id);
    },
  );

  it("while a group is open, and between two stages: so it is, too", async () => {
    const engine: Engine = new Engine({ workflows: [] });
    let pauses: (() => Promise<void>) | null = null;
    const pair = workflow("pair", { input })
      .parallel({ one: () => 1, two: () => 2 })
      .stage("last", async ({ input: { one, two } }) => {
        await pauses?.();
        return one + two;
      })
      .stage("end", ({ input: sum }) => sum)
      .build();
    engine.workflows = [pair];
    const run = await engine.runs.start(pair, null);
    const endJobs = async () => {
      await run.pause();
      await engine.settle();
      await engine.connection.jobs.cancelByRun(run.id);
      await run.resume();
    };
    await endJobs();
    pauses = async () => run.pause();
    await engine.settle();
    await endJobs();
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 3 });
    await sound(engine, run.id);
  });
});

describe.each(["D1", "maps"] as const)("a stage whose job a caller has ended, on %s", (over) => {
  const polls = workflow("polls", { input })
    .stage(
      "batch",
      stage({
        run: ({ suspend }) => suspend(1, { pollIn: "1m", within: "9d" }),
        poll: () => 2,
      }),
    )
    .build();

  it.each([
    ["completed", async ({ jobs }: Connection, id: string) => jobs.complete(id)],
    [
      "cancelled",
      async ({ jobs }: Connection, id: string) => jobs.cancelByRun(id.split("/")[0] ?? ""),
    ],
  ])("as %s gets another a day after its instant, and its run goes on", async (_, end) => {
    const engine = new Engine({ workflows: [polls], over });
    const run = await engine.runs.start(polls, null);
    await engine.settle();
    const [job] = await engine.connection.jobs.getJobsByWorkflowRun(run.id);
    await end(engine.connection, job?.id ?? "");
    await engine.pass(25 * 3_600_000);
    await engine.sweep();
    await engine.sweep();
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(await engine.connection.jobs.getJobsByWorkflowRun(run.id)).toHaveLength(2);
    await sound(engine, run.id);
  });
});

describe.each(["D1", "maps"] as const)("new jobs of a resumed run, on %s", (over) => {
  /** Its job is ended by a caller, and it is paused and resumed. */
  async function again(engine: Engine, run: Run<Workflow>): Promise<void> {
    await engine.connection.jobs.cancelByRun(run.id);
    await run.pause();
    await run.resume();
  }

  it("give a stage as many tries as it had left", async () => {
    let tries = 0;
    const failing = (): null => {
      tries += 1;
      throw new Error("not ready");
    };
    const flow = (attempts: number) =>
      workflow("flow", { input })
        .stage("first", () => 1)
        .stage("second", failing, { retry: { attempts, backoff: "1s" } })
        .build();
    const workflows = [flow(1), flow(3)] as const;
    const engine = new Engine({ workflows: [workflows[0]], over });
    const once = await engine.runs.start(workflows[0], null);
    await again(engine, once);
    await engine.pass(60_000);
    expect(await once.output()).toMatchObject({ status: "FAILED" });
    expect(tries).toBe(1);
    engine.workflows = [workflows[1]];
    tries = 0;
    const thrice = await engine.runs.start(workflows[1], null);
    await engine.settle();
    await again(engine, thrice);
    for (let passes = 0; passes < 5; passes += 1) await engine.pass(60_000);
    expect(await thrice.output()).toMatchObject({ status: "FAILED" });
    expect(tries).toBe(3);
    await sound(engine, thrice.id);
  });

  it("keep to the stage's concurrency limit", async () => {
    const { gate, pass } = newGate();
    const keyed = workflow("keyed", { input })
      .stage("only", pass, { concurrency: { key: "few", limit: 1 } })
      .build();
    const engine = new Engine({ workflows: [keyed], over });
    const runs: Run<Workflow>[] = [];
    for (let count = 0; count < 3; count += 1) runs.push(await engine.runs.start(keyed, null));
    for (const run of runs) await again(engine, run);
    const worker = engine.consume();
    await gate.reached();
    expect(await engine.consume()).toMatchObject({ claimed: 0 });
    gate.open();
    expect(await worker).toMatchObject({ claimed: 1 });
  });
});

describe("a caller's own job of a run", () => {
  it("that is suspended stays so when the run is resumed, however many there are, over RPC", async () => {
    const { engine, run, jobs } = await waiting();
    const { id: workflowRunId } = run;
    const own = { workflowRunId, workflowId: "asks", stageId: "mail" };
    const ids = await jobs.enqueueParallel(Array.from({ length: 201 }, () => own));
    const until = new Date(engine.now + 86_400_000);
    await Promise.all(ids.map(async (id) => jobs.suspend(id, until)));
    await run.pause();
    const remote = runsOf(connect(service));
    await remote.get(asks, workflowRunId).resume();
    expect(await run.output()).toEqual({ status: "RUNNING" });
    const left = await jobs.getJobsByWorkflowRun(workflowRunId);
    expect(left.filter(({ nextPollAt }) => nextPollAt?.getTime() === until.getTime()).length).toBe(
      // That of the wait as well.
      202,
    );
  });

  it("that fails for good is left to the caller's handler, and ends nothing", async () => {
    const { engine, run, jobs } = await waiting();
    const { id: workflowRunId } = run;
    const own = { workflowRunId, workflowId: "asks", stageId: "mail" };
    const jobId = await jobs.enqueue(own);
    await jobs.fail(jobId, "mine", false);
    const unit = unitOf(engine.connection);
    expect(await endDead(unit, { ...own, jobId, error: "mine" })).toBe(false);
    await signalled(engine, run);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 7 });
  });
});
