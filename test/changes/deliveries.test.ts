/** Changes of one delivered job. */
import { describe, expect, it } from "vitest";
import type { Change } from "../../src/changes/index.ts";
import { aLeasedJob, id, KEPT } from "../memory/support.ts";
import { jobAfter, jobKey, OPEN, RETRY, statusesChanged } from "./one-job.ts";

describe("suspendJob", () => {
  const suspend: Change = { kind: "suspendJob", ...jobKey, nextPollAt: 99, resumeAt: 99, at: 30 };

  it("suspends and ends the lease, and has reached the handler", () => {
    expect(jobAfter({ undelivered: 2, unanswered: 1 }, suspend)).toEqual({
      ...aLeasedJob().row,
      ...KEPT,
      status: "SUSPENDED",
      nextPollAt: 99,
      resumeAt: 99,
      workerId: null,
      lockedAt: null,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("does nothing to a terminal job", () => {
    expect(statusesChanged({}, suspend)).toEqual(OPEN);
  });
});

describe("failJob", () => {
  const fail = { kind: "failJob", ...jobKey, error: "no", at: 30 } as const;

  it("fails when no retry is wanted", () => {
    expect(jobAfter({}, { ...fail, retry: null })).toEqual({
      ...aLeasedJob().row,
      ...KEPT,
      status: "FAILED",
      failures: 1,
      lastError: "no",
      completedAt: 30,
      handOverAt: 30,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("waits 2^failures seconds for a retry, however many attempts were none", () => {
    const before = { attempt: 14, maxAttempts: 15, failures: 1, undelivered: 9 };
    expect(jobAfter(before, { ...fail, retry: RETRY })).toEqual({
      ...aLeasedJob({ attempt: 14, maxAttempts: 15 }).row,
      ...KEPT,
      status: "PENDING",
      failures: 2,
      lastError: "no",
      workerId: null,
      lockedAt: null,
      nextPollAt: 30 + 4_000,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("counts deaths in a row, until the handler fails by itself", () => {
    const died = { ...fail, retry: RETRY, died: true };
    expect(jobAfter({ unanswered: 1 }, died)?.unanswered).toBe(2);
    expect(jobAfter({ unanswered: 1 }, { ...died, retry: null })?.unanswered).toBe(2);
    expect(jobAfter({ unanswered: 1 }, { ...died, died: false })?.unanswered).toBe(0);
  });

  it("fails when the attempts are used up", () => {
    expect(jobAfter({ attempt: 3 }, { ...fail, retry: RETRY })?.status).toBe("FAILED");
  });

  it("doubles the wait no more than 20 times", () => {
    const retry = { baseMs: 1, capMs: 31 * 86_400_000, jitterPermille: 0 };
    const job = jobAfter({ attempt: 51, failures: 50, maxAttempts: 60 }, { ...fail, retry });
    expect(job?.nextPollAt).toBe(30 + 2 ** 20);
  });

  it("waits no longer than the cap, and its share of chance longer than that, rounded down", () => {
    const capped = { ...fail, retry: { ...RETRY, capMs: 3_333 } };
    expect(jobAfter({ attempt: 2, failures: 1 }, capped)?.nextPollAt).toBe(30 + 3_333);
    const jittered = { ...fail, retry: { ...capped.retry, jitterPermille: 500 } };
    expect(jobAfter({ attempt: 2, failures: 1 }, jittered)?.nextPollAt).toBe(30 + 3_333 + 1_666);
  });

  it("does nothing to a terminal job", () => {
    expect(statusesChanged({}, { ...fail, retry: RETRY })).toEqual(OPEN);
    expect(statusesChanged({}, { ...fail, retry: null })).toEqual(OPEN);
  });
});

describe("returnJob", () => {
  const back: Change = { kind: "returnJob", ...jobKey, error: "away", retry: RETRY, at: 30 };

  it("makes the job PENDING again after 2^undelivered seconds, and is no attempt of those it may have", () => {
    expect(jobAfter({ attempt: 3, failures: 2, undelivered: 1 }, back)).toEqual({
      ...aLeasedJob({ attempt: 3, failures: 2 }).row,
      ...KEPT,
      status: "PENDING",
      maxAttempts: 4,
      undelivered: 2,
      lastError: "away",
      workerId: null,
      lockedAt: null,
      nextPollAt: 30 + 4_000,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });
});

describe("unclaimJob", () => {
  const unclaim: Change = { kind: "unclaimJob", ...jobKey, at: 30 };

  it("makes the job ready again, as if it had not been claimed", () => {
    expect(jobAfter({ attempt: 3, failures: 2, unanswered: 1 }, unclaim)).toEqual({
      ...aLeasedJob({ attempt: 3, failures: 2, unanswered: 1 }).row,
      ...KEPT,
      status: "PENDING",
      maxAttempts: 4,
      workerId: null,
      lockedAt: null,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });
});

it.each([
  { kind: "returnJob", ...jobKey, error: "away", retry: RETRY, at: 30 } as const,
  { kind: "unclaimJob", ...jobKey, at: 30 } as const,
])("$kind does nothing to a job that is not RUNNING, or that a later attempt owns", (change) => {
  expect(statusesChanged({}, change)).toEqual(["RUNNING"]);
  expect(jobAfter({ attempt: 2 }, { ...change, attempt: 1 })?.commits).toBe(id("a"));
});

describe("touchJob", () => {
  const touch: Change = { kind: "touchJob", ...jobKey, at: 30 };

  it("renews the lease", () => {
    const lease = { lockedAt: 30, updatedAt: 30 };
    const job = { ...aLeasedJob().row, ...KEPT, ...lease, commits: id("b") + id("a") };
    expect(jobAfter({}, touch)).toEqual(job);
  });

  it("does nothing to a job that is not RUNNING", () => {
    expect(statusesChanged({}, touch)).toEqual(["RUNNING"]);
  });
});

describe("releaseJob", () => {
  const release = { kind: "releaseJob", ...jobKey, error: "lost", at: 30 } as const;

  it("makes the job PENDING again", () => {
    expect(jobAfter({ undelivered: 1 }, { ...release, staleBefore: 21 })).toEqual({
      ...aLeasedJob().row,
      ...KEPT,
      status: "PENDING",
      failures: 1,
      unanswered: 1,
      workerId: null,
      lockedAt: null,
      lastError: "lost",
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("fails a job whose attempts are used up", () => {
    expect(jobAfter({ attempt: 3 }, { ...release, staleBefore: 21 })).toEqual({
      ...aLeasedJob({ attempt: 3 }).row,
      ...KEPT,
      status: "FAILED",
      failures: 1,
      unanswered: 1,
      workerId: null,
      lockedAt: null,
      completedAt: 30,
      handOverAt: 30,
      lastError: "lost",
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("leaves a lease alone that is not older, or was never begun", () => {
    expect(jobAfter({}, { ...release, staleBefore: 20 })?.commits).toBe(id("a"));
    expect(jobAfter({ lockedAt: null }, { ...release, staleBefore: 99 })?.commits).toBe(id("a"));
  });

  it("does nothing to a job that is not RUNNING", () => {
    expect(statusesChanged({}, { ...release, staleBefore: 21 })).toEqual(["RUNNING"]);
  });
});
