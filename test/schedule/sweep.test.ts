import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { AutoCommit } from "../../src/persistence/auto-commit.ts";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import { createWaker, dispatchSettings } from "../../src/queue/index.ts";
import { sweep, type SweepStep } from "../../src/schedule/index.ts";
import { SWEEP_STEPS } from "../../src/schedule/sweep.ts";
import { D1Store } from "../../src/store/index.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { DAY_MS, MINUTE_MS, NOW, type Part, World } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { addCommitRecord, addJobs, addStages, eventOf, RUN, suspendAsAnswered } from "./support.ts";

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

async function statusesOf(part: Part, run: string): Promise<Record<string, number>> {
  const jobs = await part.backend.jobs.getJobsByWorkflowRun(run);
  const byStatus = Map.groupBy(jobs, ({ status }) => status);
  return Object.fromEntries([...byStatus].map(([status, list]) => [status, list.length]));
}

const never = () => new Promise<never>(() => {});

/** Something to do for every step. */
async function busy(): Promise<{ world: World; part: Part }> {
  const world = new World();
  const part = world.part();
  const { persistence, jobs } = part.backend;
  await addCommitRecord(NOW - 2 * DAY_MS);
  await persistence.acquireIdempotencyKey("old", "c", { now: new Date(NOW - 40 * DAY_MS) });
  await persistence.createRun({ ...RUN, id: "waits" });
  await persistence.appendOutboxEvents([eventOf("waits", 1)]);
  // A lease that expires, a job that fails for good, and one that is suspended.
  await addJobs(part, "leased", 1);
  await jobs.dequeue();
  await addStages(part, "failing", 1, { suspendedUntil: null });
  const [failing = ""] = await addJobs(part, "failing", 1);
  await jobs.fail(failing, "never");
  const [suspended = ""] = await addJobs(part, "suspended", 1);
  await suspendAsAnswered(part, suspended, NOW + MINUTE_MS);
  await addStages(part, "polled", 1, { suspendedUntil: NOW + MINUTE_MS - UNPOLLED_MS });
  world.pass(6 * MINUTE_MS);
  await addJobs(part, "overdue", 1);
  world.pass(6_000);
  part.queue.take();
  return { world, part };
}

describe("one tick", () => {
  it("does the work that is due, tells what it did and found, and sends the wake-ups", async () => {
    const { world, part } = await busy();
    expect(await world.sweep(part)).toEqual({
      releasedLeases: 1,
      resumedJobs: 1,
      dispatchedStages: 1,
      waitingRuns: 1,
      unhandledFailures: 1,
      // The one that has lost its permit, and the two that the tick has made claimable and given theirs.
      overdueJobs: 3,
      permits: 1,
      waitingEvents: 1,
      purged: 1,
      failed: [],
    });
    expect(await statusesOf(part, "leased")).toEqual({ PENDING: 1 });
    expect(await statusesOf(part, "suspended")).toEqual({ PENDING: 1 });
    expect(await statusesOf(part, "polled")).toEqual({ PENDING: 1 });
    const kinds = part.queue.messages.map(({ body }) => body.kind);
    expect(kinds).toEqual(expect.arrayContaining(["runs", "failures", "outbox"]));
    expect(kinds.filter((kind) => kind === "jobs")).toHaveLength(4);
    const again = await world.sweep(part);
    expect(again).toMatchObject({
      releasedLeases: 0,
      resumedJobs: 0,
      dispatchedStages: 0,
      purged: 0,
    });
  });

  it("does nothing to a database with nothing in it", async () => {
    const world = new World();
    const part = world.part();
    const report = await world.sweep(part);
    const { failed, ...figures } = report;
    expect(failed).toEqual([]);
    expect(Object.values(figures).every((figure) => figure === 0)).toBe(true);
    expect(part.queue.messages).toEqual([]);
  });

  const STATEMENTS: Readonly<Record<SweepStep, RegExp>> = {
    leases: /"jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" < \?/,
    jobs: /count\(\*\).*"jobs_resume_idx"/,
    stages: /"stages_attend_idx"/,
    runs: /count\(\*\).*"runs_status_idx" WHERE "status" = 'PENDING'/,
    failures: /"jobs_hand_over_idx"/,
    permits: /count\(\*\).*"jobs_ready_keyed_idx"/,
    outbox: /count\(\*\).*"outbox_events/,
    purge: /"idempotency_keys"/,
  };
  it.each(Object.entries(STATEMENTS))(
    "goes on when its step %s fails, whose work is left to the next one",
    async (step, statement) => {
      const logged = vi.spyOn(console, "error").mockImplementation(() => {});
      const { world, part } = await busy();
      const whole = await world.sweep(part);
      await emptyDatabase();
      const { world: other, part: failing } = await busy();
      failing.d1.restart(({ statements }) =>
        statements.some((sql) => statement.test(sql))
          ? { kind: "before", message: "D1_ERROR: no such column: SQLITE_ERROR" }
          : null,
      );
      const report = await other.sweep(failing);
      expect(report.failed).toEqual([step]);
      expect(failing.d1.calls.some(({ fault }) => fault !== null)).toBe(true);
      expect(logged.mock.calls[0]?.slice(0, 2)).toEqual(["wfe-sweep-step-failed", step]);
      logged.mockRestore();
      const differing = Object.keys(whole).filter(
        (key) => JSON.stringify(whole[key as never]) !== JSON.stringify(report[key as never]),
      );
      expect(differing.toSorted()).toEqual(DIFFERS[step as SweepStep].toSorted());
      failing.d1.restart();
      expect((await other.sweep(failing)).failed).toEqual([]);
    },
  );

  it("gives up every step that hangs", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { world, part } = await busy();
    part.d1.restart(() => ({ kind: "hang" }));
    const report = await world.sweep(part, { stepDeadlineMs: 20 });
    expect(report.failed).toEqual(SWEEP_STEPS);
    expect(logged).toHaveBeenCalledTimes(SWEEP_STEPS.length);
    logged.mockRestore();
  });

  it("goes on when the queue takes nothing and tells nothing, and does what the rows call for", async () => {
    const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { world, part } = await busy();
    const queue = { sendBatch: never, metrics: never };
    const waker = createWaker(queue, 20);
    const report = await sweep({
      store: new D1Store(part.d1.db, { now: () => world.now }),
      settings: dispatchSettings(world.vars),
      waker,
      queue,
      handler: {
        embedded: true,
        handler: { handleJob: never, claimRuns: never, publishEvents: never },
      },
      metricsDeadlineMs: 20,
    });
    logged.mockRestore();
    expect(report).toMatchObject({ releasedLeases: 1, resumedJobs: 1, permits: 0, purged: 1 });
    expect(report).toMatchObject({ waitingRuns: 1, unhandledFailures: 1, waitingEvents: 1 });
    expect(report.failed).toEqual([]);
  });

  /** The figures that differ when a step has failed: its own, and those of the jobs that it would have made ready. */
  const DIFFERS: Readonly<Record<SweepStep, string[]>> = {
    leases: ["failed", "releasedLeases", "overdueJobs"],
    jobs: ["failed", "resumedJobs", "overdueJobs"],
    stages: ["failed", "dispatchedStages"],
    runs: ["failed", "waitingRuns"],
    failures: ["failed", "unhandledFailures"],
    permits: ["failed", "overdueJobs", "permits"],
    outbox: ["failed", "waitingEvents"],
    purge: ["failed", "purged"],
  };

  it("fails in every step while D1 is away, sends nothing, and the next one does all", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { world, part } = await busy();
    part.d1.restart(() => D1_FAULTS.before);
    const report = await world.sweep(part);
    expect(report.failed).toHaveLength(8);
    expect(part.queue.messages).toEqual([]);
    part.d1.restart();
    expect(await world.sweep(part)).toMatchObject({
      releasedLeases: 1,
      resumedJobs: 1,
      failed: [],
    });
    vi.restoreAllMocks();
  });
});

describe("a tick is bounded, and the next one goes on:", () => {
  /** Whose jobs are PENDING, by the instants for which they were suspended, in minutes. */
  async function resumedOf(part: Part, run: string): Promise<number[]> {
    const jobs = await part.backend.jobs.getJobsByWorkflowRun(run);
    return jobs
      .filter(({ status }) => status === "PENDING")
      .map(({ nextPollAt }) => ((nextPollAt?.getTime() ?? 0) - NOW) / 1_000)
      .toSorted((a, b) => a - b);
  }

  it("250 suspended jobs are resumed in three ticks, in the order in which they are due", async () => {
    const world = new World();
    const part = world.part();
    const ids = await addJobs(part, "r", 250);
    // The last one is due first.
    const settlings = ids.map((jobId, index) => ({
      jobId,
      outcome: { status: "suspended", until: NOW + (250 - index) * 1_000 } as const,
    }));
    const direct = new AutoCommit(part.store);
    await new ConsumerJobs({ direct, workerId: null }).settleMany(settlings);
    world.pass(5 * MINUTE_MS);
    const resumed: number[] = [];
    for (const [tick, total] of [100, 200, 250, 250].entries()) {
      resumed.push((await world.sweep(part)).resumedJobs);
      const seconds = Array.from({ length: total }, (_, index) => index + 1);
      expect(await resumedOf(part, "r"), `tick ${tick}`).toEqual(seconds);
    }
    expect(resumed).toEqual([100, 100, 50, 0]);
  });

  it("250 suspended stages are dispatched in the order in which they are due, not kept back by those of finished runs", async () => {
    const world = new World();
    const part = world.part();
    await addStages(part, "over", 300, { suspendedUntil: NOW - MINUTE_MS - UNPOLLED_MS });
    await part.backend.persistence.updateRun("over", { status: "CANCELLED" });
    await addStages(part, "live", 250, {
      suspendedUntil: NOW + MINUTE_MS - UNPOLLED_MS,
      descending: true,
    });
    world.pass(10 * MINUTE_MS);
    expect(await world.sweep(part)).toMatchObject({ dispatchedStages: 250, failed: [] });
    const jobs = await part.backend.jobs.getJobsByWorkflowRun("live");
    const last = Array.from({ length: 250 }, (_, index) => String(249 - index));
    expect(jobs.map(({ stageId }) => stageId)).toEqual(last);
    expect((await world.sweep(part)).dispatchedStages).toBe(0);
    expect(await part.backend.jobs.getJobsByWorkflowRun("over")).toEqual([]);
    expect(await part.backend.audit()).toEqual([]);
  });

  it("600 expired leases are ended in two ticks", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 600);
    for (let page = 0; page < 6; page += 1) await part.backend.jobs.dequeueMany(100);
    world.pass(5 * MINUTE_MS + 1);
    expect((await world.sweep(part)).releasedLeases).toBe(500);
    expect(await statusesOf(part, "r")).toEqual({ PENDING: 500, RUNNING: 100 });
    expect((await world.sweep(part)).releasedLeases).toBe(100);
  });

  it("1,200 overdue jobs get 1,000 permits, in chunks of 100", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 1_200);
    world.pass(5_001);
    part.queue.take();
    expect(await world.sweep(part)).toMatchObject({ overdueJobs: 1_000, permits: 1_000 });
    expect(part.queue.batches.map(({ length }) => length)).toEqual(Array(10).fill(100));
  });
});

describe("permits for jobs that are due", () => {
  async function overdue(count: number) {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", count);
    part.queue.take();
    world.pass(5_000);
    return { world, part };
  }

  it("are sent when they have been due for five seconds, not before", async () => {
    const { world, part } = await overdue(3);
    world.pass(-1);
    expect(await world.sweep(part)).toMatchObject({ overdueJobs: 0, permits: 0 });
    world.pass(1);
    expect(await world.sweep(part)).toMatchObject({ overdueJobs: 3, permits: 3 });
  });

  it.each([
    [50, 0, 50],
    [50, 20, 30],
    [50, 45, 10],
    [50, 10_000, 10],
    [3, 10_000, 3],
    [50, null, 50],
  ])("%i due jobs, a backlog of %j: %i permits", async (due, backlog, permits) => {
    const { world, part } = await overdue(due);
    part.queue.backlogCount = backlog;
    expect(await world.sweep(part)).toMatchObject({ overdueJobs: due, permits, failed: [] });
    expect(part.queue.messages).toHaveLength(permits);
  });

  it("are none where there is no queue, or it takes none; the jobs are counted all the same", async () => {
    const { world, part } = await overdue(3);
    expect(await world.sweep(part, { wakes: false })).toMatchObject({ overdueJobs: 3, permits: 0 });
    expect(part.queue.messages).toEqual([]);
    part.queue.mode = "throws";
    expect(await world.sweep(part)).toMatchObject({ overdueJobs: 3, permits: 0, failed: [] });
  });
});

describe("suspended jobs and stages are left to be polled", () => {
  it("when nobody is to resume them; all other steps go on", async () => {
    const { world, part } = await busy();
    const report = await world.sweep(part, { handler: null });
    expect(report).toMatchObject({ releasedLeases: 1, resumedJobs: 0, dispatchedStages: 0 });
    expect(await statusesOf(part, "suspended")).toEqual({ SUSPENDED: 1 });
    expect(await statusesOf(part, "polled")).toEqual({});
    expect(await part.backend.jobs.getSuspendedJobsReadyToPoll()).toHaveLength(1);
  });
});

describe("two ticks at once", () => {
  it("do nothing twice", async () => {
    const { world, part } = await busy();
    const parts = [part, world.part(), world.part()];
    const reports = await Promise.all(parts.map((each) => world.sweep(each)));
    expect(reports.map(({ failed }) => failed)).toEqual([[], [], []]);
    expect(reports.reduce((sum, { releasedLeases }) => sum + releasedLeases, 0)).toBe(1);
    for (const run of ["leased", "suspended", "polled", "overdue"]) {
      expect(await statusesOf(part, run)).toEqual({ PENDING: 1 });
    }
    const [suspended] = await part.backend.jobs.getJobsByWorkflowRun("suspended");
    expect(suspended).toMatchObject({ attempt: 0, maxAttempts: 4 });
  });
});
