import { beforeEach, describe, expect, it } from "vitest";
import type { JobOutcome } from "../../src/contract/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { COMPLETED, Dispatch, handling, JOB, LONG_MS } from "./support.ts";

beforeEach(async () => {
  await emptyDatabase();
});

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

describe("a poison job", () => {
  it("that kills every worker ends FAILED at its ceiling, with the reason", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "poison", maxAttempts: 4 });
    for (let delivery = 1; delivery <= 4; delivery += 1) {
      expect(await dispatch.connect().jobs.dequeue()).toMatchObject({ attempt: delivery });
      dispatch.now += LONG_MS;
      expect(await dispatch.sweep()).toMatchObject({ releasedLeases: 1 });
    }
    expect(await jobs.dequeue()).toBeNull();
    expect(await jobs.getJobsByWorkflowRun("run")).toMatchObject([
      {
        status: "FAILED",
        attempt: 4,
        lastError: "The lease of attempt 4 expired, and no attempts are left",
      },
    ]);
  });

  it("whose handler always throws ends FAILED, after pauses of 2 s and 4 s", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "poison" });
    const poison = handling(() => Promise.reject(new Error("poison")));
    const delays: (number | undefined)[] = [];
    for (let delivery = 1; delivery <= 3; delivery += 1) {
      dispatch.outbox.take();
      expect(await dispatch.deliver(poison, 1)).toMatchObject({ failed: 1 });
      const [wakeUp] = dispatch.outbox.take();
      delays.push(wakeUp?.delaySeconds);
      // Not before its time.
      if (delivery < 3) expect(await dispatch.deliver(poison, 1)).toMatchObject({ claimed: 0 });
      dispatch.now += (wakeUp?.delaySeconds ?? 0) * 1_000;
    }
    // The last message tells of the failure.
    expect(delays).toEqual([2, 4, 0]);
    expect(await jobs.getJobsByWorkflowRun("run")).toMatchObject([
      { status: "FAILED", attempt: 3, lastError: "Error: poison" },
    ]);
  });
});

describe("a zombie", () => {
  it.each<[string, (jobs: ReturnType<Dispatch["connect"]>["jobs"], id: string) => Promise<void>]>([
    ["complete", (jobs, id) => jobs.complete(id)],
    ["fail", (jobs, id) => jobs.fail(id, "late")],
    ["suspend", (jobs, id) => jobs.suspend(id, new Date(0))],
  ])(
    "that calls %s does not touch the attempt after it, and its result is kept once",
    async (method, call) => {
      const dispatch = new Dispatch();
      const { persistence, jobs } = dispatch.connect();
      const run = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };
      await persistence.createRun(run);
      const jobId = await jobs.enqueue({ ...JOB, stageId: "s" });
      const zombie = dispatch.connect("zombie");
      await zombie.jobs.dequeue();
      dispatch.now += LONG_MS;
      await dispatch.sweep();
      const owner = dispatch.connect("owner");
      expect(await owner.jobs.dequeue()).toMatchObject({ jobId, attempt: 2 });
      const before = await jobs.getJobsByWorkflowRun("run");

      for (let time = 0; time < 2; time += 1) {
        const late = (async () => call(zombie.jobs, jobId))();
        await expect(late).rejects.toMatchObject({ code: "LEASE_LOST" });
      }

      expect(await jobs.getJobsByWorkflowRun("run")).toEqual(before);
      const notes = await persistence.listAnnotations("run", { key: "job.late-result" });
      const outcome = { complete: "completed", fail: "failed", suspend: "suspended" }[method];
      expect(notes).toMatchObject([
        { attempt: 1, actorId: "zombie", value: { jobId, attempt: 1, ownedByAttempt: 2, outcome } },
      ]);
      await owner.jobs.complete(jobId);
      expect(await jobs.jobStats()).toMatchObject({ due: 0, leased: 0 });
    },
  );

  it("whose run does not exist leaves a log", async () => {
    const dispatch = new Dispatch();
    const jobId = await dispatch.connect().jobs.enqueue({ ...JOB, stageId: "s" });
    const zombie = dispatch.connect("zombie");
    await zombie.jobs.dequeue();
    dispatch.now += LONG_MS;
    await dispatch.sweep();
    await dispatch.connect().jobs.dequeue();
    expect(await zombie.jobs.completeMany([jobId])).toEqual([{ jobId, outcome: "lease-lost" }]);
    const logs = await dispatch.rows("logs");
    expect(logs).toMatchObject([{ level: "WARN", workflow_run_id: "run" }]);
  });

  it("that adopted its delivery on another connection is refused just the same", async () => {
    const dispatch = new Dispatch();
    const jobId = await dispatch.connect().jobs.enqueue({ ...JOB, stageId: "s" });
    const delivery = await dispatch.connect().jobs.dequeue();
    const elsewhere = dispatch.connect("elsewhere");
    elsewhere.jobs.adopt(delivery ?? { jobId, attempt: 0 });
    dispatch.now += LONG_MS;
    await dispatch.sweep();
    await dispatch.connect().jobs.dequeue();
    const late = (async () => elsewhere.jobs.complete(jobId))();
    await expect(late).rejects.toMatchObject({ code: "LEASE_LOST" });
  });
});

describe("the consumer", () => {
  it("renews the lease of a job that takes longer than it", async () => {
    const dispatch = new Dispatch({ vars: { LEASE_MS: 1_000, HEARTBEAT_MS: 100 } });
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "slow" });
    const started = Date.now();
    const offset = dispatch.now - started;
    const clock = setInterval(() => (dispatch.now = Date.now() + offset), 20);
    let released = 0;
    try {
      const working = dispatch.deliver(
        handling(async () => {
          await pause(1_600);
          return COMPLETED;
        }),
        1,
      );
      for (let tick = 0; tick < 7; tick += 1) {
        await pause(200);
        released += (await dispatch.sweep()).releasedLeases;
      }
      expect(await working).toMatchObject({ completed: 1 });
    } finally {
      clearInterval(clock);
    }
    expect(released).toBe(0);
    expect(Date.now() - started).toBeGreaterThan(1_000);
  });

  it("tells the handler by its signal when the lease is lost, and takes no result", async () => {
    const dispatch = new Dispatch({ vars: { LEASE_MS: 1_000, HEARTBEAT_MS: 100 } });
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "slow" });
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const working = dispatch.deliver(
      handling(async (_job, context) => {
        resolve();
        await new Promise((done) => context?.signal.addEventListener("abort", done));
        return COMPLETED;
      }),
      1,
    );
    await begun;
    await dispatch.connect().jobs.releaseStaleJobs(-1);
    expect(await dispatch.connect().jobs.dequeue()).toMatchObject({ attempt: 2 });
    expect(await working).toMatchObject({ claimed: 1, completed: 0, lost: 1, acked: 1 });
    expect(await jobs.getJobsByWorkflowRun("run")).toMatchObject([
      { status: "RUNNING", attempt: 2 },
    ]);
  });

  it("gives up a handler that does not answer in time, and does not abort one that does", async () => {
    const dispatch = new Dispatch({ vars: { HANDLER_TIMEOUT_MS: 100 } });
    const { jobs } = dispatch.connect();
    await jobs.enqueueParallel(["slow", "fast"].map((stageId) => ({ ...JOB, stageId })));
    const signals = new Map<string, AbortSignal | undefined>();
    const consumed = await dispatch.deliver(
      handling(async ({ stageId }, context) => {
        signals.set(stageId, context?.signal);
        if (stageId === "slow") await new Promise(() => {});
        return COMPLETED;
      }),
      2,
    );
    expect(consumed).toMatchObject({ completed: 1, failed: 1 });
    expect(signals.get("slow")?.aborted).toBe(true);
    expect(signals.get("fast")?.aborted).toBe(false);
    const [slow] = await jobs.getJobsByWorkflowRun("run");
    expect(slow).toMatchObject({
      status: "PENDING",
      lastError: "Error: The handler did not answer within 100 ms",
    });
  });

  it.each<[string, unknown, string]>([
    ["nothing", undefined, "no outcome"],
    ["an unknown status", { status: "fine" }, "no outcome"],
    ["an instant that is none", { status: "suspended", until: new Date(Number.NaN) }, "no outcome"],
    ["settled, which it is not", { status: "settled" }, "it has not"],
    ["an error of a megabyte", { status: "failed", error: "é".repeat(1_000_000) }, "(shortened)"],
  ])("takes an answer that is %s for a failure", async (_what, answer, told) => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "s" });
    const consumed = await dispatch.deliver(
      handling(async () => answer as JobOutcome),
      1,
    );
    expect(consumed).toMatchObject({ failed: 1, acked: 1 });
    const [job] = await jobs.getJobsByWorkflowRun("run");
    expect(job?.status).toBe("PENDING");
    expect(job?.lastError).toContain(told);
  });

  it("hands messages back when its claim fails, and acks them when nothing is due", async () => {
    const dispatch = new Dispatch();
    expect(
      await dispatch.deliver(
        handling(async () => COMPLETED),
        3,
      ),
    ).toMatchObject({ acked: 3, retried: 0 });
    const away = {
      prepare: () => ({ bind: () => ({}) }),
      batch: () => Promise.reject(new Error("D1_ERROR: Network connection lost.")),
    };
    const store = dispatch.over(away as unknown as D1Database);
    const handed = await dispatch.deliver(
      handling(async () => COMPLETED),
      3,
      store,
    );
    expect(handed).toMatchObject({ acked: 0, retried: 3, claimed: 0 });
  });

  it("gives a suspended job to the handler again, without counting it as a failure", async () => {
    const dispatch = new Dispatch();
    const { jobs } = dispatch.connect();
    await jobs.enqueue({ ...JOB, stageId: "poll", maxAttempts: 1 });
    const attempts: number[] = [];
    const polling = handling(async ({ attempt }) => {
      attempts.push(attempt);
      return attempt < 5 ? { status: "suspended", until: dispatch.now + 30_000 } : COMPLETED;
    });
    dispatch.outbox.take();
    let wakeUps = [{ delaySeconds: 0 }];
    while (wakeUps.length > 0) {
      dispatch.now += (wakeUps[0]?.delaySeconds ?? 0) * 1_000;
      await dispatch.deliver(polling, 1);
      wakeUps = dispatch.outbox.take();
    }
    expect(attempts).toEqual([1, 2, 3, 4, 5]);
    expect(await jobs.getJobsByWorkflowRun("run")).toMatchObject([
      { status: "COMPLETED", attempt: 5 },
    ]);
  });
});
