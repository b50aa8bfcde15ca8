import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type { HandlerContext, JobHandler, JobOutcome } from "../../src/contract/index.ts";
import { dispatchSettings, type DispatchVars } from "../../src/queue/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { MortalStore } from "./support/mortal-store.ts";
import { permits } from "./support/queue.ts";
import { MINUTE_MS, World } from "./support/world.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };
const RUN = { id: "r", workflowId: "w", workflowName: "W", workflowType: "t", input: {} };
const COMPLETED: JobOutcome = { status: "completed" };

beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function holding(more: object = {}, vars: Record<string, string | number> = {}) {
  const world = new World(vars);
  const part = world.part();
  const jobId = await part.backend.jobs.enqueue({ ...JOB, ...more });
  const job = async () => {
    const [row] = await part.backend.jobs.getJobsByWorkflowRun("r");
    return row;
  };
  return { world, part, jobId, job };
}

describe("a job that kills its worker", () => {
  it("is FAILED when it has done so as often as it may, with the reason in lastError", async () => {
    const { world, part, job } = await holding({ maxAttempts: 2 });
    for (const attempt of [1, 2]) {
      let mortal: MortalStore | undefined;
      const consumer = world.part((store) => {
        mortal = new MortalStore(store, ({ parts }) =>
          parts[0] === "completeJob" ? "before" : null,
        );
        return mortal;
      });
      void world.consume(consumer, { handleJob: async () => COMPLETED });
      await mortal?.death;
      expect(await job()).toMatchObject({ status: "RUNNING", attempt });
      world.pass(5 * MINUTE_MS + 1);
      expect(await world.sweep(part)).toMatchObject({ releasedLeases: 1, failed: [] });
    }
    expect(await job()).toMatchObject({
      status: "FAILED",
      attempt: 2,
      lastError: "The lease of attempt 2 expired, and no attempts are left",
      completedAt: new Date(world.now),
    });
    const nothing = await world.consume(part, { handleJob: async () => COMPLETED });
    expect(nothing).toMatchObject({ claimed: 0 });
  });

  it("is FAILED when its handler has thrown as often as it may, with what was thrown", async () => {
    const { world, part, job } = await holding();
    let calls = 0;
    const handleJob = async () => {
      calls += 1;
      throw new RangeError(`call ${calls}`);
    };
    for (const wait of [2_000, 4_000, 0]) {
      await world.consume(part, { handleJob });
      if (wait > 0) {
        expect(await job()).toMatchObject({
          status: "PENDING",
          nextPollAt: new Date(world.now + wait),
        });
      }
      world.pass(wait);
    }
    await world.consume(part, { handleJob });
    expect(calls).toBe(3);
    expect(await job()).toMatchObject({
      status: "FAILED",
      attempt: 3,
      lastError: "RangeError: call 3",
    });
  });

  it("has its one attempt back when the handler suspended it before it threw", async () => {
    const { world, part, job, jobId } = await holding({ maxAttempts: 1 });
    const until = new Date(world.now + MINUTE_MS);
    const handler: JobHandler = {
      handleJob: async (_, context) => {
        await context?.jobs.suspend(jobId, until);
        throw new Error("Network connection lost.");
      },
    };
    expect(await world.consume(part, handler)).toMatchObject({ settled: 1, failed: 0 });
    expect(await job()).toMatchObject({ status: "SUSPENDED", nextPollAt: until, lastError: null });
    // It suspended by itself, so it polls by itself: for an hour.
    world.pass(MINUTE_MS);
    const handleJob = async () => COMPLETED;
    expect(await world.consume(part, { handleJob })).toMatchObject({ claimed: 0 });
    world.pass(UNPOLLED_MS);
    expect(await world.consume(part, { handleJob })).toMatchObject({ claimed: 1, completed: 1 });
  });
});

describe("a worker that comes back after its lease", () => {
  async function twoAttempts() {
    await new World().part().backend.persistence.createRun(RUN);
    const held = await holding();
    const zombie = new Connection(held.part.store, { workerId: "zombie" });
    expect((await zombie.jobs.dequeue())?.attempt).toBe(1);
    held.world.pass(5 * MINUTE_MS + 1);
    await held.world.sweep(held.part);
    const owner = new Connection(held.part.store, { workerId: "owner" });
    expect((await owner.jobs.dequeue())?.attempt).toBe(2);
    return { ...held, zombie, owner };
  }

  it.each([
    ["complete", { outcome: "completed" }],
    ["suspend", { outcome: "suspended", until: "2026-01-01T00:00:00.000Z" }],
    ["fail", { outcome: "failed", error: "too late", retry: false }],
  ] as const)(
    "is LEASE_LOST when it wants to %s, changes nothing, and is kept",
    async (how, told) => {
      const { job, jobId, zombie, owner } = await twoAttempts();
      const before = await job();
      const settle = () => {
        if (how === "complete") return zombie.jobs.complete(jobId);
        if (how === "suspend") return zombie.jobs.suspend(jobId, new Date("2026-01-01"));
        return zombie.jobs.fail(jobId, "too late");
      };
      await expect(settle()).rejects.toMatchObject({ code: "LEASE_LOST" });
      await expect(settle()).rejects.toMatchObject({ code: "LEASE_LOST" });
      expect(await job()).toEqual(before);
      const late = await owner.persistence.listAnnotations("r", { key: "job.late-result" });
      expect(late).toHaveLength(1);
      expect(late[0]).toMatchObject({
        attempt: 1,
        actorId: "zombie",
        value: { jobId, attempt: 1, ownedByAttempt: 2, ...told },
      });
      await owner.jobs.complete(jobId);
      expect(await job()).toMatchObject({ status: "COMPLETED", attempt: 2 });
    },
  );

  it("writes nothing of a transaction that it wanted to settle in", async () => {
    const { jobId, zombie, owner } = await twoAttempts();
    const late = zombie.persistence.withTransaction(async (tx) => {
      await tx.updateRun("r", { output: "of the zombie" });
      await zombie.jobs.complete(jobId);
    });
    await expect(late).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect((await owner.persistence.getRun("r"))?.output).toBeNull();
    expect(await owner.persistence.listAnnotations("r")).toHaveLength(1);
  });

  it("is counted as lost by a consumer, whose handler answers when another one owns the job", async () => {
    await new World().part().backend.persistence.createRun(RUN);
    const { world, part, job } = await holding();
    const outcomes: JobOutcome[] = [COMPLETED, { status: "failed", error: "e" }];
    for (const [index, outcome] of outcomes.entries()) {
      const handleJob = async () => {
        world.pass(5 * MINUTE_MS + 1);
        await world.sweep(part);
        await new Connection(part.store).jobs.dequeue();
        if (index === 1) throw new Error("too late");
        return outcome;
      };
      const consumed = await world.consume(part, { handleJob });
      expect(consumed).toMatchObject({ claimed: 1, lost: 1, completed: 0, failed: 0 });
      world.pass(5 * MINUTE_MS + 1);
      if (index === 0) await part.backend.jobs.releaseStaleJobs();
      // Its three attempts must last.
      await part.d1.db.prepare(`UPDATE "jobs" SET "max_attempts" = 10`).run();
    }
    const late = await part.backend.persistence.listAnnotations("r", { key: "job.late-result" });
    expect(late.map(({ value }) => (value as { outcome: string }).outcome)).toEqual([
      "completed",
      "failed",
    ]);
    expect((await job())?.status).toBe("RUNNING");
  });
});

async function seconds(count: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, count * 1_000);
  });
}

describe("the heartbeat", () => {
  const SHORT = { LEASE_MS: 1_000, HEARTBEAT_MS: 200 };

  it("keeps a lease for as long as the handler works, in one commit for all jobs", async () => {
    const { world, part, job } = await holding({}, { LEASE_MS: 1_000, HEARTBEAT_MS: 100 });
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s2" });
    part.d1.restart();
    const signals: (AbortSignal | undefined)[] = [];
    const { promise: worked, resolve: finish } = Promise.withResolvers<JobOutcome>();
    const handleJob: JobHandler["handleJob"] = async (_, context) => {
      signals.push(context?.signal);
      return worked;
    };
    const consuming = world.consume(part, { handleJob }, permits(2));
    const renewals = () =>
      part.d1.calls
        .map(({ statements }) =>
          statements.filter((sql) => sql.startsWith(`UPDATE "jobs" SET "locked_at"`)),
        )
        .filter((updates) => updates.length > 0);
    const sweeper = world.part();
    for (let lease = 0; lease < 5; lease += 1) {
      const before = renewals().length;
      // One may have begun before: the second is sure to be of this instant.
      await vi.waitUntil(() => renewals().length >= before + 2, { timeout: 20_000 });
      world.pass(900);
      expect(await world.sweep(sweeper)).toMatchObject({ releasedLeases: 0, failed: [] });
    }
    finish(COMPLETED);
    expect(await consuming).toMatchObject({ claimed: 2, completed: 2, lost: 0 });
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, false]);
    expect(await job()).toMatchObject({ status: "COMPLETED", attempt: 1 });
    expect(renewals().every((updates) => updates.length === 1)).toBe(true);
  });

  it("aborts the signal when the lease is lost, and the result is not taken", async () => {
    await new World().part().backend.persistence.createRun(RUN);
    const { world, part, jobId, job } = await holding({}, SHORT);
    let context: HandlerContext | undefined;
    const { promise: aborted, resolve } = Promise.withResolvers<unknown>();
    const { promise: called, resolve: call } = Promise.withResolvers<void>();
    const consuming = world.consume(part, {
      handleJob: async (_, given) => {
        context = given;
        given?.signal.addEventListener("abort", () => {
          resolve(given.signal.reason);
        });
        call();
        await aborted;
        return COMPLETED;
      },
    });
    await called;
    expect(context?.signal.aborted).toBe(false);
    world.pass(1_001);
    await new Connection(part.store).jobs.releaseStaleJobs(1_000);
    const owner = new Connection(part.store, { workerId: "owner" });
    expect((await owner.jobs.dequeue())?.jobId).toBe(jobId);
    expect(String(await aborted)).toContain("lease is lost");
    expect(await consuming).toMatchObject({ completed: 0, lost: 1 });
    expect(await job()).toMatchObject({ status: "RUNNING", attempt: 2, workerId: "owner" });
  });

  it("that fails is tried again with the next beat", async () => {
    const { world, part } = await holding({}, SHORT);
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    let failed = 0;
    part.d1.restart(({ statements }) => {
      if (!statements.some((sql) => sql.includes(`SET "locked_at"`)) || failed >= 8) return null;
      failed += 1;
      return {
        kind: "before",
        message: "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
      };
    });
    const handleJob = async (_: unknown, context?: HandlerContext): Promise<JobOutcome> => {
      await seconds(1);
      return context?.signal.aborted === false ? COMPLETED : { status: "failed", error: "aborted" };
    };
    expect(await world.consume(part, { handleJob })).toMatchObject({ completed: 1 });
    expect(failed).toBeGreaterThan(0);
    expect(warned.mock.calls[0]?.[0]).toBe("wfe-heartbeat-failed");
  });
});

describe("a handler that takes longer than HANDLER_TIMEOUT_MS", () => {
  it("has failed, and the job is tried again; its signal tells it", async () => {
    const { world, part, job } = await holding({}, { HANDLER_TIMEOUT_MS: 100 });
    let signal: AbortSignal | undefined;
    const handleJob = async (_: unknown, context?: HandlerContext) => {
      signal = context?.signal;
      return new Promise<never>(() => {});
    };
    expect(await world.consume(part, { handleJob })).toMatchObject({ claimed: 1, failed: 1 });
    expect(await job()).toMatchObject({
      status: "PENDING",
      attempt: 1,
      lastError: "ServiceError: The handler did not answer within 100 ms",
    });
    expect(String(signal?.reason)).toContain("did not answer within 100 ms");
  });

  it("does not delay the other jobs of its batch", async () => {
    const { world, part } = await holding({}, { HANDLER_TIMEOUT_MS: 2_000 });
    await part.backend.jobs.enqueue({ ...JOB, stageId: "slow", priority: 9 });
    const handler: JobHandler = {
      handleJob: async ({ stageId }) =>
        stageId === "slow" ? new Promise<never>(() => {}) : COMPLETED,
    };
    const consumed = world.consume(part, handler, permits(2));
    // As the rows were when the other job was first seen to be completed.
    const seen = await vi.waitUntil(
      async () => {
        const jobs = await part.backend.jobs.getJobsByWorkflowRun("r");
        const status = Object.fromEntries(jobs.map((job) => [job.stageId, job.status]));
        return status["s"] === "COMPLETED" ? status : null;
      },
      { timeout: 20_000 },
    );
    expect(seen).toEqual({ s: "COMPLETED", slow: "RUNNING" });
    expect(await consumed).toMatchObject({ completed: 1, failed: 1 });
  });
});

describe("the settings", () => {
  it.each<[string, unknown]>([
    ["LEASE_MS", 999],
    ["LEASE_MS", "soon"],
    ["LEASE_MS", 86_400_001],
    ["HEARTBEAT_MS", 99],
    ["HEARTBEAT_MS", 300_000],
    ["HANDLER_TIMEOUT_MS", 840_001],
    ["HANDLER_TIMEOUT_MS", ""],
    ["RETRY_BASE_MS", -1],
    ["RETRY_CAP_MS", 1.5],
    ["RETRY_JITTER", 1.1],
    ["OVERDUE_MS", Number.NaN],
    ["RUN_WAITS_MS", "1e99"],
    ["OUTBOX_ATTEMPTS", 0],
    ["IDEMPOTENCY_KEYS_DAYS", 36_501],
    ["WAKE_UPS", "off"],
    ["WAKE_UPS", ""],
    // What Number() makes a number of, and nobody meant as one.
    ...["", " ", "0x10", "1e3", "+5", "05", "-0", "1_000", "5.0", " 5", "5 ", "\u0665", "null"].map(
      (value): [string, unknown] => ["IDEMPOTENCY_KEYS_DAYS", value],
    ),
    ...[true, false, null, [], [30], {}].map((value): [string, unknown] => ["OVERDUE_MS", value]),
    ["RETRY_CAP_MS", true],
    ["RETRY_BASE_MS", ""],
    ["RETRY_JITTER", ""],
    ["RETRY_JITTER", ".5"],
    ["RETRY_JITTER", "1.0000001"],
    ["RETRY_JITTER", true],
    ["RUN_WAITS_MS", null],
  ])("refuse %s = %j, and say what it may be", (name, value) => {
    const vars = { [name]: value } as DispatchVars;
    const shown = JSON.stringify(value).replace(/[^\w\s]/g, "\\$&");
    expect(() => dispatchSettings(vars)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(
          new RegExp(`^The setting ${name} is ${shown}: it must be \\S.{3}`),
        ),
        details: { field: name },
      }),
    );
  });

  it("repeat no more than the beginning of a long value", () => {
    const value = "9".repeat(10_000);
    expect(() => dispatchSettings({ LEASE_MS: value })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^.{100,200}$/) }),
    );
  });

  it("take numbers as text, as a Worker's variables are", () => {
    const settings = dispatchSettings({
      LEASE_MS: "60000",
      RETRY_JITTER: "0.5",
      IDEMPOTENCY_KEYS_DAYS: "0",
    });
    expect(settings).toMatchObject({ leaseMs: 60_000, heartbeatMs: 20_000, keepKeysMs: null });
    expect(settings.retry.jitter).toBe(0.5);
  });
});
