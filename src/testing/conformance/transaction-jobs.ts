import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  aJob,
  at,
  deliver,
  disturbed,
  endAllLeases,
  expectCode,
  INSTANT,
  nap,
  present,
  redeliver,
  rejection,
  seedRun,
  theJob,
  theRun,
} from "./support.ts";

const RUN = "run-1";

/** The job queue of a connection that has a transaction open. */
export function transactionJobs(test: Test): void {
  test("a job that is enqueued in a transaction is dequeued after the commit", async ({ a, b }) => {
    const ids = await a.persistence.withTransaction(async (tx) => {
      await seedRun({ ...a, persistence: tx }, { id: RUN });
      const one = await a.jobs.enqueue(aJob(RUN, { payload: { n: 1 } }));
      const more = await a.jobs.enqueueParallel([aJob(RUN), aJob(RUN)]);
      expect(await b.jobs.dequeue()).toBeNull();
      expect(await b.jobs.getJobsByWorkflowRun(RUN)).toEqual([]);
      return [one, ...more];
    });

    const dequeued = [await b.jobs.dequeue(), await b.jobs.dequeue(), await b.jobs.dequeue()];
    expect(dequeued.map((job) => job?.jobId)).toEqual(ids);
    expect(at(dequeued, 0)).toMatchObject({ payload: { n: 1 }, attempt: 1 });
  });

  test("a job that is enqueued in a transaction is gone after a rollback", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async () => {
        await a.jobs.enqueue(aJob(RUN));
        await a.jobs.enqueueParallel([aJob(RUN), aJob(RUN)]);
        throw new Error("no");
      }),
    );

    expect(await b.jobs.getJobsByWorkflowRun(RUN)).toEqual([]);
    expect(await b.jobs.dequeue()).toBeNull();
  });

  test("a job that a discarded run of the callback enqueued does not exist", async ({ a, b }) => {
    await seedRun(a, { id: RUN });

    const { result, runs } = await disturbed(
      a,
      () => b.persistence.updateRun(RUN, {}),
      async (tx, interfere) => {
        await tx.getRun(RUN);
        const id = await a.jobs.enqueue(aJob(RUN));
        await interfere();
        await tx.updateRun(RUN, { status: "RUNNING" });
        return id;
      },
    );

    expect(runs).toBe(2);
    expect(await b.jobs.getJobsByWorkflowRun(RUN)).toMatchObject([{ id: result }]);
  });

  test("a job that is enqueued in a nested transaction joins the outer one", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.withTransaction(() => a.jobs.enqueue(aJob(RUN)));
        await a.persistence.withTransaction(() => a.jobs.enqueue(aJob(RUN)));
        expect(await a.jobs.getJobsByWorkflowRun(RUN)).toHaveLength(2);
        throw new Error("no");
      }),
    );

    expect(await b.jobs.getJobsByWorkflowRun(RUN)).toEqual([]);
  });

  test("settling jobs in a transaction shows to others after the commit", async ({ a, b }) => {
    const done = await deliver(a, aJob(RUN));
    const waits = await deliver(a, aJob(RUN));
    const failed = await deliver(a, aJob(RUN));
    const retried = await deliver(a, aJob(RUN));
    const statusesSeenBy = async (backend: typeof a) =>
      (await backend.jobs.getJobsByWorkflowRun(RUN)).map((job) => job.status);
    const settled = ["COMPLETED", "SUSPENDED", "FAILED", "PENDING"];

    await a.persistence.withTransaction(async () => {
      await a.jobs.complete(done.jobId);
      await a.jobs.suspend(waits.jobId, INSTANT);
      await a.jobs.fail(failed.jobId, "no");
      await a.jobs.fail(retried.jobId, "busy", true);
      expect(await statusesSeenBy(a)).toEqual(settled);
      expect(await statusesSeenBy(b)).toEqual(["RUNNING", "RUNNING", "RUNNING", "RUNNING"]);
    });

    expect(await statusesSeenBy(b)).toEqual(settled);
    expect(await theJob(b, RUN, waits.jobId)).toMatchObject({ nextPollAt: INSTANT });
    expect(await theJob(b, RUN, retried.jobId)).toMatchObject({ attempt: 1, lastError: "busy" });
  });

  test("settling jobs in a transaction is undone by a rollback", async ({ a, b }) => {
    const one = await deliver(a, aJob(RUN));
    const two = await deliver(a, aJob(RUN));
    await a.jobs.enqueue(aJob(RUN));
    const before = await b.jobs.getJobsByWorkflowRun(RUN);
    await nap(3);

    await rejection(
      a.persistence.withTransaction(async () => {
        await a.jobs.complete(one.jobId);
        await a.jobs.touchJob(two.jobId);
        expect(await a.jobs.cancelByRun(RUN)).toBe(1);
        throw new Error("no");
      }),
    );

    expect(await b.jobs.getJobsByWorkflowRun(RUN)).toEqual(before);
    await a.jobs.complete(one.jobId);
    expect(await theJob(b, RUN, one.jobId)).toMatchObject({ status: "COMPLETED" });
  });

  test("a job may be enqueued and settled in one transaction", async ({ a, b }) => {
    const id = await a.persistence.withTransaction(async () => {
      const jobId = await a.jobs.enqueue(aJob(RUN));
      await a.jobs.complete(jobId);
      await a.jobs.fail(jobId, "too late");
      return jobId;
    });

    expect(await theJob(b, RUN, id)).toMatchObject({ status: "COMPLETED", lastError: null });
    expect(await b.jobs.dequeue()).toBeNull();
  });

  test("faults of the queue are thrown by their calls, and the rest commits", async ({ a, b }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    await redeliver(b);
    await seedRun(a, { id: RUN });

    await a.persistence.withTransaction(async (tx) => {
      await expectCode(a.jobs.complete("nobody"), "NOT_FOUND");
      await expectCode(a.jobs.suspend("nobody", INSTANT), "NOT_FOUND");
      await expectCode(a.jobs.fail("nobody", "no"), "NOT_FOUND");
      await expectCode(a.jobs.complete(jobId), "LEASE_LOST");
      await expectCode(a.jobs.touchJob(jobId), "LEASE_LOST");
      await a.jobs.touchJob("nobody");
      await tx.updateRun(RUN, { status: "RUNNING" });
    });

    expect(await theJob(b, RUN, jobId)).toMatchObject({ status: "RUNNING", attempt: 2 });
    expect(await theRun(b, RUN)).toMatchObject({ status: "RUNNING" });
  });

  test("a lease that is lost before the commit undoes the transaction", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const { jobId } = await deliver(a, aJob(RUN));
    let runs = 0;

    await expectCode(
      a.persistence.withTransaction(async (tx) => {
        runs += 1;
        await tx.updateRun(RUN, { status: "COMPLETED" });
        await a.jobs.complete(jobId);
        if (runs === 1) await redeliver(b);
      }),
      "LEASE_LOST",
    );

    expect(runs).toBe(2);
    expect(await theJob(b, RUN, jobId)).toMatchObject({ status: "RUNNING", attempt: 2 });
    expect(await theRun(b, RUN)).toMatchObject({ status: "PENDING", version: 1 });
  });

  test("a job that someone else ends meanwhile stays as it ended", async ({ a, b }) => {
    const jobId = await a.jobs.enqueue(aJob(RUN));

    await disturbed(
      a,
      () => b.jobs.fail(jobId, "from b"),
      async (_tx, interfere) => {
        await a.jobs.complete(jobId);
        await interfere();
      },
    );

    expect(await theJob(b, RUN, jobId)).toMatchObject({ status: "FAILED", lastError: "from b" });
  });

  test("the callback runs again when a list of jobs that it read grows", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    await a.jobs.enqueue(aJob(RUN));

    const { result, runs } = await disturbed(
      a,
      () => b.jobs.enqueue(aJob(RUN)),
      async (tx, interfere) => {
        const { length } = await a.jobs.getJobsByWorkflowRun(RUN);
        await interfere();
        await tx.updateRun(RUN, { totalTokens: length });
        return length;
      },
    );

    expect({ result, runs }).toEqual({ result: 2, runs: 2 });
    expect(await theRun(b, RUN)).toMatchObject({ totalTokens: 2 });
  });

  test("the callback runs again when a job that it read is settled", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const jobId = await a.jobs.enqueue(aJob(RUN));

    const { result, runs } = await disturbed(
      a,
      () => b.jobs.complete(jobId),
      async (tx, interfere) => {
        const [job] = await a.jobs.getJobsByWorkflowRun(RUN);
        await interfere();
        await tx.updateRun(RUN, { output: job?.status ?? "" });
        return job?.status;
      },
    );

    expect({ result, runs }).toEqual({ result: "COMPLETED", runs: 2 });
  });

  test("dequeue acts at once, outside the transaction", async ({ a, b }) => {
    const stored = await a.jobs.enqueue(aJob(RUN));

    await rejection(
      a.persistence.withTransaction(async () => {
        await a.jobs.enqueue(aJob(RUN, { priority: 10 }));
        expect(await a.jobs.dequeue()).toMatchObject({ jobId: stored, attempt: 1 });
        expect(await a.jobs.dequeue()).toBeNull();
        expect(await theJob(b, RUN, stored)).toMatchObject({ status: "RUNNING" });
        throw new Error("no");
      }),
    );

    expect(await theJob(b, RUN, stored)).toMatchObject({ status: "RUNNING", attempt: 1 });
  });

  test("releaseStaleJobs acts at once, outside the transaction", async ({ a, b }) => {
    const { jobId } = await deliver(b, aJob(RUN));

    await rejection(
      a.persistence.withTransaction(async () => {
        expect(await endAllLeases(a)).toBe(1);
        expect(await theJob(b, RUN, jobId)).toMatchObject({ status: "PENDING" });
        throw new Error("no");
      }),
    );

    expect(await theJob(b, RUN, jobId)).toMatchObject({ status: "PENDING", attempt: 1 });
  });

  test("getSuspendedJobsReadyToPoll reads outside the transaction", async ({ a, b }) => {
    const { jobId } = await deliver(a, aJob(RUN));
    const ready = [{ jobId, stageId: "extract", workflowRunId: RUN }];

    await a.persistence.withTransaction(async () => {
      await a.jobs.suspend(jobId, INSTANT);
      expect(await a.jobs.getSuspendedJobsReadyToPoll()).toEqual([]);
    });

    expect(await b.jobs.getSuspendedJobsReadyToPoll()).toEqual(ready);
  });

  test("the queue of another connection does not join", async ({ a, b }) => {
    const ids = { ofA: "", ofB: "" };

    await rejection(
      a.persistence.withTransaction(async () => {
        ids.ofA = await a.jobs.enqueue(aJob(RUN));
        ids.ofB = await b.jobs.enqueue(aJob(RUN));
        throw new Error("no");
      }),
    );

    const stored = await a.jobs.getJobsByWorkflowRun(RUN);
    expect(stored.map((job) => job.id)).toEqual([ids.ofB]);
  });

  test("calls of the queue outside the callback do not join a transaction that is open", async ({
    a,
    b,
  }) => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    let entered = (): void => undefined;
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const failing = rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.getRun(RUN);
        entered();
        await opened;
        throw new Error("no");
      }),
    );
    await inside;

    const id = await a.jobs.enqueue(aJob(RUN));
    const seen = await b.jobs.getJobsByWorkflowRun(RUN);
    open();
    await failing;

    expect(seen.map((job) => job.id)).toEqual([id]);
    expect(present(await b.jobs.dequeue()).jobId).toBe(id);
  });
}
