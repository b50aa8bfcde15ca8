import { expect } from "vitest";
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
  upTo,
} from "./support.ts";

async function dequeueAll(backend: ConformanceBackend): Promise<string[]> {
  const ids: string[] = [];
  // No test has more jobs: an adapter that gives out a job again fails instead of going on.
  while (ids.length < 1_000) {
    const job = await backend.jobs.dequeue();
    if (job === null) return ids;
    ids.push(job.jobId);
  }
  throw new Error("Deliveries do not come to an end");
}

/** enqueue, enqueueParallel, dequeue, getJobsByWorkflowRun. */
export function jobs(test: Test): void {
  test("enqueue fills in every default", async ({ a, b }) => {
    const id = await a.jobs.enqueue(aJob("run-1"));

    const stored = await b.jobs.getJobsByWorkflowRun("run-1");
    const { createdAt } = at(stored, 0);
    expect(stored).toEqual([
      {
        id,
        createdAt,
        updatedAt: createdAt,
        workflowRunId: "run-1",
        workflowId: "invoices",
        stageId: "extract",
        status: "PENDING",
        priority: 5,
        workerId: null,
        lockedAt: null,
        startedAt: null,
        completedAt: null,
        attempt: 0,
        maxAttempts: 3,
        lastError: null,
        nextPollAt: null,
        payload: {},
      },
    ]);
    expect(createdAt).toBeInstanceOf(Date);
  });

  test("enqueue stores what it is given", async ({ a }) => {
    const scheduledFor = fromNow(AN_HOUR_MS);
    const payload = { config: { strict: true }, _workflowId: "kept", "": [] };

    const id = await a.jobs.enqueue(aJob("run-1", { priority: 0, payload, scheduledFor }));

    expect(await theJob(a, "run-1", id)).toMatchObject({
      priority: 0,
      payload,
      nextPollAt: scheduledFor,
      workflowId: "invoices",
    });
  });

  test("jobs never look at runs, and one stage may have several", async ({ a }) => {
    const one = await a.jobs.enqueue(aJob("nobody"));
    const two = await a.jobs.enqueue(aJob("nobody"));

    expect(one).not.toBe(two);
    expect(await a.jobs.getJobsByWorkflowRun("nobody")).toHaveLength(2);
  });

  test("enqueueParallel returns ids in the order of the inputs", async ({ a, b }) => {
    const stageIds = upTo(40).map((n) => `stage-${(n * 7) % 41}`);

    const ids = await a.jobs.enqueueParallel(
      stageIds.map((stageId) => aJob("run-1", { stageId, payload: { stageId } })),
    );

    const stored = await b.jobs.getJobsByWorkflowRun("run-1");
    expect(stored.map((job) => job.id)).toEqual(ids);
    expect(stored.map((job) => job.stageId)).toEqual(stageIds);
    expect(stored.map((job) => job.payload)).toEqual(stageIds.map((stageId) => ({ stageId })));
  });

  test("enqueueParallel of nothing returns nothing", async ({ a }) => {
    expect(await a.jobs.enqueueParallel([])).toEqual([]);
    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("enqueueParallel keeps jobs back that are scheduled for later", async ({ a }) => {
    const scheduledFor = fromNow(AN_HOUR_MS);

    const [later, now] = await a.jobs.enqueueParallel([
      aJob("run-1", { scheduledFor }),
      aJob("run-2"),
    ]);

    expect(await dequeueAll(a)).toEqual([now]);
    expect((await theJob(a, "run-1", present(later))).nextPollAt).toEqual(scheduledFor);
  });

  test("enqueueParallel enqueues all jobs or none", async ({ a }) => {
    const jobsOfOneCall = [aJob("run-1"), aJob("run-1", { payload: { culprit: 1n } })];

    await expectCode(a.jobs.enqueueParallel(jobsOfOneCall), "INVALID_ARGUMENT");

    expect(await a.jobs.getJobsByWorkflowRun("run-1")).toEqual([]);
  });

  test("dequeue returns null when nothing is due", async ({ a }) => {
    expect(await a.jobs.dequeue()).toBeNull();
    await a.jobs.enqueue(aJob("run-1", { scheduledFor: fromNow(AN_HOUR_MS) }));
    expect(await a.jobs.dequeue()).toBeNull();
  });

  test("dequeue returns what a worker needs to know", async ({ a, b }) => {
    const payload = { config: { strict: [true, null] }, text: "🙂" };
    const id = await a.jobs.enqueue(aJob("run-1", { priority: 7, payload }));

    expect(await b.jobs.dequeue()).toEqual({
      jobId: id,
      workflowRunId: "run-1",
      workflowId: "invoices",
      stageId: "extract",
      priority: 7,
      attempt: 1,
      maxAttempts: 3,
      payload,
    });
  });

  test("dequeue gives an empty payload where none was enqueued", async ({ a }) => {
    expect(await deliver(a, aJob("run-1"))).toMatchObject({ payload: {} });
  });

  test("dequeue locks the job for its worker", async ({ a, b }) => {
    await b.jobs.enqueue(aJob("run-1"));
    const before = at(await b.jobs.getJobsByWorkflowRun("run-1"), 0);
    await nap();

    const { jobId } = present(await a.jobs.dequeue());

    const job = await theJob(b, "run-1", jobId);
    expect(job).toEqual({
      ...before,
      status: "RUNNING",
      attempt: 1,
      workerId: "worker-a",
      lockedAt: job.lockedAt,
      startedAt: job.lockedAt,
      updatedAt: job.updatedAt,
    });
    expect(present(job.lockedAt).getTime()).toBeGreaterThan(before.createdAt.getTime());
    expect(await b.jobs.dequeue()).toBeNull();
  });

  test("dequeue serves the highest priority first, then the oldest", async ({ a, b }) => {
    const priorities = [5, 1, 10, 0, 5, 100, 10];
    const ids: string[] = [];
    for (const priority of priorities) ids.push(await a.jobs.enqueue(aJob("r", { priority })));

    expect(await dequeueAll(b)).toEqual([5, 2, 6, 0, 4, 1, 3].map((index) => at(ids, index)));
  });

  test("dequeue serves jobs of one call in the order of the inputs", async ({ a }) => {
    const ids = await a.jobs.enqueueParallel(upTo(12).map((n) => aJob(`run-${n % 3}`)));

    expect(await dequeueAll(a)).toEqual(ids);
  });

  test("dequeue serves the default priority like one of five", async ({ a }) => {
    const low = await a.jobs.enqueue(aJob("run-1", { priority: 4 }));
    const unset = await a.jobs.enqueue(aJob("run-1"));
    const high = await a.jobs.enqueue(aJob("run-1", { priority: 6 }));

    expect(await dequeueAll(a)).toEqual([high, unset, low]);
  });

  test("a job that is scheduled for the past is due", async ({ a }) => {
    const job = await deliver(a, aJob("run-1", { scheduledFor: INSTANT }));

    expect(await theJob(a, "run-1", job.jobId)).toMatchObject({
      status: "RUNNING",
      nextPollAt: INSTANT,
    });
  });

  test("a job that is scheduled for later lets lower priorities pass", async ({ a }) => {
    await a.jobs.enqueue(aJob("run-1", { priority: 10, scheduledFor: fromNow(AN_HOUR_MS) }));
    const low = await a.jobs.enqueue(aJob("run-1", { priority: 1 }));

    expect(await dequeueAll(a)).toEqual([low]);
  });

  test("scheduledFor may be an ISO string or milliseconds", async ({ a }) => {
    const later = fromNow(AN_HOUR_MS);

    const ids = await a.jobs.enqueueParallel([
      aJob("run-1", { scheduledFor: forced(later.toISOString()) }),
      aJob("run-1", { scheduledFor: forced(later.getTime()) }),
    ]);

    expect(await a.jobs.dequeue()).toBeNull();
    const stored = await a.jobs.getJobsByWorkflowRun("run-1");
    expect(stored.map((job) => [job.id, job.nextPollAt])).toEqual(ids.map((id) => [id, later]));
  });

  test("dequeue does not look at the status of the run", async ({ a }) => {
    const run = await a.persistence.createRun({
      workflowId: "w",
      workflowName: "w",
      workflowType: "w",
      input: null,
    });
    await a.persistence.updateRun(run.id, { status: "CANCELLED" });

    expect(await deliver(a, aJob(run.id))).toMatchObject({ workflowRunId: run.id });
  });

  test("attempts count deliveries", async ({ a }) => {
    const first = await deliver(a, aJob("run-1"));
    const second = await redeliver(a);
    const third = await redeliver(a);

    expect([first.attempt, second.attempt, third.attempt]).toEqual([1, 2, 3]);
    expect(new Set([first.jobId, second.jobId, third.jobId]).size).toBe(1);
  });

  test("getJobsByWorkflowRun lists every status in the order of enqueueing", async ({ a }) => {
    const { jobs: queue } = a;
    const ids = await queue.enqueueParallel(
      upTo(5).map((n) => aJob("run-1", { priority: n === 5 ? 0 : 10 - n })),
    );
    await queue.enqueue(aJob("run-2", { priority: 0 }));
    for (const _ of upTo(4)) await queue.dequeue();
    await queue.complete(at(ids, 0));
    await queue.suspend(at(ids, 1), INSTANT);
    await queue.fail(at(ids, 2), "no");

    const stored = await queue.getJobsByWorkflowRun("run-1");

    expect(stored.map((job) => job.id)).toEqual(ids);
    expect(stored.map((job) => job.status)).toEqual([
      "COMPLETED",
      "SUSPENDED",
      "FAILED",
      "RUNNING",
      "PENDING",
    ]);
  });

  test("getJobsByWorkflowRun is empty for a run without jobs", async ({ a }) => {
    await a.jobs.enqueue(aJob("run-10"));

    expect(await a.jobs.getJobsByWorkflowRun("run-1")).toEqual([]);
  });
}
