import { describe, expect, it } from "vitest";
import { type Change } from "../../src/changes/index.ts";
import { PAGE_ROWS, type QueryOf } from "../../src/queries/index.ts";
import { applyChanges } from "../changes/support.ts";
import { answerAny as answer } from "../../src/memory/answers/index.ts";
import { aJob, aLeasedJob, aState, id, KEPT } from "../memory/support.ts";

function idsOf(jobs: readonly { workflowRunId: string; ordinal: string }[]) {
  return jobs.map((job) => `${job.workflowRunId}/${job.ordinal}`);
}

describe("job", () => {
  it("answers the row or null", () => {
    const query = { q: "job", workflowRunId: "run", ordinal: "o1" } as const;
    expect(answer(aState(aJob()), query)).toEqual({ ...aJob().row, ...KEPT, commits: id("a") });
    expect(answer(aState(aJob()), { ...query, ordinal: "x" })).toBeNull();
  });
});

describe("jobs", () => {
  it("answers the run's jobs by ordinal", () => {
    const state = aState(
      aJob({ ordinal: "o2" }),
      aJob({ ordinal: "o1", status: "FAILED" }),
      aJob({ workflowRunId: "other" }),
    );
    const query = { q: "jobs", workflowRunId: "run" } as const;
    expect(idsOf(answer(state, query))).toEqual(["run/o1", "run/o2"]);
    expect(answer(state, { ...query, workflowRunId: "x" })).toEqual([]);
  });
});

describe("claimedJobs", () => {
  const claim: Change = { kind: "claimJobs", workerId: "w", limit: 1, at: 30 };

  it("answers the jobs that the commit's claim took", () => {
    const state = aState(aJob(), aJob({ ordinal: "o2" }));
    applyChanges(state, [claim], id("b"));
    applyChanges(state, [claim], id("c"));
    const query = { q: "claimedJobs", since: 30 } as const;
    expect(idsOf(answer(state, { ...query, commitId: id("b") }))).toEqual(["run/o1"]);
    expect(idsOf(answer(state, { ...query, commitId: id("c") }))).toEqual(["run/o2"]);
  });

  it("answers none when the claim took none", () => {
    const state = aState(aLeasedJob({ lockedAt: 30 }));
    applyChanges(state, [claim], id("b"));
    expect(answer(state, { q: "claimedJobs", since: 30, commitId: id("b") })).toEqual([]);
    expect(answer(state, { q: "claimedJobs", since: 31, commitId: id("a") })).toEqual([]);
  });
});

describe("cancelledJobs", () => {
  it("counts the jobs of the run that this commit cancelled", () => {
    const state = aState(aJob(), aJob({ ordinal: "o2" }), aJob({ workflowRunId: "other" }));
    const cancel = { kind: "cancelJobs", at: 30 } as const;
    applyChanges(
      state,
      [
        { ...cancel, workflowRunId: "run" },
        { ...cancel, workflowRunId: "other" },
      ],
      id("b"),
    );
    applyChanges(state, [{ ...cancel, workflowRunId: "run" }], id("c"));
    const query = { q: "cancelledJobs", workflowRunId: "run" } as const;
    expect(answer(state, { ...query, commitId: id("b") })).toBe(2);
    expect(answer(state, { ...query, commitId: id("c") })).toBe(0);
    expect(answer(state, { ...query, commitId: id("a") })).toBe(0);
  });
});

describe("staleJobs", () => {
  it("answers leases from before, by lockedAt, then run and ordinal, the first ones", () => {
    const state = aState(
      aLeasedJob({ workflowRunId: "b", lockedAt: 20 }),
      aLeasedJob({ workflowRunId: "a", ordinal: "o2", lockedAt: 20 }),
      aLeasedJob({ workflowRunId: "a", ordinal: "o1", lockedAt: 20 }),
      aLeasedJob({ workflowRunId: "c", lockedAt: 10 }),
      aLeasedJob({ workflowRunId: "d", lockedAt: 30 }),
      aLeasedJob({ workflowRunId: "e", lockedAt: null }),
      aJob({ workflowRunId: "f", lockedAt: 10 }),
    );
    const query = { q: "staleJobs", before: 30, limit: 10 } as const;
    expect(idsOf(answer(state, query))).toEqual(["c/o1", "a/o1", "a/o2", "b/o1"]);
    expect(idsOf(answer(state, { ...query, limit: 2 }))).toEqual(["c/o1", "a/o1"]);
  });
});

describe("suspendedJobs", () => {
  function suspended(workflowRunId: string, ordinal: string, nextPollAt: number | null) {
    return aJob({ workflowRunId, ordinal, nextPollAt, status: "SUSPENDED" });
  }
  const state = aState(
    suspended("b", "o1", 20),
    suspended("a", "o2", 20),
    suspended("a", "o1", 20),
    suspended("a", "o3", 30),
    suspended("a", "o4", 31),
    suspended("a", "o5", null),
    aJob({ nextPollAt: 10 }),
  );

  function places(after: QueryOf<"suspendedJobs">["after"] = null) {
    return idsOf(answer(state, { q: "suspendedJobs", now: 30, after }));
  }

  it("answers those due, by nextPollAt, then run and ordinal", () => {
    expect(places()).toEqual(["a/o1", "a/o2", "b/o1", "a/o3"]);
  });

  it("goes on after a place", () => {
    expect(places({ nextPollAt: 20, workflowRunId: "a", ordinal: "o2" })).toEqual(["b/o1", "a/o3"]);
  });

  it("answers one page", () => {
    const many = Array.from({ length: PAGE_ROWS + 1 }, (_, index) =>
      suspended(`r${index}`, "o", 1),
    );
    const query = { q: "suspendedJobs", now: 30, after: null } as const;
    expect(answer(aState(...many), query)).toHaveLength(PAGE_ROWS);
  });
});
