import { expect } from "vitest";
import type { JobQueue } from "../../contract/index.ts";
import type { ConformanceBackend, Test } from "./harness.ts";
import {
  aJob,
  AN_HOUR_MS,
  at,
  deliver,
  expectCode,
  forced,
  fromNow,
  INSTANT,
  nap,
  present,
  redeliver,
  theJob,
} from "./support.ts";

const RUN = "run-1";

/** How far the clocks of the test and of the service may lie apart. */
const SKEW_MS = 900;

function expectBackoff(nextPollAt: Date | null, ms: number): void {
  const wait = present(nextPollAt).getTime() - Date.now();
  expect(wait).toBeGreaterThan(ms - SKEW_MS);
  expect(wait).toBeLessThan(ms + SKEW_MS);
}

/** The calls that settle a job, each as a worker makes it. */
const SETTLEMENTS: Readonly<
  Record<string, (queue: Required<JobQueue>, jobId: string) => Promise<void>>
> = {
  complete: (queue, jobId) => queue.complete(jobId),
  suspend: (queue, jobId) => queue.suspend(jobId, INSTANT),
  fail: (queue, jobId) => queue.fail(jobId, "late"),
  "fail with a retry": (queue, jobId) => queue.fail(jobId, "late", true),
};

/** Brings a job of the run into a state in which nothing can happen to it any more. */
const ENDINGS: Readonly<Record<string, (backend: ConformanceBackend) => Promise<string>>> = {
  COMPLETED: async (backend) => {
    const { jobId } = await deliver(backend, aJob(RUN));
    await backend.jobs.complete(jobId);
    return jobId;
  },
  FAILED: async (backend) => {
    const { jobId } = await deliver(backend, aJob(RUN));
    await backend.jobs.fail(jobId, "first");
    return jobId;
  },
  CANCELLED: async (backend) => {
    const jobId = await backend.jobs.enqueue(aJob(RUN));
    await backend.jobs.cancelByRun(RUN);
    return jobId;
  },
};

/** complete, suspend, fail, cancelByRun, getSuspendedJobsReadyToPoll. */
export function jobOutcomes(test: Test): void {
  test("complete ends a job and keeps who worked on it", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const before = await theJob(a, RUN, jobId);

    expect(await a.jobs.complete(jobId)).toBeUndefined();

    const job = await theJob(a, RUN, jobId);
    expect(job).toEqual({
      ...before,
      status: "COMPLETED",
      completedAt: job.completedAt,
      updatedAt: job.updatedAt,
    });
    expect(job.completedAt).toBeInstanceOf(Date);
    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("complete accepts pending and suspended jobs", async ({ a, b }) => {
    const pending = await a.jobs.enqueue(aJob(RUN, { priority: 0 }));
    const { jobId: suspended } = await deliver(a, aJob(RUN));
    await a.jobs.suspend(suspended, INSTANT);

    await b.jobs.complete(pending);
    await b.jobs.complete(suspended);

    const statuses = (await a.jobs.getJobsByWorkflowRun(RUN)).map((job) => job.status);
    expect(statuses).toEqual(["COMPLETED", "COMPLETED"]);
    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("suspend gives up the lease until the poll", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const before = await theJob(a, RUN, jobId);
    const nextPollAt = fromNow(AN_HOUR_MS);

    expect(await a.jobs.suspend(jobId, nextPollAt)).toBeUndefined();

    const job = await theJob(a, RUN, jobId);
    expect(job).toEqual({
      ...before,
      status: "SUSPENDED",
      nextPollAt,
      workerId: null,
      lockedAt: null,
      updatedAt: job.updatedAt,
    });
  });

  test("suspend takes an ISO string and milliseconds too", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));

    await a.jobs.suspend(jobId, forced("2025-03-04T05:06:07.089Z"));
    expect((await theJob(a, RUN, jobId)).nextPollAt).toEqual(INSTANT);

    await a.jobs.suspend(jobId, forced(INSTANT.getTime() + 1));
    expect((await theJob(a, RUN, jobId)).nextPollAt).toEqual(new Date(INSTANT.getTime() + 1));
  });

  test("a suspended job is not dequeued, even when its poll is due", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await a.jobs.suspend(jobId, INSTANT);

    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("getSuspendedJobsReadyToPoll lists suspended jobs whose poll is due", async ({ a, b }) => {
    const due = await deliver(a, aJob(RUN, { stageId: "due" }));
    await a.jobs.suspend(due.jobId, INSTANT);
    const later = await deliver(a, aJob(RUN, { stageId: "later" }));
    await a.jobs.suspend(later.jobId, fromNow(AN_HOUR_MS));
    const done = await deliver(a, aJob(RUN, { stageId: "done" }));
    await a.jobs.suspend(done.jobId, INSTANT);
    await a.jobs.complete(done.jobId);
    await a.jobs.enqueue(aJob(RUN, { stageId: "pending", scheduledFor: INSTANT }));

    expect(await b.jobs.getSuspendedJobsReadyToPoll()).toEqual([
      { jobId: due.jobId, stageId: "due", workflowRunId: RUN },
    ]);
  });

  test("fail without a retry is final and keeps who worked on it", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const before = await theJob(a, RUN, jobId);

    expect(await a.jobs.fail(jobId, "no such page")).toBeUndefined();

    const job = await theJob(a, RUN, jobId);
    expect(job).toEqual({
      ...before,
      status: "FAILED",
      lastError: "no such page",
      completedAt: job.completedAt,
      updatedAt: job.updatedAt,
    });
    expect(job.completedAt).toBeInstanceOf(Date);
  });

  test("fail with shouldRetry false or undefined is final", async ({ a }) => {
    for (const shouldRetry of [false, undefined]) {
      const { jobId } = await deliver(a, aJob(RUN));
      await a.jobs.fail(jobId, "no", forced(shouldRetry));
      expect((await theJob(a, RUN, jobId)).status).toBe("FAILED");
    }
  });

  test("fail with a retry puts the job back for 2 seconds after the first attempt", async ({
    a,
  }) => {
    const { jobId } = await deliver(a, aJob(RUN));

    await a.jobs.fail(jobId, "busy", true);

    const job = await theJob(a, RUN, jobId);
    expect(job).toMatchObject({
      status: "PENDING",
      attempt: 1,
      lastError: "busy",
      workerId: null,
      lockedAt: null,
      completedAt: null,
    });
    expectBackoff(job.nextPollAt, 2_000);
    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("fail with a retry puts the job back for 4 seconds after the second attempt", async ({
    a,
  }) => {
    await deliver(a, aJob(RUN));
    const { jobId, attempt } = await redeliver(a);

    await a.jobs.fail(jobId, "busy", true);

    const job = await theJob(a, RUN, jobId);
    expect(attempt).toBe(2);
    expect(job).toMatchObject({ status: "PENDING", attempt: 2 });
    expectBackoff(job.nextPollAt, 4_000);
  });

  test("fail with a retry keeps back for 1 second a job that was never delivered", async ({
    a,
  }) => {
    const jobId = await a.jobs.enqueue(aJob(RUN));

    await a.jobs.fail(jobId, "not yet", true);

    const job = await theJob(a, RUN, jobId);
    expect(job).toMatchObject({ status: "PENDING", attempt: 0, lastError: "not yet" });
    expectBackoff(job.nextPollAt, 1_000);
  });

  test("fail with a retry is final when the attempts are used up", async ({ a }) => {
    await deliver(a, aJob(RUN));
    await redeliver(a);
    const { jobId, attempt } = await redeliver(a);

    await a.jobs.fail(jobId, "still busy", true);

    expect(attempt).toBe(3);
    expect(await theJob(a, RUN, jobId)).toMatchObject({
      status: "FAILED",
      attempt: 3,
      lastError: "still busy",
    });
  });

  test("a retry keeps the payload, the priority and the place of the job", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN, { priority: 8, payload: { page: 3 } }));
    const before = await theJob(a, RUN, jobId);

    await a.jobs.fail(jobId, "busy", true);

    expect(await theJob(a, RUN, jobId)).toMatchObject({
      priority: 8,
      payload: { page: 3 },
      createdAt: before.createdAt,
      maxAttempts: 3,
    });
  });

  test("settling an unknown job says that it was not found", async ({ a }) => {
    for (const settle of Object.values(SETTLEMENTS)) {
      await expectCode(settle(a.jobs, "nobody"), "NOT_FOUND");
    }
  });

  for (const [status, end] of Object.entries(ENDINGS)) {
    test(`complete, suspend and fail change nothing on a ${status} job`, async ({ a, b }) => {
      const jobId = await end(a);
      const before = await theJob(a, RUN, jobId);
      expect(before.status).toBe(status);
      await nap(3);

      for (const [name, settle] of Object.entries(SETTLEMENTS)) {
        await settle(a.jobs, jobId);
        await settle(b.jobs, jobId);
        expect(await theJob(a, RUN, jobId), name).toEqual(before);
      }
    });
  }

  test("cancelByRun ends pending and suspended jobs and leaves the rest", async ({ a, b }) => {
    const suspended = await deliver(a, aJob(RUN));
    await a.jobs.suspend(suspended.jobId, INSTANT);
    const completed = await deliver(a, aJob(RUN));
    await a.jobs.complete(completed.jobId);
    const running = await deliver(a, aJob(RUN));
    const waiting = [aJob(RUN), aJob(RUN, { scheduledFor: fromNow(AN_HOUR_MS) }), aJob("run-10")];
    const [pending, scheduled, other] = await a.jobs.enqueueParallel(waiting);
    const runningBefore = await theJob(a, RUN, running.jobId);

    expect(await b.jobs.cancelByRun(RUN)).toBe(3);

    const stored = await a.jobs.getJobsByWorkflowRun(RUN);
    const statuses = Object.fromEntries(stored.map((job) => [job.id, job.status]));
    expect(statuses).toEqual({
      [suspended.jobId]: "CANCELLED",
      [completed.jobId]: "COMPLETED",
      [running.jobId]: "RUNNING",
      [present(pending)]: "CANCELLED",
      [present(scheduled)]: "CANCELLED",
    });
    expect(at(stored, 0).completedAt).toBeInstanceOf(Date);
    expect(await theJob(a, RUN, running.jobId)).toEqual(runningBefore);
    expect(await a.jobs.dequeue()).toMatchObject({ jobId: other });
  });

  test("cancelByRun returns 0 when there is nothing to cancel", async ({ a }) => {
    await a.jobs.enqueue(aJob(RUN));
    await a.jobs.cancelByRun(RUN);

    expect(await a.jobs.cancelByRun(RUN)).toBe(0);
    expect(await a.jobs.cancelByRun("nobody")).toBe(0);
  });
}
