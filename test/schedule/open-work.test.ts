/** Work that stays behind: what a failed job or a suspension leaves open is found, and handed over until it is closed. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Backend, HandlerContext, JobHandler } from "../../src/contract/index.ts";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { createMemoryBackend } from "../../src/testing/index.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { Delivery, permits } from "../queue/support/queue.ts";
import { HOUR_MS, MINUTE_MS, NOW, type Part, World } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { addFailure, addJobs, addStages, RUN } from "./support.ts";

const failures = () => [new Delivery({ v: 1, kind: "failures" })];
const failing: JobHandler = { handleJob: async () => Promise.reject(new Error("no such thing")) };

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("a handler without jobFailed", () => {
  /** Deliveries until the job is FAILED, with all settings at their defaults. */
  async function failsForGood(world: World, embedded: boolean): Promise<Part> {
    const part = world.part();
    await addStages(part, "r", 1, { suspendedUntil: null });
    await addJobs(part, "r", 1);
    for (let delivery = 0; delivery < 3; delivery += 1) {
      await world.consume(part, failing, permits(1), { embedded });
      world.pass(MINUTE_MS);
    }
    return part;
  }

  it.each([
    ["embedded", true],
    ["bound", false],
  ])(
    "leaves no run open (%s): stage and run end as FAILED, and the log says why",
    async (_, embedded) => {
      const error = vi.spyOn(console, "error").mockImplementation(() => {});
      const world = new World();
      const part = await failsForGood(world, embedded);
      const { persistence } = part.backend;
      // Found at once, while nobody has been told.
      expect(await part.backend.audit()).toMatchObject([
        { id: "r/0", problem: "failure-unhandled" },
      ]);
      expect(part.queue.messages.at(-1)).toMatchObject({ body: { kind: "failures" } });
      await world.consume(part, failing, failures(), { embedded });
      const completedAt = new Date(world.now);
      expect(await persistence.getStage("r", "0")).toMatchObject({
        status: "FAILED",
        errorMessage: "Error: no such thing",
        completedAt,
      });
      expect(await persistence.getRun("r")).toMatchObject({ status: "FAILED", completedAt });
      expect(await part.backend.audit()).toEqual([]);
      expect(error).toHaveBeenCalledWith(
        "wfe-run-ended-as-failed",
        expect.stringMatching(/^r\//),
        "Error: no such thing",
      );
      const { results } = await env.DB.prepare(`SELECT "level" FROM "logs"`).all();
      expect(results).toEqual([{ level: "ERROR" }]);
    },
  );

  it("in memory does the same", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    let now = NOW;
    const backend = createMemoryBackend({ now: () => now });
    await open(backend, "r");
    await backend.jobs.enqueue({ workflowRunId: "r", workflowId: "w", stageId: "0" });
    for (let delivery = 0; delivery < 3; delivery += 1) {
      await backend.consume(failing);
      now += MINUTE_MS;
    }
    await backend.handOverFailures(failing);
    expect((await backend.persistence.getRun("r"))?.status).toBe("FAILED");
    expect(await backend.audit()).toEqual([]);
  });

  it("ends nothing that has come to its end meanwhile", async () => {
    const world = new World();
    const part = world.part();
    await addFailure(part, "r");
    await part.backend.persistence.updateRun("r", { status: "COMPLETED" });
    await world.consume(part, failing, failures());
    expect((await part.backend.persistence.getRun("r"))?.status).toBe("COMPLETED");
    expect((await part.backend.persistence.getStage("r", "0"))?.status).toBe("RUNNING");
  });
});

async function open({ persistence }: Backend, run: string): Promise<void> {
  await persistence.createRun({ ...RUN, id: run });
  await persistence.updateRun(run, { status: "RUNNING" });
  const names = { workflowRunId: run, stageId: "0", stageName: "0", stageNumber: 0 };
  await persistence.createStage({ ...names, executionGroup: 0, status: "RUNNING" });
}

describe("a failure that cannot be handed over goes behind the others", () => {
  it("100 at which jobFailed throws hold up none behind them", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const world = new World();
    const part = world.part();
    for (let poison = 0; poison < 100; poison += 1) await addFailure(part, `poison-${poison}`);
    world.pass(1_000);
    await addFailure(part, "good");
    const given: string[] = [];
    const handler: JobHandler = {
      ...failing,
      jobFailed: async ({ workflowRunId }) => {
        given.push(workflowRunId);
        throw new Error("no");
      },
    };
    await world.consume(part, handler, failures());
    expect(new Set(given).size).toBe(100);
    await world.consume(part, handler, failures());
    expect(given.at(-1)).toBe("good");
    expect(given).toHaveLength(101);
  });

  it("one that kills its Worker comes back after a pause, with those behind it before it", async () => {
    const world = new World();
    const part = world.part();
    await addFailure(part, "killer");
    const hangs: JobHandler = { ...failing, jobFailed: () => new Promise<never>(() => {}) };
    // Never comes to an end, as when its isolate is gone.
    void world.consume(part, hangs, failures());
    await vi.waitUntil(async () => (await world.sweep(part)).unhandledFailures === 0);
    await addFailure(part, "other");
    const given: string[] = [];
    const handler: JobHandler = {
      ...failing,
      jobFailed: async ({ workflowRunId }) => void given.push(workflowRunId),
    };
    await world.consume(part, handler, failures());
    expect(given).toEqual(["other"]);
    world.pass(MINUTE_MS);
    await world.consume(part, handler, failures());
    expect(given).toEqual(["other", "killer", "other"]);
  });
});

describe("what is finished hides nothing that is live", () => {
  it("10,250 suspended stages of cancelled runs: a live run's stage has its job in the second tick", async () => {
    const world = new World();
    const part = world.part();
    await addStages(part, "over", 1, { suspendedUntil: NOW });
    await part.backend.persistence.updateRun("over", { status: "CANCELLED" });
    await copies("stages", "stage_id", 10_250);
    await addStages(part, "live", 1, { suspendedUntil: NOW + MINUTE_MS });
    world.pass(UNPOLLED_MS + HOUR_MS);
    expect(await part.backend.audit()).toMatchObject([{ id: "live/0", problem: "poll-overdue" }]);
    expect(await world.sweep(part)).toMatchObject({ dispatchedStages: 1, failed: [] });
    expect(await part.backend.jobs.getJobsByWorkflowRun("live")).toHaveLength(1);
    // They are looked at once.
    const { results } = await env.DB.prepare(
      `SELECT count(*) AS "count" FROM "stages" WHERE "attend_at" IS NOT NULL`,
    ).all();
    expect(results).toEqual([{ count: 1 }]);
  });

  it("10,001 failures that were handled: a later one is handed over with the next wake-up", async () => {
    const world = new World();
    const part = world.part();
    await addFailure(part, "over");
    await part.backend.persistence.updateRun("over", { status: "FAILED" });
    await copies("jobs", "ordinal", 10_001);
    world.pass(1_000);
    await addFailure(part, "live");
    const jobFailed = vi.fn<NonNullable<JobHandler["jobFailed"]>>(async () => {});
    for (let tick = 0; tick < 2; tick += 1) {
      world.pass(MINUTE_MS);
      expect((await world.sweep(part)).failed).toEqual([]);
      await world.consume(part, { ...failing, jobFailed }, failures());
    }
    expect(jobFailed.mock.calls.map(([{ workflowRunId }]) => workflowRunId)).toContain("live");
  });

  it("the stages of a run that is live again are attended to again", async () => {
    const world = new World();
    const part = world.part();
    await addStages(part, "r", 1, { suspendedUntil: NOW });
    await part.backend.persistence.updateRun("r", { status: "CANCELLED" });
    world.pass(UNPOLLED_MS + HOUR_MS);
    expect((await world.sweep(part)).dispatchedStages).toBe(0);
    await part.backend.persistence.updateRun("r", { status: "RUNNING" });
    expect((await world.sweep(part)).dispatchedStages).toBe(1);
  });

  /** So many copies of the only row of the table, each with a key of its own. */
  async function copies(table: "stages" | "jobs", key: string, count: number): Promise<void> {
    const { results } = await env.DB.prepare(`SELECT * FROM "${table}"`).all();
    const names = Object.keys(results[0] ?? {});
    const list = names.map((name) => `"${name}"`).join(", ");
    const values = names.map((name) => (name === key ? `"n" || 'copy'` : `"${name}"`)).join(", ");
    await env.DB.prepare(
      `WITH RECURSIVE "count"("n") AS (SELECT 1 UNION ALL SELECT "n" + 1 FROM "count" WHERE "n" < ${count - 1}) ` +
        `INSERT INTO "${table}" (${list}) SELECT ${values} FROM "count" CROSS JOIN "${table}"`,
    ).run();
  }
});

describe("a job that failed after its stage was done", () => {
  async function stranded(world: World): Promise<Part> {
    const part = world.part();
    await addStages(part, "r", 1, { suspendedUntil: null });
    const job = { workflowRunId: "r", workflowId: "w", stageId: "0", maxAttempts: 1 };
    await part.backend.jobs.enqueue(job);
    await part.backend.jobs.dequeue();
    // Its worker stores the result, and dies before it settles the job.
    await part.backend.persistence.updateStageByRunAndStageId("r", "0", { status: "COMPLETED" });
    world.pass(6 * MINUTE_MS);
    expect((await world.sweep(part)).releasedLeases).toBe(1);
    return part;
  }

  it("is handed over, until its run is closed", async () => {
    const world = new World();
    const part = await stranded(world);
    const jobFailed = vi.fn<NonNullable<JobHandler["jobFailed"]>>(async () => {});
    const handler = { ...failing, jobFailed };
    for (let hour = 0; hour < 3; hour += 1) {
      expect((await world.sweep(part)).unhandledFailures).toBe(1);
      await world.consume(part, handler, failures());
      world.pass(HOUR_MS);
    }
    expect(jobFailed).toHaveBeenCalledTimes(3);
    await part.backend.persistence.updateRun("r", { status: "COMPLETED" });
    expect((await world.sweep(part)).unhandledFailures).toBe(0);
  });

  it("is not handed over while the run goes on, and is when it does no longer", async () => {
    const world = new World();
    const part = await stranded(world);
    const [next = ""] = await part.backend.jobs.enqueueParallel([
      { workflowRunId: "r", workflowId: "w", stageId: "next" },
    ]);
    const jobFailed = vi.fn<NonNullable<JobHandler["jobFailed"]>>(async () => {});
    const handler = { ...failing, jobFailed };
    await world.consume(part, handler, failures());
    expect(jobFailed).not.toHaveBeenCalled();
    await part.backend.jobs.complete(next);
    world.pass(HOUR_MS);
    await world.consume(part, handler, failures());
    expect(jobFailed).toHaveBeenCalledOnce();
  });

  it("ends its run as FAILED where there is no jobFailed, and leaves the stage as it is", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const world = new World();
    const part = await stranded(world);
    await world.consume(part, failing, failures());
    expect((await part.backend.persistence.getRun("r"))?.status).toBe("FAILED");
    expect((await part.backend.persistence.getStage("r", "0"))?.status).toBe("COMPLETED");
  });
});

describe("the party that suspends decides", () => {
  const until = NOW + MINUTE_MS;
  const suspends: JobHandler = { handleJob: async () => ({ status: "suspended", until }) };
  const ended: JobHandler = { handleJob: async () => ({ status: "completed" }) };

  it("a job that its handler suspends is given to it again at its instant", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 1);
    expect(await world.consume(part, suspends)).toMatchObject({ suspended: 1 });
    world.pass(MINUTE_MS);
    expect(await world.consume(part, ended)).toMatchObject({ completed: 1 });
  });

  it("what is suspended through the contract waits for a poll, and is found if none comes", async () => {
    const world = new World();
    const part = world.part();
    const { jobs, persistence } = part.backend;
    await open(part.backend, "jobs");
    const [jobId = ""] = await addJobs(part, "jobs", 1);
    await jobs.dequeue();
    await jobs.suspend(jobId, new Date(until));
    await addStages(part, "stages", 1, { suspendedUntil: until });
    world.pass(10 * MINUTE_MS);
    expect(await part.backend.audit()).toEqual([]);
    world.pass(MINUTE_MS);
    expect((await part.backend.audit()).map(({ problem }) => problem)).toEqual([
      "poll-overdue",
      "poll-overdue",
    ]);
    world.pass(UNPOLLED_MS - HOUR_MS);
    expect(await world.sweep(part)).toMatchObject({ resumedJobs: 0, dispatchedStages: 0 });
    expect(await world.consume(part, ended, permits(5))).toMatchObject({ claimed: 0 });
    expect(await jobs.getSuspendedJobsReadyToPoll()).toHaveLength(1);
    expect(await persistence.getSuspendedStages(new Date(world.now))).toHaveLength(1);
    world.pass(HOUR_MS);
    expect(await world.sweep(part)).toMatchObject({ resumedJobs: 1, dispatchedStages: 1 });
  });

  it("a stage that its engine polls in time is never given a job", async () => {
    const world = new World();
    const part = world.part();
    await addStages(part, "r", 1, { suspendedUntil: until });
    for (let poll = 0; poll < 5; poll += 1) {
      world.pass(UNPOLLED_MS - MINUTE_MS);
      expect((await world.sweep(part)).dispatchedStages).toBe(0);
      const nextPollAt = new Date(world.now);
      await part.backend.persistence.updateStageByRunAndStageId("r", "0", { nextPollAt });
    }
  });
});

describe("stages whose names run together", () => {
  it("have a job each, although they are due at one instant", async () => {
    const world = new World();
    const part = world.part();
    const { persistence, jobs } = part.backend;
    for (const [run, stageId] of [
      ["a/b", "c"],
      ["a", "b/c"],
    ] as const) {
      await persistence.createRun({ ...RUN, id: run });
      await persistence.updateRun(run, { status: "RUNNING" });
      const names = { workflowRunId: run, stageId, stageName: "s", stageNumber: 0 };
      await persistence.createStage({ ...names, executionGroup: 0 });
      const suspended = { status: "SUSPENDED", nextPollAt: new Date(NOW) } as const;
      await persistence.updateStageByRunAndStageId(run, stageId, suspended);
    }
    world.pass(UNPOLLED_MS);
    expect((await world.sweep(part)).dispatchedStages).toBe(2);
    expect(await jobs.getJobsByWorkflowRun("a/b")).toHaveLength(1);
    expect(await jobs.getJobsByWorkflowRun("a")).toHaveLength(1);
  });
});

describe("what a handler is given", () => {
  /** Written for any connection. */
  const problemsOf = async ({ audit }: Backend) => (await audit()).length;

  it("is a backend, always there: of a job, of waiting runs, and of a failure; embedded and in memory", async () => {
    const given: HandlerContext[] = [];
    const handler: JobHandler = {
      handleJob: async (_, context) => {
        given.push(context);
        return { status: "failed", error: "no", retry: false };
      },
      claimRuns: async (context) => void given.push(context),
      jobFailed: async (_, context) => void given.push(context),
    };
    const world = new World();
    const part = world.part();
    await part.backend.persistence.createRun({ ...RUN, id: "waits" });
    await open(part.backend, "r");
    await addJobs(part, "r", 1);
    for (const kind of ["jobs", "runs", "failures"]) {
      await world.consume(part, handler, [new Delivery({ v: 1, kind })]);
    }
    const backend = createMemoryBackend();
    await open(backend, "r");
    await backend.jobs.enqueue({ workflowRunId: "r", workflowId: "w", stageId: "0" });
    await backend.consume(handler);
    await backend.handOverFailures(handler);
    expect(given).toHaveLength(5);
    for (const context of given) expect(await problemsOf(context)).toBe(1);
  });
});
