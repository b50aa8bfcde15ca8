import { describe, expect, it } from "vitest";
import type { Change } from "../../src/changes/index.ts";
import { type NewJobRow, UNPOLLED_MS } from "../../src/model/index.ts";
import { applyChanges } from "./support.ts";
import type { State } from "../../src/model/state.ts";
import { aJob, aLeasedJob, aState, contentOf, id, KEPT } from "../memory/support.ts";

import { STATUSES } from "../../src/model/status.ts";
import { jobAfter, jobKey, OPEN, RETRY, statusesChanged } from "./one-job.ts";

describe("enqueueJob", () => {
  it("inserts the row", () => {
    expect(aState(aJob()).jobs.get("run", "o1")).toEqual({
      ...aJob().row,
      ...KEPT,
      commits: id("a"),
    });
  });

  it("inserts nothing while a live job of any run has its dedupe key", () => {
    const live = ["PENDING", "RUNNING", "SUSPENDED"];
    const kept = STATUSES.filter((status) => {
      const holder = aJob({ workflowRunId: "other", status, dedupeKey: "k" });
      return aState(holder, aJob({ dedupeKey: "k" })).jobs.get("run", "o1") === undefined;
    });
    expect(kept).toEqual(live);
  });

  it("inserts a job that has ended, and one with another key or none, beside any live job", () => {
    const state = aState(
      aJob({ dedupeKey: "k" }),
      aJob({ ordinal: "o2", dedupeKey: "k", status: "CANCELLED" }),
      aJob({ ordinal: "o3", dedupeKey: "K" }),
      aJob({ ordinal: "o4" }),
      aJob({ ordinal: "o5" }),
    );
    expect([...state.jobs.all()]).toHaveLength(5);
  });
});

function claimed(state: State, at = 30): string[] {
  applyChanges(state, [{ kind: "claimJobs", workerId: "w", limit: 1, at }], id("b"));
  return [...state.jobs.all()]
    .filter((job) => job.commits.startsWith(id("b")))
    .map((job) => `${job.workflowRunId}/${job.ordinal}`);
}

describe("claimJobs", () => {
  it("makes the job RUNNING and leases it", () => {
    const state = aState(aJob());
    claimed(state);
    expect(state.jobs.get("run", "o1")).toEqual({
      ...aJob().row,
      ...KEPT,
      status: "RUNNING",
      workerId: "w",
      lockedAt: 30,
      startedAt: 30,
      updatedAt: 30,
      attempt: 1,
      commits: id("b") + id("a"),
    });
  });

  it("takes the highest priority, then the oldest, of any run", () => {
    const low = aJob({ ordinal: "o1", priority: 1 });
    const young = aJob({ ordinal: "o3", priority: 7 });
    const old = aJob({ workflowRunId: "z", ordinal: "o2", priority: 7 });
    expect(claimed(aState(low, young, old))).toEqual(["z/o2"]);
  });

  it("takes one that has just become due, not one that is not due yet", () => {
    expect(claimed(aState(aJob({ nextPollAt: 31 })))).toEqual([]);
    expect(claimed(aState(aJob({ nextPollAt: 30 })))).toEqual(["run/o1"]);
  });

  it("passes over a better one that is not due", () => {
    const waiting = aJob({ priority: 9, nextPollAt: 31 });
    expect(claimed(aState(waiting, aJob({ ordinal: "o2" })))).toEqual(["run/o2"]);
  });

  it("takes PENDING jobs only", () => {
    const others = STATUSES.filter((status) => status !== "PENDING");
    expect(claimed(aState(...others.map((status) => aJob({ ordinal: status, status }))))).toEqual(
      [],
    );
  });

  it("takes another job the second time in one commit", () => {
    const state = aState(aJob(), aJob({ ordinal: "o2" }));
    const claim: Change = { kind: "claimJobs", workerId: null, limit: 1, at: 30 };
    applyChanges(state, [claim, claim, claim], id("b"));
    expect([...state.jobs.all()].map((job) => job.status)).toEqual(["RUNNING", "RUNNING"]);
  });
});

/** The jobs that a claim of this many takes, in their order. */
function claimedOf(limit: number, ...changes: Change[]): string[] {
  const state = aState(...changes);
  applyChanges(state, [{ kind: "claimJobs", workerId: "w", limit, at: 30 }], id("b"));
  return [...state.jobs.all()]
    .filter((job) => job.commits.startsWith(id("b")))
    .map((job) => job.ordinal)
    .toSorted();
}

function keyed(ordinal: string, concurrencyLimit: number | null, row: Partial<NewJobRow> = {}) {
  return aJob({ ordinal, concurrencyKey: "k", concurrencyLimit, ...row });
}

describe("claimJobs of several", () => {
  it("takes the best of them, as many as are wanted", () => {
    const jobs = ["o1", "o2", "o3", "o4"].map((ordinal, n) => aJob({ ordinal, priority: n % 3 }));
    expect(claimedOf(0, ...jobs)).toEqual([]);
    expect(claimedOf(2, ...jobs)).toEqual(["o2", "o3"]);
    expect(claimedOf(9, ...jobs)).toEqual(["o1", "o2", "o3", "o4"]);
  });

  it("takes of a concurrency key what there is room for, and one where no limit is told", () => {
    const jobs = ["o1", "o2", "o3"].map((ordinal) => keyed(ordinal, 2));
    expect(claimedOf(9, ...jobs)).toEqual(["o1", "o2"]);
    expect(claimedOf(9, ...jobs, keyed("r", 2, { status: "RUNNING" }))).toEqual(["o1"]);
    expect(claimedOf(9, keyed("o1", null), keyed("o2", null))).toEqual(["o1"]);
    const others = ["SUSPENDED", "COMPLETED", "FAILED"] as const;
    const over = others.map((status) => keyed(status, 1, { status }));
    expect(claimedOf(9, ...over, keyed("o1", 1))).toEqual(["o1"]);
  });

  it("holds up the jobs of a key behind one that has no room, and no others", () => {
    const running = keyed("r", 3, { status: "RUNNING" });
    const jobs = [keyed("o1", 3), keyed("o2", 1), keyed("o3", 9), aJob({ ordinal: "o4" })];
    expect(claimedOf(9, running, ...jobs)).toEqual(["o1", "o4"]);
    expect(claimedOf(1, running, ...jobs)).toEqual(["o1"]);
    expect(claimedOf(1, running, keyed("o2", 1), keyed("o3", 9), aJob({ ordinal: "o4" }))).toEqual([
      "o4",
    ]);
  });
});

describe("resumeJobs", () => {
  const suspended = (ordinal: string, nextPollAt: number | null) =>
    aJob({ ordinal, status: "SUSPENDED", nextPollAt, attempt: 1 });

  it("makes the longest due PENDING, with an attempt more", () => {
    const state = aState(suspended("o1", 20), suspended("o2", 10), suspended("o3", 30));
    applyChanges(state, [{ kind: "resumeJobs", limit: 2, at: 30 + UNPOLLED_MS }], id("b"));
    expect(state.jobs.get("run", "o2")).toEqual({
      ...suspended("o2", 10).row,
      ...KEPT,
      resumeAt: 10 + UNPOLLED_MS,
      status: "PENDING",
      maxAttempts: 4,
      updatedAt: 30 + UNPOLLED_MS,
      commits: id("b") + id("a"),
    });
    expect([...state.jobs.all()].map(({ status }) => status)).toEqual([
      "PENDING",
      "PENDING",
      "SUSPENDED",
    ]);
  });

  it("leaves alone what is not due, has no instant, or is not suspended", () => {
    const state = aState(suspended("o1", 31), suspended("o2", null), aJob({ ordinal: "o3" }));
    const before = contentOf(state);
    applyChanges(state, [{ kind: "resumeJobs", limit: 9, at: 30 }], id("b"));
    expect(contentOf(state)).toEqual(before);
  });
});

describe("a fence", () => {
  it("keeps every change from a job that another attempt has", () => {
    const changes: Change[] = [
      { kind: "completeJob", ...jobKey, at: 30 },
      { kind: "suspendJob", ...jobKey, nextPollAt: 40, resumeAt: 40, at: 30 },
      { kind: "failJob", ...jobKey, error: "", retry: null, at: 30 },
      { kind: "touchJob", ...jobKey, at: 30 },
    ];
    for (const change of changes) {
      const written = [0, 1, 2].filter(
        (attempt) => jobAfter({}, { ...change, attempt } as Change)?.commits !== id("a"),
      );
      expect(written, change.kind).toEqual([1]);
    }
  });
});

describe("completeJob", () => {
  const complete: Change = { kind: "completeJob", ...jobKey, at: 30 };

  it("completes and keeps the lease's columns", () => {
    expect(jobAfter({}, complete)).toEqual({
      ...aLeasedJob().row,
      ...KEPT,
      status: "COMPLETED",
      completedAt: 30,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("does nothing to a terminal job", () => {
    expect(statusesChanged({}, complete)).toEqual(OPEN);
  });
});

describe("cancelJobs", () => {
  const cancel = { kind: "cancelJobs", workflowRunId: "run", at: 30 } as const;

  it("cancels", () => {
    expect(jobAfter({ status: "SUSPENDED" }, cancel)).toEqual({
      ...aLeasedJob().row,
      ...KEPT,
      status: "CANCELLED",
      completedAt: 30,
      updatedAt: 30,
      commits: id("b") + id("a"),
    });
  });

  it("cancels every PENDING and SUSPENDED job of the run, and no other", () => {
    const jobs = STATUSES.map((status) => aJob({ ordinal: status, status }));
    const state = aState(...jobs, aJob({ workflowRunId: "other" }));
    applyChanges(state, [cancel], id("b"));
    const written = [...state.jobs.all()].filter((job) => job.commits !== id("a"));
    expect(written.map((job) => job.ordinal)).toEqual(["PENDING", "SUSPENDED"]);
  });

  it("cancels leased jobs, too, where that is asked for", () => {
    const jobs = STATUSES.map((status) => aJob({ ordinal: status, status }));
    const state = aState(...jobs);
    applyChanges(state, [{ ...cancel, leased: true }], id("b"));
    const written = [...state.jobs.all()].filter((job) => job.commits !== id("a"));
    expect(written.map((job) => job.ordinal)).toEqual(["PENDING", "RUNNING", "SUSPENDED"]);
    expect(written.map((job) => job.status)).toEqual(["CANCELLED", "CANCELLED", "CANCELLED"]);
  });
});

describe("a change of an unknown job", () => {
  it("does nothing", () => {
    const state = aState(aLeasedJob());
    const unknown = { workflowRunId: "other", ordinal: "o1", at: 30 };
    applyChanges(
      state,
      [
        { kind: "completeJob", ...unknown },
        { kind: "suspendJob", ...unknown, nextPollAt: 40, resumeAt: 40 },
        { kind: "failJob", ...unknown, error: "", retry: RETRY },
        { kind: "returnJob", ...unknown, error: "", retry: RETRY },
        { kind: "touchJob", ...unknown },
        { kind: "releaseJob", ...unknown, staleBefore: 99, error: "" },
        { kind: "cancelJobs", workflowRunId: "other", at: 30 },
      ],
      id("b"),
    );
    expect(contentOf(state)).toEqual(contentOf(aState(aLeasedJob())));
  });
});
