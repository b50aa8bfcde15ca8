import { expect } from "vitest";
import type { JobQueue } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import {
  aJob,
  AN_HOUR_MS,
  deliver,
  endAllLeases,
  expectCode,
  INSTANT,
  isLeaseLost,
  nap,
  outcomesOf,
  present,
  redeliver,
  theJob,
} from "./support.ts";

const RUN = "run-1";

/** Everything a worker may say about a job that it holds. */
const LEASED_CALLS: Readonly<
  Record<string, (queue: Required<JobQueue>, jobId: string) => Promise<void>>
> = {
  complete: (queue, jobId) => queue.complete(jobId),
  suspend: (queue, jobId) => queue.suspend(jobId, INSTANT),
  fail: (queue, jobId) => queue.fail(jobId, "late", true),
  touchJob: (queue, jobId) => queue.touchJob(jobId),
};

/** touchJob, releaseStaleJobs, LEASE_LOST. */
export function jobLeases(test: Test): void {
  test("touchJob extends the lease of a running job and nothing else", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const before = await theJob(a, RUN, jobId);
    await nap();

    expect(await a.jobs.touchJob(jobId)).toBeUndefined();

    const job = await theJob(a, RUN, jobId);
    const { lockedAt, updatedAt } = job;
    expect(job).toEqual({ ...before, lockedAt, updatedAt });
    expect(present(lockedAt).getTime()).toBeGreaterThan(present(before.lockedAt).getTime());
  });

  test("touchJob does nothing to a job that does not run", async ({ a, b }) => {
    const ended = await deliver(a, aJob(RUN));
    await a.jobs.complete(ended.jobId);
    const failed = await deliver(a, aJob(RUN));
    await a.jobs.fail(failed.jobId, "no");
    const retried = await deliver(a, aJob(RUN));
    await a.jobs.fail(retried.jobId, "later", true);
    const suspended = await deliver(a, aJob(RUN));
    await a.jobs.suspend(suspended.jobId, INSTANT);
    await a.jobs.enqueue(aJob(RUN));
    const before = await a.jobs.getJobsByWorkflowRun(RUN);
    await nap(3);

    for (const { id } of before) {
      await a.jobs.touchJob(id);
      await b.jobs.touchJob(id);
    }

    expect(await a.jobs.getJobsByWorkflowRun(RUN)).toEqual(before);
  });

  test("touchJob of an unknown job does nothing", async ({ a }) => {
    expect(await a.jobs.touchJob("nobody")).toBeUndefined();
  });

  test("releaseStaleJobs puts a stale job back and keeps its attempts", async ({ a, b }) => {
    const { jobId } = await deliver(a, aJob(RUN, { scheduledFor: INSTANT }));
    const before = await theJob(a, RUN, jobId);

    expect(await endAllLeases(b)).toBe(1);

    const job = await theJob(a, RUN, jobId);
    expect(job).toEqual({
      ...before,
      status: "PENDING",
      workerId: null,
      lockedAt: null,
      updatedAt: job.updatedAt,
      // It may tell of the lease.
      lastError: job.lastError,
    });
    expect(await b.jobs.dequeue()).toMatchObject({ jobId, attempt: 2 });
  });

  test("releaseStaleJobs leaves leases that are younger than the threshold", async ({ a, b }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const before = await theJob(a, RUN, jobId);

    expect(await b.jobs.releaseStaleJobs(AN_HOUR_MS)).toBe(0);
    expect(await b.jobs.releaseStaleJobs()).toBe(0);

    expect(await theJob(a, RUN, jobId)).toEqual(before);
  });

  test("releaseStaleJobs at threshold 0 takes every lease of an earlier instant", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await nap();

    expect(await a.jobs.releaseStaleJobs(0)).toBe(1);

    expect(await theJob(a, RUN, jobId)).toMatchObject({ status: "PENDING", attempt: 1 });
  });

  test("releaseStaleJobs counts what it released and leaves the rest", async ({ a, b }) => {
    const suspended = await deliver(a, aJob(RUN));
    await a.jobs.suspend(suspended.jobId, INSTANT);
    const completed = await deliver(a, aJob(RUN));
    await a.jobs.complete(completed.jobId);
    const failed = await deliver(a, aJob(RUN));
    await a.jobs.fail(failed.jobId, "no");
    await deliver(a, aJob("run-2"));
    await deliver(b, aJob("run-3"));
    await a.jobs.enqueue(aJob(RUN));
    const before = await a.jobs.getJobsByWorkflowRun(RUN);

    expect(await endAllLeases(a)).toBe(2);
    expect(await endAllLeases(a)).toBe(0);

    expect(await a.jobs.getJobsByWorkflowRun(RUN)).toEqual(before);
  });

  test("releaseStaleJobs fails a job whose attempts are used up", async ({ a }) => {
    await deliver(a, aJob(RUN));
    await redeliver(a);
    const { jobId } = await redeliver(a);

    expect(await endAllLeases(a)).toBe(1);

    expect(await theJob(a, RUN, jobId)).toMatchObject({ status: "FAILED", attempt: 3 });
    expect(await a.jobs.dequeue()).toBeNull();
    expect(await endAllLeases(a)).toBe(0);
  });

  for (const [name, call] of Object.entries(LEASED_CALLS)) {
    test(`${name} of an older delivery is LEASE_LOST and changes nothing`, async ({ a, b }) => {
      const { jobId } = await deliver(a, aJob(RUN));
      await redeliver(b);
      const before = await theJob(b, RUN, jobId);
      await nap(3);

      await expectCode(call(a.jobs, jobId), "LEASE_LOST");

      expect(await theJob(b, RUN, jobId)).toEqual(before);
      expect(before).toMatchObject({ status: "RUNNING", attempt: 2, workerId: "worker-b" });
    });

    test(`${name} of an older delivery changes nothing once a later one has ended`, async ({
      a,
      b,
    }) => {
      const { jobId } = await deliver(a, aJob(RUN));
      await redeliver(b);
      await b.jobs.complete(jobId);
      const before = await theJob(b, RUN, jobId);
      await nap(3);

      const { errors } = await outcomesOf([call(a.jobs, jobId)]);

      expect(errors.every(isLeaseLost)).toBe(true);
      expect(await theJob(b, RUN, jobId)).toEqual(before);
    });
  }

  test("the later delivery is settled although an older one tried", async ({ a, b }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await redeliver(b);
    await expectCode(a.jobs.complete(jobId), "LEASE_LOST");

    await b.jobs.touchJob(jobId);
    await b.jobs.fail(jobId, "from b");

    expect(await theJob(a, RUN, jobId)).toMatchObject({ status: "FAILED", lastError: "from b" });
  });

  test("a connection that took both deliveries settles the later one", async ({ a }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await redeliver(a);

    await a.jobs.complete(jobId);

    expect(await theJob(a, RUN, jobId)).toMatchObject({ status: "COMPLETED", attempt: 2 });
  });

  test("a connection whose lease ran out may complete while nobody else took the job", async ({
    a,
    b,
  }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await endAllLeases(b);

    await a.jobs.complete(jobId);

    expect((await theJob(a, RUN, jobId)).status).toBe("COMPLETED");
    expect(await b.jobs.dequeue()).toBeNull();
  });

  for (const [name, call] of Object.entries(LEASED_CALLS)) {
    test(`${name} works from a connection that never dequeued the job`, async ({ a, b }) => {
      const { jobId } = await deliver(a, aJob(RUN));
      await redeliver(a);
      const before = await theJob(a, RUN, jobId);
      await nap();

      await call(b.jobs, jobId);

      expect(await theJob(a, RUN, jobId)).not.toEqual(before);
    });
  }

  test("a connection needs no options", async ({ a, connect }) => {
    const nameless = await connect();

    const { jobId } = await deliver(nameless, aJob(RUN));
    await nameless.jobs.complete(jobId);

    expect(await theJob(a, RUN, jobId)).toMatchObject({ status: "COMPLETED", attempt: 1 });
  });

  test("two connections of one worker are still two connections", async ({ connect }) => {
    const one = await connect({ workerId: "the-same" });
    const two = await connect({ workerId: "the-same" });
    const { jobId } = await deliver(one, aJob(RUN));
    await redeliver(two);

    await expectCode(one.jobs.complete(jobId), "LEASE_LOST");

    expect(await theJob(two, RUN, jobId)).toMatchObject({ status: "RUNNING", attempt: 2 });
  });
}
