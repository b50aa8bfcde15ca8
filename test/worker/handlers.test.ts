import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  waitOnExecutionContext,
} from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BoundJobHandler, JobHandler } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import worker from "../../src/index.ts";
import type { WorkflowEngineEnv } from "../../src/worker/index.ts";
import { dispatcher, type WakeUpBatch } from "../../src/worker/index.ts";
import { D1_FAULTS, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { suspendAsAnswered } from "../schedule/support.ts";
import { coordinatorsOver, HOUR_MS, NOW, SECOND_MS, World } from "../queue/support/world.ts";
import { RecordingQueue } from "../queue/support/queue.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };
const completing: BoundJobHandler = { handleJob: async () => ({ status: "completed" }) };

beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

function bindings(more: Partial<WorkflowEngineEnv> = {}): WorkflowEngineEnv {
  return { DB: env.DB, RUNS: env.RUNS, JOBS: new RecordingQueue(), ...more };
}

function batchOf(count: number, kind = "jobs") {
  return createMessageBatch(
    "workflow-engine-jobs",
    Array.from({ length: count }, (_, index) => ({
      id: String(index),
      timestamp: new Date(NOW),
      attempts: 1,
      body: { v: 1, kind },
    })),
  );
}

/** The lines that were logged as JSON. */
function logged() {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  return () => log.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>);
}

describe("the cron", () => {
  it("logs one line of JSON with the sweep's figures", async () => {
    const lines = logged();
    await embed(env).jobs.enqueue(JOB);
    await worker.scheduled({}, bindings(), createExecutionContext());
    expect(lines()).toEqual([
      {
        event: "wfe-swept",
        releasedLeases: 0,
        resumedJobs: 0,
        dispatchedStages: 0,
        waitingRuns: 0,
        unhandledFailures: 0,
        overdueJobs: 0,
        permits: 0,
        waitingEvents: 0,
        purged: 0,
        failed: [],
        ms: expect.any(Number),
      },
    ]);
  });

  const suspended = async () => {
    const part = new World().part();
    await suspendAsAnswered(part, await part.backend.jobs.enqueue(JOB), NOW + SECOND_MS);
  };

  it.each<[string, Partial<WorkflowEngineEnv>, number]>([
    ["resumes suspended jobs when a HANDLER is bound", { HANDLER: completing }, 1],
    ["leaves them when there is no handler", {}, 0],
    ["leaves them when there is none, although messages are sent", { WAKE_UPS: "on" }, 0],
  ])("%s", async (_, more, resumedJobs) => {
    const lines = logged();
    await suspended();
    const { scheduled } = dispatcher({ now: () => NOW + HOUR_MS });
    await scheduled({}, bindings(more), createExecutionContext());
    expect(lines()[0]).toMatchObject({ resumedJobs, failed: [] });
  });

  it("resumes them and sends wake-ups, without a variable, for a handler of the Worker's own", async () => {
    const lines = logged();
    await suspended();
    const queue = new RecordingQueue();
    const { scheduled } = dispatcher({ handler: () => completing, now: () => NOW + HOUR_MS });
    await scheduled({}, bindings({ JOBS: queue }), createExecutionContext());
    expect(lines()[0]).toMatchObject({ resumedJobs: 1 });
    expect(queue.messages).toMatchObject([{ body: { kind: "jobs" } }]);
  });

  it("rejects settings that are refused, and names the variable", async () => {
    const ticking = worker.scheduled({}, bindings({ LEASE_MS: "long" }), createExecutionContext());
    await expect(ticking).rejects.toThrow(/^The setting LEASE_MS is "long"/);
  });
});

describe("a batch from the platform", () => {
  it("is worked by the bound HANDLER, acked, and logged in one line", async () => {
    const lines = logged();
    const given: string[] = [];
    const HANDLER: BoundJobHandler = {
      handleJob: async ({ jobId }) => {
        given.push(jobId);
        return { status: "completed" };
      },
    };
    const { jobs } = embed(env);
    const ids = await jobs.enqueueParallel([JOB, JOB]);
    const batch = batchOf(3);
    const ctx = createExecutionContext();
    await worker.queue(batch, bindings({ HANDLER }), ctx);
    expect((await getQueueResult(batch, ctx)).explicitAcks).toEqual(["0", "1", "2"]);
    expect(given.toSorted()).toEqual(ids.toSorted());
    expect(lines()).toMatchObject([
      { event: "wfe-consumed", permits: 3, claimed: 2, completed: 2, unsettled: 0 },
    ]);
  });

  it("is handed back when the claim fails, and claims nothing", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { jobs } = embed(env);
    await jobs.enqueue(JOB);
    const d1 = faultyD1(env.DB, () => D1_FAULTS.overloaded);
    const RUNS = coordinatorsOver(d1, Date.now);
    const batch = batchOf(2);
    const ctx = createExecutionContext();
    await worker.queue(batch, bindings({ DB: d1.db, RUNS, HANDLER: completing }), ctx);
    const result = await getQueueResult(batch, ctx);
    expect(result.explicitAcks).toEqual([]);
    expect(result.retryMessages).toMatchObject([{ msgId: "0" }, { msgId: "1" }]);
    expect(d1.calls.length).toBeGreaterThan(0);
    expect(await jobs.jobStats()).toMatchObject({ due: 1, leased: 0 });
  });

  it("takes in no more large jobs than fit, and hands the permits of the others back", async () => {
    logged();
    const { jobs } = embed(env);
    const LARGE = { ...JOB, payload: { text: "x".repeat(1_200_000) } };
    await jobs.enqueueParallel([LARGE, LARGE, LARGE, LARGE, JOB]);
    const atOnce: number[] = [];
    for (let worked = 0; worked < 5;) {
      const batch = batchOf(5 - worked);
      const ctx = createExecutionContext();
      await worker.queue(batch, bindings({ HANDLER: completing }), ctx);
      const { explicitAcks, retryMessages } = await getQueueResult(batch, ctx);
      expect(explicitAcks.length).toBeGreaterThan(0);
      expect(explicitAcks.length + retryMessages.length).toBe(5 - worked);
      atOnce.push(explicitAcks.length);
      worked += explicitAcks.length;
    }
    // Two large ones, and the small one beside them.
    expect(Math.max(...atOnce)).toBeLessThanOrEqual(3);
    expect(await jobs.jobStats()).toMatchObject({ due: 0, leased: 0, failed: 0 });
  });

  it("acks all permits when fewer small jobs are due than there are", async () => {
    logged();
    await embed(env).jobs.enqueueParallel([JOB, JOB]);
    const batch = batchOf(10);
    const ctx = createExecutionContext();
    await worker.queue(batch, bindings({ HANDLER: completing }), ctx);
    const { explicitAcks, retryMessages } = await getQueueResult(batch, ctx);
    expect([explicitAcks.length, retryMessages.length]).toEqual([10, 0]);
  });

  it("takes in no more large events than fit, and publishes them all", async () => {
    logged();
    const { persistence } = embed(env);
    const event = { eventType: "e", causationId: "c", occurredAt: new Date(NOW) };
    const large = "x".repeat(1_200_000);
    for (const workflowRunId of ["a", "b", "c"]) {
      const events = [large, large, "small"].map((payload) => ({
        ...event,
        workflowRunId,
        payload,
      }));
      for (const each of events) await persistence.appendOutboxEvents([each]);
    }
    const given: number[] = [];
    const sequences: string[] = [];
    const HANDLER: BoundJobHandler = {
      ...completing,
      publishEvents: async (events) => {
        given.push(events.reduce((sum, { payload }) => sum + String(payload).length, 0));
        sequences.push(...events.map(({ workflowRunId: run, sequence }) => `${run}${sequence}`));
        return events.map(({ id }) => id);
      },
    };
    for (let n = 0; n < 2; n += 1) {
      await worker.queue(batchOf(1, "outbox"), bindings({ HANDLER }), createExecutionContext());
    }
    expect(Math.max(...given)).toBeLessThanOrEqual(2_500_000);
    expect(sequences.toSorted()).toEqual(["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"]);
    expect(await persistence.getUnpublishedOutboxEvents()).toEqual([]);
  });

  it("keeps the invocation alive until the wake-ups of its commits are sent", async () => {
    logged();
    const queue = new RecordingQueue();
    const { jobs } = embed(env);
    await jobs.enqueue(JOB);
    const retrying: JobHandler = { handleJob: async () => ({ status: "failed", error: "e" }) };
    const ctx = createExecutionContext();
    const { queue: consume } = dispatcher({ handler: () => retrying });
    await consume(batchOf(1), bindings({ JOBS: queue }), ctx);
    await waitOnExecutionContext(ctx);
    expect(queue.messages).toHaveLength(1);
  });
});

describe("a batch forged by a Worker that has bound the default export", () => {
  const forged: [string, unknown][] = [
    ["nothing", undefined],
    ["no messages", {}],
    ["messages that are a text", { messages: "messages" }],
    ["messages that are a number", { messages: 42 }],
    ["a message that is null", { messages: [null] }],
    ["messages without functions", { messages: [{ body: { v: 1, kind: "jobs" } }, {}] }],
    ["functions that throw", { messages: [thrower()] }],
    ["functions that reject", { messages: [{ ...thrower(), ack: () => Promise.reject() }] }],
    ["ten thousand messages", { messages: Array.from({ length: 10_000 }, () => ({ body: 1 })) }],
    ["a body that refers to itself", { messages: [circular()] }],
  ];

  function thrower() {
    const fail = () => {
      throw new Error("no");
    };
    return { body: null, ack: fail, retry: fail };
  }

  function circular() {
    const body: Record<string, unknown> = { v: 1, kind: "jobs" };
    body["self"] = body;
    return { body };
  }

  it.each(forged)("works what is due anyway or fails, and harms nothing: %s", async (_, batch) => {
    for (const level of ["log", "warn", "error"] as const) {
      vi.spyOn(console, level).mockImplementation(() => {});
    }
    const backend = embed(env);
    await backend.jobs.enqueue(JOB);
    const calling = worker.queue(
      batch as WakeUpBatch,
      bindings({ HANDLER: completing }),
      createExecutionContext(),
    );
    const [{ status }] = await Promise.allSettled([calling]);
    const [job] = await backend.jobs.getJobsByWorkflowRun("r");
    expect(["PENDING", "COMPLETED"]).toContain(job?.status);
    expect(job?.attempt).toBe(job?.status === "COMPLETED" ? 1 : 0);
    if (status === "rejected") expect(job?.status).toBe("PENDING");
    expect(await backend.audit()).toEqual([]);
    // Whatever it was, the next real batch finds what is left.
    await worker.queue(batchOf(1), bindings({ HANDLER: completing }), createExecutionContext());
    expect((await backend.jobs.getJobsByWorkflowRun("r"))[0]?.status).toBe("COMPLETED");
  });

  it("without a handler claims nothing", async () => {
    const { jobs } = embed(env);
    await jobs.enqueue(JOB);
    await worker.queue(
      { messages: [{ body: null }] } as unknown as WakeUpBatch,
      bindings(),
      createExecutionContext(),
    );
    expect(await jobs.jobStats()).toMatchObject({ due: 1, leased: 0 });
  });
});
