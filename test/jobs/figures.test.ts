/** What is told about the whole queue: figures, and what is wrong. */
import { describe, expect, it } from "vitest";
import { AUDIT_MAX } from "../../src/model/index.ts";
import type { Backend, Status } from "../../src/contract/index.ts";
import { aJob } from "../memory/support.ts";
import {
  JOB,
  MINUTE,
  pass,
  type Place,
  present,
  RUN,
  START,
  times,
  usingTheClock,
  ways,
  write,
} from "./support.ts";

usingTheClock();

const NONE = {
  due: 0,
  delayed: 0,
  leased: 0,
  suspended: 0,
  failed: 0,
  undelivered: 0,
  oldestDueMs: null,
};
const HOUR = 60 * MINUTE;

describe.each(ways)("jobStats, $name", ({ open }) => {
  it("is nothing where nothing is, and where all is done", async () => {
    const { jobs } = open().connect();
    expect(await jobs.jobStats()).toEqual(NONE);
    await jobs.enqueueParallel([JOB, JOB]);
    await jobs.complete(present(await jobs.dequeue()).jobId);
    await jobs.cancelByRun("run");
    expect(await jobs.jobStats()).toEqual(NONE);
  });

  it("counts each job once, as what it is", async () => {
    const { jobs } = open().connect();
    await jobs.enqueueParallel(times(7, () => JOB));
    const [suspended, retried, failed] = (await jobs.dequeueMany(4)).map(({ jobId }) => jobId);
    await jobs.suspend(present(suspended), new Date(START + HOUR));
    await jobs.fail(present(retried), "again", true);
    await jobs.fail(present(failed), "no");
    await jobs.enqueue({ ...JOB, scheduledFor: new Date(START + MINUTE) });
    await jobs.enqueueParallel(times(2, () => ({ ...JOB, concurrencyKey: "key" })));
    expect(await jobs.jobStats()).toEqual({
      ...NONE,
      due: 5,
      delayed: 2,
      leased: 1,
      suspended: 1,
      failed: 1,
      oldestDueMs: 0,
    });
  });

  it("takes a job that waits for its time for due when its time has come, though nobody has claimed", async () => {
    const { jobs } = open().connect();
    await jobs.enqueue({ ...JOB, scheduledFor: new Date(START + MINUTE) });
    pass(MINUTE - 1);
    expect(await jobs.jobStats()).toEqual({ ...NONE, delayed: 1 });
    pass(1);
    expect(await jobs.jobStats()).toEqual({ ...NONE, due: 1, oldestDueMs: 0 });
    pass(500);
    expect(await jobs.jobStats()).toEqual({ ...NONE, due: 1, oldestDueMs: 500 });
  });

  it("tells since when the oldest is due, wherever it waits", async () => {
    const { jobs } = open().connect();
    await jobs.enqueue({ ...JOB, concurrencyKey: "key" });
    await jobs.dequeue();
    pass(1_000);
    await jobs.enqueue({ ...JOB, concurrencyKey: "key" });
    pass(1_000);
    await jobs.enqueue({ ...JOB, priority: 9 });
    expect(await jobs.jobStats()).toEqual({ ...NONE, due: 2, leased: 1, oldestDueMs: 1_000 });
    await jobs.cancelByRun("run");
    await jobs.enqueue({ ...JOB, scheduledFor: new Date(Date.now() - 7_000) });
    expect(await jobs.jobStats()).toMatchObject({ due: 1, oldestDueMs: 7_000 });
  });

  it("forgets a failure after a day", async () => {
    const { jobs } = open().connect();
    await jobs.enqueue(JOB);
    await jobs.fail(present(await jobs.dequeue()).jobId, "no");
    pass(24 * HOUR);
    expect(await jobs.jobStats()).toEqual({ ...NONE, failed: 1 });
    pass(1);
    expect(await jobs.jobStats()).toEqual(NONE);
  });

  it("agrees with itself by a clock that is behind", async () => {
    const { jobs } = open().connect();
    await jobs.enqueueParallel([JOB, { ...JOB, concurrencyKey: "key" }]);
    pass(-1_000);
    expect(await jobs.jobStats()).toEqual({ ...NONE, delayed: 2 });
  });
});

async function addRun({ persistence }: Backend, id: string, status: Status): Promise<void> {
  await persistence.createRun({ ...RUN, id });
  await persistence.updateRun(id, { status });
}

async function addStage(
  { persistence }: Backend,
  workflowRunId: string,
  stageId: string,
  { group = 1, ...update }: { group?: number; status?: Status; nextPollAt?: Date } = {},
): Promise<void> {
  const { id } = await persistence.createStage({
    workflowRunId,
    stageId,
    stageName: stageId,
    stageNumber: group,
    executionGroup: group,
  });
  await persistence.updateStage(id, update);
}

async function findings({ connect }: Place): Promise<string[]> {
  const found = await connect().audit();
  return found
    .map(({ entity, id, status, problem }) => `${entity} ${id} ${status}: ${problem}`)
    .toSorted();
}

describe.each(ways)("audit, $name", ({ open }) => {
  it("finds nothing where nothing is wrong", async () => {
    const place = open();
    const backend = place.connect();
    const { jobs } = backend;
    // What has not begun, and what is over.
    await backend.persistence.createRun({ ...RUN, id: "waits" });
    for (const status of ["COMPLETED", "FAILED", "CANCELLED"] as const) {
      await addRun(backend, status, status);
      await addStage(backend, status, "left", { status: "RUNNING" });
    }
    // A stage with its job in some state; later stages wait for it.
    for (const state of ["pending", "delayed", "running", "suspended"]) {
      await addRun(backend, state, "RUNNING");
      await addStage(backend, state, "done", { status: "COMPLETED", group: 1 });
      await addStage(backend, state, "now", { status: "RUNNING", group: 2 });
      await addStage(backend, state, "next", { group: 3 });
      const job = { ...JOB, workflowRunId: state, stageId: "now" };
      await jobs.enqueue(state === "delayed" ? { ...job, scheduledFor: new Date(START + 1) } : job);
      if (state === "suspended") {
        const taken = (await jobs.dequeueMany(9)).find((one) => one.workflowRunId === state);
        await jobs.suspend(present(taken).jobId, new Date(START + HOUR));
      }
    }
    // A stage that is suspended until an instant is polled.
    await addRun(backend, "polled", "SUSPENDED");
    await addStage(backend, "polled", "s", { status: "SUSPENDED", nextPollAt: new Date(START) });
    // Between two stages a job alone.
    await addRun(backend, "between", "RUNNING");
    await jobs.enqueue({ ...JOB, workflowRunId: "between" });
    expect(await findings(place)).toEqual([]);
  });

  it("finds runs without work", async () => {
    const place = open();
    const backend = place.connect();
    await addRun(backend, "empty", "RUNNING");
    await addRun(backend, "over", "SUSPENDED");
    await addStage(backend, "over", "s", { status: "COMPLETED" });
    await backend.jobs.enqueue({ ...JOB, workflowRunId: "over" });
    await backend.jobs.complete(present(await backend.jobs.dequeue()).jobId);
    expect(await findings(place)).toEqual([
      "run empty RUNNING: run-without-work",
      "run over SUSPENDED: run-without-work",
    ]);
  });

  it("finds stages without a job", async () => {
    const place = open();
    const backend = place.connect();
    await addRun(backend, "r", "RUNNING");
    await addStage(backend, "r", "running", { status: "RUNNING" });
    await addStage(backend, "r", "forgotten", { status: "SUSPENDED" });
    await addStage(backend, "r", "pending");
    await addStage(backend, "r", "waits", { group: 2 });
    // A job, but another's; and its own, but over.
    await backend.jobs.enqueue({ ...JOB, workflowRunId: "r", stageId: "waits" });
    await backend.jobs.enqueue({ ...JOB, workflowRunId: "other", stageId: "running" });
    const over = await backend.jobs.enqueue({ ...JOB, workflowRunId: "r", stageId: "pending" });
    await backend.jobs.complete(over);
    expect(await findings(place)).toEqual([
      "stage r/forgotten SUSPENDED: stage-without-job",
      "stage r/pending PENDING: stage-without-job",
      "stage r/running RUNNING: stage-without-job",
    ]);
    const [finding] = await backend.audit();
    expect(finding).toMatchObject({ entity: "stage", workflowRunId: "r" });
  });

  it("finds failures that nobody has handled, at once", async () => {
    const place = open();
    const backend = place.connect();
    await addRun(backend, "r", "RUNNING");
    await addStage(backend, "r", "s", { status: "RUNNING" });
    await backend.jobs.enqueue({ ...JOB, workflowRunId: "r" });
    await backend.jobs.fail(present(await backend.jobs.dequeue()).jobId, "no");
    expect(await findings(place)).toEqual(["stage r/s RUNNING: failure-unhandled"]);
    await backend.jobs.enqueue({ ...JOB, workflowRunId: "r" });
    expect(await findings(place)).toEqual([]);
  });

  it("finds jobs that wait for an instant, or have a lease from one, that they do not have", async () => {
    const place = open();
    await write(place, [
      aJob({ ordinal: "1", status: "RUNNING", lockedAt: null }),
      aJob({ ordinal: "2", status: "SUSPENDED", nextPollAt: null }),
      aJob({ ordinal: "3", status: "RUNNING", lockedAt: START }),
      aJob({ ordinal: "4", status: "SUSPENDED", nextPollAt: START }),
      aJob({ ordinal: "5", status: "FAILED" }),
    ]);
    expect(await findings(place)).toEqual([
      "job run/1 RUNNING: lease-without-start",
      "job run/2 SUSPENDED: wait-without-end",
    ]);
  });

  it("tells of a hundred at most", async () => {
    const place = open();
    const backend = place.connect();
    await backend.persistence.withTransaction(async (tx) => {
      for (const id of times(AUDIT_MAX + 5, (n) => `r-${n}`)) {
        await tx.createRun({ ...RUN, id });
        await tx.updateRun(id, { status: "RUNNING" });
      }
    });
    expect(await backend.audit()).toHaveLength(AUDIT_MAX);
  });
});
