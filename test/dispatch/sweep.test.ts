import { beforeEach, describe, expect, it, vi } from "vitest";
import { embed, dispatcher } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import {
  COMPLETED,
  Dispatch,
  engine,
  handling,
  JOB,
  LEASE_MS,
  LONG_MS,
  MINUTE_MS,
  START,
  startRun,
} from "./support.ts";

const DAY_MS = 86_400_000;

beforeEach(async () => {
  await emptyDatabase();
});

describe("a tick of the sweep", () => {
  it("ends leases that have expired, and wakes somebody for their jobs", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueueParallel(["a", "b"].map((stageId) => ({ ...JOB, stageId })));
    await jobs.dequeueMany(2);
    dispatch.outbox.take();
    dispatch.now += LEASE_MS;
    expect(await dispatch.sweep()).toMatchObject({ releasedLeases: 0 });
    dispatch.now += 1;
    expect(await dispatch.sweep()).toMatchObject({ releasedLeases: 2, failed: [] });
    expect(dispatch.outbox.take()).toHaveLength(2);
    expect(await jobs.jobStats()).toMatchObject({ due: 2, leased: 0 });
  });

  it("resumes suspended jobs in the order of due time, a hundred a tick", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    const count = 250;
    await jobs.enqueueParallel(
      Array.from({ length: count }, (_, n) => ({ ...JOB, stageId: `${n}` })),
    );
    const taken = [];
    while (taken.length < count) taken.push(...(await jobs.dequeueMany(100)));
    for (const { jobId, stageId } of taken) {
      // The last enqueued is due first.
      await jobs.suspend(jobId, new Date(START + count - Number(stageId)));
    }
    dispatch.now += MINUTE_MS;
    for (const expected of [100, 100, 50, 0]) {
      expect(await dispatch.sweep()).toMatchObject({ resumedJobs: expected });
      const states = await jobs.getJobsByWorkflowRun("run");
      const resumed = states
        .filter(({ status }) => status === "PENDING")
        .map(({ stageId }) => Number(stageId));
      expect(Math.min(...resumed)).toBe(count - resumed.length);
    }
  });

  it("gives a suspended stage that is due a job, once, though two sweeps run at once", async () => {
    const dispatch = new Dispatch();
    const { persistence, jobs } = dispatch.connect();
    await startRun(dispatch.connect(), "run", 1);
    const stage = await persistence.getStage("run", "stage-1");
    await persistence.updateStage(stage?.id ?? "", {
      status: "SUSPENDED",
      nextPollAt: new Date(START + 1),
    });
    await jobs.cancelByRun("run");
    dispatch.now += MINUTE_MS;
    const reports = await Promise.all([dispatch.sweep(), dispatch.sweep()]);
    expect(reports.some(({ dispatchedStages }) => dispatchedStages === 1)).toBe(true);
    const live = (await jobs.getJobsByWorkflowRun("run")).filter(
      ({ status }) => status === "PENDING",
    );
    expect(live).toMatchObject([{ stageId: "stage-1", workflowId: "w" }]);
    expect(await dispatch.sweep()).toMatchObject({ dispatchedStages: 0 });
  });

  it("does not let stages of finished runs crowd out others", async () => {
    const dispatch = new Dispatch();
    const backend = dispatch.connect();
    const { persistence, jobs } = backend;
    for (let n = 0; n < 120; n += 1) {
      await persistence.withTransaction(async (tx) => {
        const run = {
          id: `over-${n}`,
          workflowId: "w",
          workflowName: "",
          workflowType: "",
          input: 0,
        };
        await tx.createRun(run);
        const numbers = { stageNumber: 1, executionGroup: 1 };
        const stage = await tx.createStage({
          workflowRunId: run.id,
          stageId: "s",
          stageName: "",
          ...numbers,
        });
        await tx.updateStage(stage.id, { status: "SUSPENDED", nextPollAt: new Date(START) });
        await tx.updateRun(run.id, { status: "CANCELLED" });
      });
    }
    await startRun(backend, "run", 1);
    const stage = await persistence.getStage("run", "stage-1");
    const nextPollAt = new Date(START + 1);
    await persistence.updateStage(stage?.id ?? "", { status: "SUSPENDED", nextPollAt });
    await jobs.cancelByRun("run");
    dispatch.now += MINUTE_MS;
    expect(await dispatch.sweep()).toMatchObject({ dispatchedStages: 1 });
  });

  it("leaves suspended jobs and stages alone when nobody resumes them here", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    const jobId = await jobs.enqueue({ ...JOB, stageId: "s" });
    await jobs.dequeue();
    await jobs.suspend(jobId, new Date(START + 1));
    dispatch.now += MINUTE_MS;
    expect(await dispatch.sweep(false)).toMatchObject({ resumedJobs: 0, dispatchedStages: 0 });
    expect(await jobs.getSuspendedJobsReadyToPoll()).toMatchObject([{ jobId }]);
  });

  it("sends as many permits as overdue jobs have none, and at least ten", async () => {
    const dispatch = new Dispatch();
    dispatch.outbox.fails = true;
    const { jobs } = dispatch.connect();
    await jobs.enqueueParallel(Array.from({ length: 150 }, () => ({ ...JOB, stageId: "s" })));
    dispatch.outbox.fails = false;
    dispatch.now += 4_999;
    expect(await dispatch.sweep()).toMatchObject({ overdueJobs: 0, permits: 0 });
    dispatch.now += 1;
    expect(await dispatch.sweep()).toMatchObject({ overdueJobs: 150, permits: 150 });
    expect(dispatch.outbox.batches.map(({ length }) => length)).toEqual([100, 50]);
    dispatch.outbox.backlog = 120;
    expect(await dispatch.sweep()).toMatchObject({ overdueJobs: 150, permits: 30 });
    dispatch.outbox.backlog = 1_000;
    expect(await dispatch.sweep()).toMatchObject({ overdueJobs: 150, permits: 10 });
  });

  it("finds what is due beyond the longest delay of a message", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "s", scheduledFor: new Date(START + 2 * DAY_MS) });
    expect(dispatch.outbox.take()).toEqual([]);
    dispatch.now += 2 * DAY_MS + 5_000;
    expect(await dispatch.sweep()).toMatchObject({ overdueJobs: 1, permits: 1 });
    const worked = await dispatch.deliver(
      handling(async () => COMPLETED),
      1,
    );
    expect(worked).toMatchObject({ completed: 1 });
  });

  it("deletes idempotency keys and records of commits that are old, and no others", async () => {
    const dispatch = new Dispatch();
    const { persistence } = dispatch.connect();
    await persistence.acquireIdempotencyKey("old", "c");
    await persistence.completeIdempotencyKey("old", "c", 1);
    await persistence.acquireIdempotencyKey("released", "c");
    await persistence.releaseIdempotencyKey("released", "c");
    dispatch.now += 20 * DAY_MS;
    await persistence.acquireIdempotencyKey("young", "c");
    const count = async (table: string) =>
      (await env.DB.prepare(`SELECT count(*) AS n FROM "${table}"`).first<{ n: number }>())?.n;
    expect(await count("commits")).toBeGreaterThan(0);
    dispatch.now += 10 * DAY_MS + 1;
    expect(await dispatch.sweep()).toMatchObject({ purged: 1, failed: [] });
    expect(await count("commits")).toBe(0);
    expect(await count("idempotency_keys")).toBe(1);
    expect(await persistence.acquireIdempotencyKey("young", "c")).toEqual({
      status: "in_progress",
    });
    expect(await dispatch.sweep()).toMatchObject({ purged: 0 });
  });

  it("keeps idempotency keys for ever when told so", async () => {
    const dispatch = new Dispatch({ vars: { IDEMPOTENCY_KEYS_DAYS: 0 } });
    const { persistence } = dispatch.connect();
    await persistence.completeIdempotencyKey("k", "c", 1);
    dispatch.now += 4_000 * DAY_MS;
    await dispatch.sweep();
    expect(await persistence.acquireIdempotencyKey("k", "c")).toMatchObject({ status: "replay" });
  });

  it("goes on with the other steps when one fails", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueueParallel(["a", "b"].map((stageId) => ({ ...JOB, stageId })));
    await jobs.dequeue();
    dispatch.now += LONG_MS;
    let broken = 0;
    const prepare = (sql: string) => ({ bind: (...params: unknown[]) => ({ sql, params }) });
    const batch = async (bound: readonly { sql: string; params: unknown[] }[]) => {
      if (bound.some(({ sql }) => sql.includes("stages_suspended_idx"))) {
        broken += 1;
        throw new Error("D1_ERROR: no such index: stages_suspended_idx: SQLITE_ERROR");
      }
      return env.DB.batch(bound.map(({ sql, params }) => env.DB.prepare(sql).bind(...params)));
    };
    const store = dispatch.over({ prepare, batch } as unknown as D1Database);
    const report = await dispatch.sweep(true, store);
    expect(broken).toBe(1);
    expect(report).toMatchObject({ failed: ["stages"], releasedLeases: 1, overdueJobs: 2 });
  });

  it("of which two run at once does everything once", async () => {
    const dispatch = new Dispatch();
    const backend = dispatch.connect();
    await startRun(backend, "run", 2);
    await backend.jobs.dequeue();
    dispatch.now += LONG_MS;
    const reports = await Promise.all([dispatch.sweep(), dispatch.sweep(), dispatch.sweep()]);
    const released = reports.map(({ releasedLeases }) => releasedLeases);
    expect(released.reduce((sum, count) => sum + count, 0)).toBe(1);
    expect(await backend.audit()).toEqual([]);
  });
});

describe("a run is not stuck", () => {
  it("whose stage is suspended for hours", async () => {
    const dispatch = new Dispatch();
    const { persistence } = dispatch.connect();
    await startRun(dispatch.connect(), "run", 1);
    const stage = await persistence.getStage("run", "stage-1");
    const nextPollAt = new Date(START + LONG_MS);
    await persistence.updateStage(stage?.id ?? "", { status: "SUSPENDED", nextPollAt });
    dispatch.now += LONG_MS / 2;
    expect(await persistence.getStuckRuns(new Date(dispatch.now - 15 * MINUTE_MS))).toEqual([]);
  });

  it("whose job has been sending heartbeats for an hour", async () => {
    const dispatch = new Dispatch();
    const { persistence, jobs } = dispatch.connect();
    await startRun(dispatch.connect(), "run", 1);
    const job = await jobs.dequeue();
    for (let minute = 0; minute < 60; minute += 1) {
      dispatch.now += MINUTE_MS;
      await jobs.touchJob(job?.jobId ?? "");
      expect(await dispatch.sweep()).toMatchObject({ releasedLeases: 0 });
    }
    expect(await persistence.getStuckRuns(new Date(dispatch.now - 15 * MINUTE_MS))).toEqual([]);
  });

  it("whose job waits in a backlog while a worker is alive", async () => {
    const dispatch = new Dispatch();
    const { persistence, jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, workflowRunId: "other", stageId: "s", priority: 9 });
    await startRun(dispatch.connect(), "run", 1);
    const job = await jobs.dequeue();
    expect(job).toMatchObject({ workflowRunId: "other" });
    dispatch.now += LONG_MS;
    await jobs.touchJob(job?.jobId ?? "");
    expect(await persistence.getStuckRuns(new Date(dispatch.now - 15 * MINUTE_MS))).toEqual([]);
  });
});

describe("a handler's further duties", () => {
  const duties = { HANDLER_DUTIES: "jobs,runs,failures,outbox" };

  it("are to claim runs that wait", async () => {
    const dispatch = new Dispatch({ vars: duties });
    const { persistence } = dispatch.connect();
    await persistence.createRun({
      id: "run",
      workflowId: "w",
      workflowName: "",
      workflowType: "",
      input: 0,
    });
    expect(dispatch.outbox.take()).toMatchObject([{ body: { kind: "runs" } }]);
    dispatch.now += MINUTE_MS;
    expect(await dispatch.sweep()).toMatchObject({ waitingRuns: 1 });
    const sent = dispatch.outbox.take().map(({ body }) => body);
    expect(sent).toMatchObject([{ kind: "runs" }]);
    let claimed: string | undefined;
    await dispatch.deliver(
      {
        handleJob: async () => COMPLETED,
        async claimRuns(context) {
          claimed = (await context?.persistence.claimNextPendingRun())?.id;
        },
      },
      sent,
    );
    expect(claimed).toBe("run");
  });

  it("are to publish events in order, and an event that nobody can publish goes to the DLQ", async () => {
    const dispatch = new Dispatch({ vars: { ...duties, OUTBOX_ATTEMPTS: 2 } });
    const { persistence } = dispatch.connect();
    const event = { eventType: "e", payload: 0, causationId: "", occurredAt: new Date(START) };
    await persistence.appendOutboxEvents(
      ["a", "a", "b", "b"].map((workflowRunId) => ({ ...event, workflowRunId })),
    );
    const seen: string[][] = [];
    const handler = {
      handleJob: async () => COMPLETED,
      async publishEvents(events: { id: string }[]) {
        const ids = events.map(({ id }) => id);
        seen.push(ids);
        return ids.filter((id) => id !== "a/1");
      },
    };
    const wakeUps = dispatch.outbox.take().map(({ body }) => body);
    expect(wakeUps).toMatchObject([{ kind: "outbox" }]);
    await dispatch.deliver(handler, wakeUps);
    const waiting = await persistence.getUnpublishedOutboxEvents();
    expect(waiting.map(({ id, retryCount }) => [id, retryCount])).toEqual([
      ["a/1", 1],
      ["a/2", 0],
    ]);
    expect(await dispatch.sweep()).toMatchObject({ waitingEvents: 2 });
    await dispatch.deliver(handler, [{ v: 1, kind: "outbox" }]);
    // Its own order is broken now, and the event after it goes out with the next round.
    await dispatch.deliver(handler, [{ v: 1, kind: "outbox" }]);
    expect(seen).toEqual([["a/1", "a/2", "b/1", "b/2"], ["a/1", "a/2"], ["a/2"]]);
    expect(await persistence.replayDLQEvents(10)).toBe(1);
  });

  it("are to end what failed for good, again and again until it is ended", async () => {
    const dispatch = new Dispatch();
    const backend = dispatch.connect();
    await startRun(backend, "run", 1);
    await dispatch.deliver(
      handling(async () => ({ status: "failed", error: "for good", retry: false })),
      1,
    );
    const told: unknown[] = [];
    const handler = {
      ...engine,
      async jobFailed(job: { workflowRunId: string; error: string | null }) {
        told.push(job.error);
        if (told.length < 3) throw new Error("not now");
        await backend.persistence.updateRun(job.workflowRunId, { status: "FAILED" });
      },
    };
    for (let minute = 0; minute < 5; minute += 1) {
      expect(await backend.audit()).toEqual([]);
      await dispatch.deliver(
        handler,
        dispatch.outbox.take().map(({ body }) => body),
      );
      dispatch.now += MINUTE_MS;
      await dispatch.sweep();
    }
    expect(told).toEqual(["for good", "for good", "for good"]);
    expect(await dispatch.sweep()).toMatchObject({ unhandledFailures: 0 });
  });

  it("that nobody takes care of are found by the audit after ten minutes", async () => {
    const dispatch = new Dispatch();
    const backend = dispatch.connect();
    await startRun(backend, "run", 1);
    await dispatch.deliver(
      handling(async () => ({ status: "failed", error: "", retry: false })),
      1,
    );
    dispatch.now += 10 * MINUTE_MS;
    expect(await backend.audit()).toEqual([
      {
        entity: "stage",
        id: "run/stage-1",
        workflowRunId: "run",
        status: "PENDING",
        problem: "failure-unhandled",
      },
    ]);
  });
});

describe("the dispatcher", () => {
  const ctx = { waitUntil: () => {} };

  it("logs one line of figures a tick", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    try {
      await dispatcher().scheduled({}, env, ctx);
      const lines = log.mock.calls.map(([line]) => JSON.parse(String(line)) as { event: string });
      expect(lines.filter(({ event }) => event === "wfe-swept")).toMatchObject([
        { releasedLeases: 0, resumedJobs: 0, overdueJobs: 0, permits: 0, failed: [] },
      ]);
    } finally {
      log.mockRestore();
    }
  });

  it("works with a handler of its own, and wakes itself", async () => {
    const dispatch = new Dispatch();
    await embed(env).jobs.enqueueParallel(["a", "b"].map((stageId) => ({ ...JOB, stageId })));
    const worked: string[] = [];
    const own = dispatcher({
      handler: () =>
        handling(async ({ stageId }) => {
          worked.push(stageId);
          return stageId === "a" ? { status: "failed", error: "", retry: true } : COMPLETED;
        }),
    });
    const message = { body: null, ack: () => {}, retry: () => {} };
    await own.queue({ messages: [message, message] }, { ...env, JOBS: dispatch.outbox }, ctx);
    expect(worked).toEqual(["a", "b"]);
    expect(dispatch.outbox.take()).toMatchObject([{ body: { kind: "jobs" } }]);
  });

  it("refuses settings that make no sense, and names them", async () => {
    for (const [name, value] of [
      ["LEASE_MS", "soon"],
      ["HEARTBEAT_MS", "300000"],
      ["HANDLER_DUTIES", "jobs,everything"],
      ["RETRY_JITTER", "2"],
    ] as const) {
      await expect(
        (async () => dispatcher().scheduled({}, { ...env, [name]: value }, ctx))(),
      ).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { field: name } });
    }
  });
});
