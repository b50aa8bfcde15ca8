/** Jobs in a transaction: dequeuing acts at once, and the rest of the transaction agrees with it. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { emptyDatabase } from "../support/database.ts";
import { createRun, jobInput, newId, once, present, ways } from "./ways.ts";

const HOUR = 3_600_000;

/** One clock for all ways: the service runs in this isolate. */
beforeEach(async () => {
  await emptyDatabase();
  vi.useFakeTimers({ toFake: ["Date"], now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

function pass(milliseconds: number): void {
  vi.setSystemTime(Date.now() + milliseconds);
}

describe.each(ways)("a dequeue in a transaction, $name", ({ open }) => {
  it("gives a job that the transaction may settle, though it had seen it before", async () => {
    const { a } = open();
    const run = newId();
    await a.jobs.enqueue(jobInput(run));
    await a.persistence.withTransaction(async () => {
      await a.jobs.getJobsByWorkflowRun(run);
      const { jobId } = present(await a.jobs.dequeue());
      await a.jobs.complete(jobId);
    });
    const jobs = await a.jobs.getJobsByWorkflowRun(run);
    expect(jobs.map(({ status }) => status)).toEqual(["COMPLETED"]);
  });

  it("does not excuse what others did to the job since the transaction read it", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    await a.jobs.enqueue(jobInput(run));
    const meanwhile = once(async () => {
      const theirs = present(await b.jobs.dequeue());
      await b.jobs.fail(theirs.jobId, "theirs", true);
      pass(10_000);
      present(await a.jobs.dequeue());
    });
    await a.persistence.withTransaction(async (tx) => {
      const [seen] = await a.jobs.getJobsByWorkflowRun(run);
      await meanwhile();
      await tx.updateRun(run, { output: { attempt: seen?.attempt, error: seen?.lastError } });
    });
    const after = await a.persistence.getRun(run);
    expect(after?.output).toEqual({ attempt: 2, error: "theirs" });
  });

  it("leaves the job as the transaction goes on to show it", async () => {
    const { a } = open();
    const run = await createRun(a);
    const id = await a.jobs.enqueue(jobInput(run));
    const inside = await a.persistence.withTransaction(async () => {
      await a.jobs.complete(id);
      await a.jobs.dequeue();
      return a.jobs.getJobsByWorkflowRun(run);
    });
    const after = await a.jobs.getJobsByWorkflowRun(run);
    expect(inside.map(({ status }) => status)).toEqual(after.map(({ status }) => status));
  });

  it("leaves true how many jobs were cancelled before it", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.jobs.enqueue(jobInput(run));
    const told = await a.persistence.withTransaction(async () => {
      const count = await a.jobs.cancelByRun(run);
      await a.jobs.dequeue();
      return count;
    });
    const jobs = await a.jobs.getJobsByWorkflowRun(run);
    expect(jobs.filter(({ status }) => status === "CANCELLED")).toHaveLength(told);
  });
});

describe.each(ways)("a job whose payload is as large as a row, $name", ({ open }) => {
  it("fails in the end when it kills its workers, and holds up no other", async () => {
    const { a } = open();
    const run = newId();
    // With the 8 bytes of JSON around the text, as much as a row takes.
    const payload = { x: "x".repeat(1_900_000 - 8) };
    await a.jobs.enqueue({ ...jobInput(run, "deadly"), priority: 9, payload });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect(await a.jobs.dequeue()).toMatchObject({ stageId: "deadly", attempt });
      pass(5);
      if (attempt < 3) expect(await a.jobs.releaseStaleJobs(0)).toBe(1);
    }
    await a.jobs.enqueue(jobInput(run, "healthy"));
    await a.jobs.dequeue();
    pass(5);
    await a.jobs.releaseStaleJobs(0);
    const jobs = await a.jobs.getJobsByWorkflowRun(run);
    expect(jobs.map(({ stageId, status }) => [stageId, status])).toEqual([
      ["deadly", "FAILED"],
      ["healthy", "PENDING"],
    ]);
  });
});

describe.each(ways)("getStuckRuns in a transaction, $name", ({ open }) => {
  async function stuckRun() {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.claimPendingRun(run);
    return { a, run };
  }
  const ids = (runs: readonly { readonly id: string }[]) => runs.map(({ id }) => id);
  const since = () => new Date(Date.now() - HOUR / 4);

  it("leaves out a run for which the transaction has enqueued a job", async () => {
    const { a, run } = await stuckRun();
    pass(HOUR);
    expect(ids(await a.persistence.getStuckRuns(since()))).toEqual([run]);
    const inside = await a.persistence.withTransaction(async (tx) => {
      await a.jobs.enqueue(jobInput(run));
      return tx.getStuckRuns(since());
    });
    expect(ids(inside)).toEqual([]);
  });

  it("leaves out a run whose job the transaction has completed", async () => {
    const { a, run } = await stuckRun();
    await a.jobs.enqueue(jobInput(run));
    const { jobId } = present(await a.jobs.dequeue());
    pass(HOUR);
    await a.jobs.touchJob(jobId);
    const inside = await a.persistence.withTransaction(async (tx) => {
      await a.jobs.complete(jobId);
      return tx.getStuckRuns(since());
    });
    expect(ids(inside)).toEqual([]);
    expect(ids(await a.persistence.getStuckRuns(since()))).toEqual([run]);
  });

  it("leaves out a run with a job at work, next to one that the transaction adds", async () => {
    const { a, run } = await stuckRun();
    await a.jobs.enqueue(jobInput(run, "long"));
    const { jobId } = present(await a.jobs.dequeue());
    pass(HOUR);
    await a.jobs.touchJob(jobId);
    expect(ids(await a.persistence.getStuckRuns(since()))).toEqual([]);
    const inside = await a.persistence.withTransaction(async (tx) => {
      await tx.getRun(run);
      await a.jobs.enqueue(jobInput(run, "another"));
      return tx.getStuckRuns(since());
    });
    expect(ids(inside)).toEqual([]);
  });

  it("leaves out a run whose job waits for a worker that is busy elsewhere", async () => {
    const { a, run } = await stuckRun();
    const busy = await createRun(a);
    await a.persistence.claimPendingRun(busy);
    pass(HOUR);
    await a.jobs.enqueue(jobInput(busy));
    await a.jobs.dequeue();
    const inside = await a.persistence.withTransaction(async (tx) => {
      await a.jobs.enqueue(jobInput(run));
      return tx.getStuckRuns(since());
    });
    const after = await a.persistence.getStuckRuns(since());
    expect([ids(inside), ids(after)]).toEqual([[], []]);
  });
});
