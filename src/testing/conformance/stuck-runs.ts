import { expect } from "vitest";
import type { ConformanceBackend, Test } from "./harness.ts";
import {
  aJob,
  AN_HOUR_MS,
  deliver,
  forced,
  fromNow,
  nap,
  present,
  seedRun,
  seedRunningRun,
  seedStage,
  shifted,
  theJob,
  theStage,
} from "./support.ts";

/** Everything so far happened before this instant. */
const afterAll = (): Date => fromNow(AN_HOUR_MS);

async function stuckIds(backend: ConformanceBackend, since: Date): Promise<string[]> {
  return (await backend.persistence.getStuckRuns(since)).map((run) => run.id);
}

/** getStuckRuns. */
export function stuckRuns(test: Test): void {
  test("a running run is stuck from the instant of its last update", async ({ a, b }) => {
    const run = await seedRunningRun(a);

    expect(await b.persistence.getStuckRuns(run.updatedAt)).toEqual([run]);
    expect(await stuckIds(b, shifted(run.updatedAt, -1))).toEqual([]);
  });

  test("only running runs are stuck", async ({ a }) => {
    for (const status of ["PENDING", "SUSPENDED", "COMPLETED", "FAILED", "CANCELLED"] as const) {
      const { id } = await seedRun(a);
      await a.persistence.updateRun(id, { status });
    }

    expect(await stuckIds(a, afterAll())).toEqual([]);
  });

  test("a run is not stuck before the last update of its stages", async ({ a }) => {
    const run = await seedRunningRun(a);
    await nap();
    const stage = await seedStage(a, run.id, { stageId: "early" });
    await seedStage(a, run.id, { stageId: "late" });
    await nap();
    await a.persistence.updateStage(stage.id, { status: "RUNNING" });
    const { updatedAt } = await theStage(a, stage.id);

    expect(await stuckIds(a, shifted(updatedAt, -1))).toEqual([]);
    expect(await stuckIds(a, updatedAt)).toEqual([run.id]);
  });

  test("the stages of one run do not keep another from being stuck", async ({ a }) => {
    const idle = await seedRunningRun(a);
    const busy = await seedRunningRun(a);
    await nap();
    await seedStage(a, busy.id);

    expect(await stuckIds(a, busy.updatedAt)).toEqual([idle.id]);
  });

  test("getStuckRuns lists the oldest first", async ({ a }) => {
    const ids = ["m", "z", "a"];
    for (const id of ids) {
      await seedRunningRun(a, { id });
      await nap(3);
    }

    expect(await stuckIds(a, afterAll())).toEqual(ids);
  });

  test("a run that waits for a poll in the future is not stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    const stage = await seedStage(a, run.id, { status: "SUSPENDED" });
    const nextPollAt = fromNow(2 * AN_HOUR_MS);
    await a.persistence.updateStage(stage.id, { nextPollAt });

    expect(await stuckIds(a, afterAll())).toEqual([]);
  });

  test("a run whose poll is overdue is stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    const stage = await seedStage(a, run.id, { status: "SUSPENDED" });
    await a.persistence.updateStage(stage.id, { nextPollAt: fromNow(-1_000) });

    expect(await stuckIds(a, afterAll())).toEqual([run.id]);
  });

  test("a suspended stage without a next poll does not keep its run from being stuck", async ({
    a,
  }) => {
    const run = await seedRunningRun(a);
    await seedStage(a, run.id, { status: "SUSPENDED" });

    expect(await stuckIds(a, afterAll())).toEqual([run.id]);
  });

  test("a poll in the future counts for suspended stages only", async ({ a }) => {
    const run = await seedRunningRun(a);
    const stage = await seedStage(a, run.id, { status: "SUSPENDED" });
    const nextPollAt = fromNow(2 * AN_HOUR_MS);
    await a.persistence.updateStage(stage.id, { nextPollAt, status: "COMPLETED" });

    expect(await stuckIds(a, afterAll())).toEqual([run.id]);
  });

  test("a run with a running job locked after the instant is not stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    await nap();
    const { jobId } = await deliver(a, aJob(run.id));
    const lockedAt = present((await theJob(a, run.id, jobId)).lockedAt);

    expect(await stuckIds(a, shifted(lockedAt, -1))).toEqual([]);
    expect(await stuckIds(a, lockedAt)).toEqual([run.id]);
  });

  test("a heartbeat keeps a run from being stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    const { jobId } = await deliver(a, aJob(run.id));
    const before = present((await theJob(a, run.id, jobId)).lockedAt);
    await nap();
    await a.jobs.touchJob(jobId);

    expect(await stuckIds(a, before)).toEqual([]);
  });

  test("a run with a pending job that is not yet due is not stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    await a.jobs.enqueue(aJob(run.id, { scheduledFor: fromNow(2 * AN_HOUR_MS) }));

    expect(await stuckIds(a, afterAll())).toEqual([]);
  });

  test("a run that waits for a retry is not stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    const { jobId } = await deliver(a, aJob(run.id));
    await a.jobs.fail(jobId, "try again", true);

    expect(await stuckIds(a, afterAll())).toEqual([]);
  });

  test("a pending job that is due does not keep its run from being stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    await a.jobs.enqueue(aJob(run.id));

    expect(await stuckIds(a, afterAll())).toEqual([run.id]);
  });

  test("a pending job in a backlog keeps its run from being stuck", async ({ a, b }) => {
    const run = await seedRunningRun(a);
    await nap();
    const { jobId } = await deliver(b, aJob("another-run"));
    await a.jobs.enqueue(aJob(run.id));
    const lockedAt = present((await theJob(a, "another-run", jobId)).lockedAt);

    expect(await stuckIds(a, shifted(lockedAt, -1))).toEqual([]);
    expect(await stuckIds(a, lockedAt)).toEqual([run.id]);
  });

  test("a busy worker alone does not keep a run without jobs from being stuck", async ({
    a,
    b,
  }) => {
    const run = await seedRunningRun(a);
    await nap();
    await deliver(b, aJob("another-run"));

    expect(await stuckIds(a, run.updatedAt)).toEqual([run.id]);
  });

  test("jobs that are over do not keep a run from being stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    const done = await deliver(a, aJob(run.id));
    await a.jobs.complete(done.jobId);
    const failed = await deliver(a, aJob(run.id));
    await a.jobs.fail(failed.jobId, "no");
    await a.jobs.enqueue(aJob(run.id, { scheduledFor: fromNow(AN_HOUR_MS) }));
    await a.jobs.cancelByRun(run.id);

    expect(await stuckIds(a, run.updatedAt)).toEqual([run.id]);
  });

  test("a job of another run does not keep a run from being stuck", async ({ a }) => {
    const run = await seedRunningRun(a);
    await a.jobs.enqueue(aJob("another-run", { scheduledFor: fromNow(AN_HOUR_MS) }));

    expect(await stuckIds(a, afterAll())).toEqual([run.id]);
  });

  test("getStuckRuns takes an ISO string and milliseconds too", async ({ a }) => {
    const run = await seedRunningRun(a);

    const byText = await stuckIds(a, forced(run.updatedAt.toISOString()));
    const byNumber = await stuckIds(a, forced(run.updatedAt.getTime()));

    expect([byText, byNumber]).toEqual([[run.id], [run.id]]);
  });
}
