/** How often a job is tried, and when it is tried again. */
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { describe, expect, it } from "vitest";
import type { RetryOptions } from "../../src/client/index.ts";
import { emptyDatabase } from "../support/database.ts";
import {
  faultOf,
  forced,
  JOB,
  jobsOf,
  MINUTE,
  pass,
  present,
  START,
  times,
  usingTheClock,
  type Way,
  ways,
  write,
} from "./support.ts";

usingTheClock();

const DAY = 86_400_000;

/** The pauses after this many failures of a job, in milliseconds. */
async function pausesOf(open: Way["open"], count: number, retry?: RetryOptions): Promise<number[]> {
  await emptyDatabase();
  const backend = open().connect(retry === undefined ? {} : { retry });
  const { jobs } = backend;
  await jobs.enqueue({ ...JOB, maxAttempts: count + 1 });
  const pauses: number[] = [];
  for (let failure = 1; failure <= count; failure += 1) {
    const { jobId } = present(await jobs.dequeue());
    await jobs.fail(jobId, "again", true);
    const [job] = await jobsOf(backend);
    const pause = present(job?.nextPollAt).getTime() - Date.now();
    pauses.push(pause);
    if (pause > 0) {
      pass(pause - 1);
      expect(await jobs.dequeue()).toBeNull();
      pass(1);
    }
  }
  return pauses;
}

describe.each(ways)("maxAttempts, $name", ({ open }) => {
  it("is the number of deliveries after which a failure is final; 3 unless told otherwise", async () => {
    for (const [maxAttempts, deliveries] of [
      [undefined, 3],
      [1, 1],
      [5, 5],
    ] as const) {
      const backend = open().connect();
      const { jobs } = backend;
      const workflowRunId = `run-${deliveries}`;
      const limited = maxAttempts === undefined ? {} : { maxAttempts };
      await jobs.enqueue({ ...JOB, ...limited, workflowRunId });
      for (let delivery = 1; delivery <= deliveries; delivery += 1) {
        const job = present(await jobs.dequeue());
        expect(job).toMatchObject({ attempt: delivery, maxAttempts: deliveries });
        await jobs.fail(job.jobId, `failure ${delivery}`, true);
        pass(MINUTE);
      }
      expect(await jobs.dequeue()).toBeNull();
      expect(await jobsOf(backend, workflowRunId)).toMatchObject([
        { status: "FAILED", attempt: deliveries, lastError: `failure ${deliveries}` },
      ]);
    }
  });

  it("is a whole number from 1 to 1,000", async () => {
    const { jobs } = open().connect();
    for (const maxAttempts of [0, -1, 1.5, 1_001, Number.NaN]) {
      const call = () => jobs.enqueue({ ...JOB, maxAttempts });
      expect(await faultOf(call)).toBe("INVALID_ARGUMENT maxAttempts");
    }
    await jobs.enqueue({ ...JOB, maxAttempts: 1_000 });
    expect(await jobs.dequeue()).toMatchObject({ maxAttempts: 1_000 });
  });

  it("counts leases that expired, and each expiry is told in lastError", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    await jobs.enqueue({ ...JOB, maxAttempts: 2 });
    await jobs.dequeue();
    pass(10 * MINUTE);
    expect(await jobs.releaseStaleJobs()).toBe(1);
    expect(await jobsOf(backend)).toMatchObject([
      { status: "PENDING", lastError: "The lease of attempt 1 expired", completedAt: null },
    ]);
    await jobs.dequeue();
    pass(10 * MINUTE);
    expect(await jobs.releaseStaleJobs()).toBe(1);
    expect(await jobsOf(backend)).toMatchObject([
      {
        status: "FAILED",
        lastError: "The lease of attempt 2 expired, and no attempts are left",
        completedAt: new Date(START + 20 * MINUTE),
      },
    ]);
    expect(await jobs.releaseStaleJobs()).toBe(0);
  });

  it("keeps the reason of the failure before, until another takes its place", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    await jobs.enqueue(JOB);
    const first = present(await jobs.dequeue());
    await jobs.fail(first.jobId, "first", true);
    pass(MINUTE);
    const second = present(await jobs.dequeue());
    expect(await jobsOf(backend)).toMatchObject([{ status: "RUNNING", lastError: "first" }]);
    await jobs.complete(second.jobId);
    expect(await jobsOf(backend)).toMatchObject([{ status: "COMPLETED", lastError: "first" }]);
  });
});

describe.each(ways)("the pause before a retry, $name", ({ open }) => {
  it("grows with the failures, and not with the suspensions before them", async () => {
    const place = open();
    const backend = place.connect();
    const { jobs } = backend;
    await jobs.enqueue(JOB);
    for (let poll = 0; poll < 12; poll += 1) {
      const { jobId } = present(await jobs.dequeue());
      await jobs.suspend(jobId, new Date(Date.now()));
      // Nobody polls it.
      pass(UNPOLLED_MS);
      await write(place, [{ kind: "resumeJobs", limit: 1, at: Date.now() }]);
    }
    const failures = [];
    for (let failure = 1; failure <= 3; failure += 1) {
      const { jobId, attempt, maxAttempts } = present(await jobs.dequeue());
      await jobs.fail(jobId, "no", true);
      const [job] = await jobsOf(backend);
      const pause =
        job?.status === "PENDING" ? present(job.nextPollAt).getTime() - Date.now() : null;
      failures.push({ left: maxAttempts - attempt, pause });
      pass(pause ?? 0);
    }
    expect(failures).toEqual([
      { left: 2, pause: 2_000 },
      { left: 1, pause: 4_000 },
      { left: 0, pause: null },
    ]);
    expect(await jobsOf(backend)).toMatchObject([{ status: "FAILED", attempt: 15 }]);
  });

  it("counts a lease that expired as a failure", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    await jobs.enqueue(JOB);
    await jobs.dequeue();
    pass(10 * MINUTE);
    await jobs.releaseStaleJobs();
    const { jobId } = present(await jobs.dequeue());
    await jobs.fail(jobId, "no", true);
    const [job] = await jobsOf(backend);
    expect(present(job?.nextPollAt).getTime() - Date.now()).toBe(4_000);
  });

  it("is 2 s, 4 s, 8 s, ... by default", async () => {
    expect(await pausesOf(open, 4)).toEqual([2_000, 4_000, 8_000, 16_000]);
  });

  it("is at most an hour by default", async () => {
    const hour = 3_600_000;
    expect(await pausesOf(open, 3, { baseMs: hour / 4 })).toEqual([hour / 2, hour, hour]);
  });

  it("begins with twice the base, doubles, and ends at the cap", async () => {
    const pauses = await pausesOf(open, 5, { baseMs: 25, capMs: 333 });
    expect(pauses).toEqual([50, 100, 200, 333, 333]);
    expect(await pausesOf(open, 2, { capMs: 31 * DAY, baseMs: DAY })).toEqual([2 * DAY, 4 * DAY]);
  });

  it("can be none", async () => {
    expect(await pausesOf(open, 2, { baseMs: 0 })).toEqual([0, 0]);
    expect(await pausesOf(open, 2, { capMs: 0 })).toEqual([0, 0]);
  });

  it("goes no further than twenty doublings", async () => {
    const pauses = await pausesOf(open, 23, { baseMs: 1, capMs: 31 * DAY });
    expect(pauses.slice(17)).toEqual([18, 19, 20, 20, 20, 20].map((n) => 2 ** n));
  });

  it("is longer by a share of chance, within its bounds, and not always the same", async () => {
    const backend = open().connect({ retry: { baseMs: 1_000, jitter: 0.5 } });
    const { jobs } = backend;
    await jobs.enqueueParallel(times(60, () => JOB));
    for (const { jobId } of await jobs.dequeueMany(60)) await jobs.fail(jobId, "again", true);
    const pauses = (await jobsOf(backend)).map(
      ({ nextPollAt }) => present(nextPollAt).getTime() - START,
    );
    expect(pauses).toHaveLength(60);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...pauses)).toBeLessThan(3_000);
    expect(new Set(pauses).size).toBeGreaterThan(10);
  });

  it("is that of the connection that fails the job, not of the one that added it", async () => {
    const place = open();
    await place.connect({ retry: { baseMs: 1 } }).jobs.enqueue(JOB);
    const { jobs } = place.connect({ retry: { baseMs: 500 } });
    const { jobId } = present(await jobs.dequeue());
    await jobs.fail(jobId, "again", true);
    const [job] = await jobsOf(place.connect());
    expect(job?.nextPollAt).toEqual(new Date(START + 1_000));
  });

  it("is refused out of its bounds, with the field, when the connection is made", async () => {
    const place = open();
    const cases: readonly [string, Record<string, unknown>][] = [
      ["retry.baseMs", { baseMs: -1 }],
      ["retry.baseMs", { baseMs: 0.5 }],
      ["retry.baseMs", { baseMs: DAY + 1 }],
      ["retry.baseMs", { baseMs: "1" }],
      ["retry.capMs", { capMs: -1 }],
      ["retry.capMs", { capMs: Number.POSITIVE_INFINITY }],
      ["retry.capMs", { capMs: 31 * DAY + 1 }],
      ["retry.jitter", { jitter: -0.1 }],
      ["retry.jitter", { jitter: 1.1 }],
      ["retry.jitter", { jitter: Number.NaN }],
    ];
    for (const [field, retry] of cases) {
      const call = () => place.connect({ retry: forced<RetryOptions>(retry) });
      expect(await faultOf(call), JSON.stringify(retry)).toBe(`INVALID_ARGUMENT ${field}`);
    }
  });
});
