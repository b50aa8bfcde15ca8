/** Jobs that take a run through its stages. */
import { describe, expect, it } from "vitest";
import { type Change, type ChangeOf, servedKind } from "../../src/changes/index.ts";
import { applyChanges } from "./support.ts";
import { type JobRow, parkedUntil } from "../../src/model/index.ts";
import { STATUSES } from "../../src/model/status.ts";
import {
  aJob,
  aLeasedJob,
  aMove,
  aRun,
  aSignal,
  aStage,
  aState,
  contentOf,
  id,
  KEPT,
} from "../memory/support.ts";
import { jobAfter, jobKey, statusesChanged } from "./one-job.ts";

/** The leased job after the change, with these others there before. */
function leasedAfter(change: Change, ...before: Change[]): JobRow | undefined {
  const state = aState(aRun(), ...before, aLeasedJob());
  applyChanges(state, [change], id("b"));
  return state.jobs.get("run", "o1");
}

/** What every move leaves, as long as the worker keeps the lease. */
const MOVED = {
  ...aLeasedJob().row,
  ...KEPT,
  stageId: "next",
  updatedAt: 30,
  commits: id("b") + id("a"),
};
const RELEASED = { ...MOVED, workerId: null, lockedAt: null };

describe("moveJob", () => {
  const running = aMove({ state: "running" });

  it("forgets what went wrong in the stage before, and takes the key that is given", () => {
    const before = { failures: 2, undelivered: 3, unanswered: 1, lastError: "Timeout" };
    const limits = { concurrencyKey: "few", concurrencyLimit: 2 };
    expect(jobAfter(before, aMove({ state: "running" }, limits))).toEqual({ ...MOVED, ...limits });
    expect(jobAfter(limits, running)).toMatchObject({
      concurrencyKey: null,
      concurrencyLimit: null,
    });
  });

  it("running: keeps the lease, and counts this attempt as the first of its tries", () => {
    const before = { attempt: 4, maxAttempts: 4 };
    expect(jobAfter(before, aMove({ state: "running" }, { attempt: 4, tries: 3 }))).toEqual({
      ...MOVED,
      attempt: 4,
      maxAttempts: 6,
    });
    expect(jobAfter({}, aMove({ state: "running" }, { tries: 1 }))?.maxAttempts).toBe(1);
  });

  it("pending: any worker may claim it at once, for all of its tries", () => {
    expect(jobAfter({ nextPollAt: 20 }, aMove({ state: "pending" }))).toEqual({
      ...RELEASED,
      status: "PENDING",
      nextPollAt: null,
      maxAttempts: 4,
    });
    const state = aState(aLeasedJob());
    const claim: Change = { kind: "claimJobs", workerId: "w2", limit: 1, at: 31 };
    applyChanges(state, [aMove({ state: "pending" }), claim], id("b"));
    expect(state.jobs.get("run", "o1")).toMatchObject({ status: "RUNNING", attempt: 2 });
  });

  it("pending: is due although the job was delayed before it was claimed", () => {
    const state = aState(aJob({ nextPollAt: 20 }));
    const claim: Change = { kind: "claimJobs", workerId: "w", limit: 1, at: 25 };
    applyChanges(state, [claim], id("b"));
    applyChanges(state, [aMove({ state: "pending" }), { ...claim, at: 30 }], id("c"));
    expect(state.jobs.get("run", "o1")).toMatchObject({ status: "RUNNING", attempt: 2 });
  });

  const suspended = { state: "suspended", until: 99, unlessSignal: null } as const;

  it("suspended: waits for the service to resume it, whatever signals there are", () => {
    expect(leasedAfter(aMove(suspended), aSignal())).toEqual({
      ...RELEASED,
      status: "SUSPENDED",
      nextPollAt: 99,
      resumeAt: 99,
    });
  });

  it("suspended: the attempt that resumes it is the first of its tries", () => {
    const state = aState(aLeasedJob({ attempt: 4, maxAttempts: 4 }));
    const resume: Change = { kind: "resumeJobs", limit: 1, at: 99 };
    const claim: Change = { kind: "claimJobs", workerId: "w", limit: 1, at: 99 };
    applyChanges(state, [aMove(suspended, { attempt: 4, tries: 1 }), resume, claim], id("b"));
    expect(state.jobs.get("run", "o1")).toMatchObject({ attempt: 5, maxAttempts: 5 });
  });

  describe("suspended unless a signal is there", () => {
    const wait = aMove({ state: "suspended", until: 99, unlessSignal: "signal" });

    it("goes on in the hands of its worker if it is", () => {
      expect(leasedAfter(wait, aSignal())).toEqual(MOVED);
    });

    it.each<[string, ChangeOf<"sendSignal">[]]>([
      ["none", []],
      ["a taken one", [aSignal({ takenAt: 20 })]],
      ["one of another name", [aSignal({ name: "signals" })]],
    ])("waits if there is %s", (_, signals) => {
      expect(leasedAfter(wait, ...signals)).toMatchObject({ status: "SUSPENDED", resumeAt: 99 });
    });

    it("waits if the signal is another run's", () => {
      const signal = aSignal({ workflowRunId: "other" });
      expect(leasedAfter(wait, aRun({ id: "other", ordinal: "o2" }), signal)?.status).toBe(
        "SUSPENDED",
      );
    });

    it("meets a signal of the same commit", () => {
      const state = aState(aRun(), aLeasedJob());
      applyChanges(state, [aSignal(), wait], id("b"));
      expect(state.jobs.get("run", "o1")?.status).toBe("RUNNING");
    });
  });

  it.each<ChangeOf<"moveJob">["to"]>([{ state: "running" }, { state: "pending" }, suspended])(
    "does nothing without the lease (%j)",
    (to) => {
      expect(statusesChanged({}, aMove(to))).toEqual(["RUNNING"]);
      expect(jobAfter({ attempt: 2 }, aMove(to))?.commits).toBe(id("a"));
    },
  );

  it("has its job looked at for wake-ups, unless the worker goes on and frees no slot", () => {
    const settles = (change: Change) => servedKind(change).settles(change);
    expect(settles(running)).toBeNull();
    const frees = aMove({ state: "running" }, { frees: "few" });
    expect(settles(frees)).toEqual({ ...jobKey, freed: "few" });
    expect(settles(aMove({ state: "pending" }))).toEqual(jobKey);
    expect(settles(aMove(suspended))).toEqual(jobKey);
  });
});

describe("leaveGroup", () => {
  const leave: Change = {
    kind: "leaveGroup",
    ...jobKey,
    attempt: 1,
    siblings: ["stage", "other"],
    at: 30,
  };

  it("completes the job while a sibling is open", () => {
    const done = aStage({ status: "COMPLETED" });
    for (const status of STATUSES) {
      const other = aStage({ stageId: "other", status });
      const open = ["PENDING", "RUNNING", "SUSPENDED"].includes(status);
      expect(leasedAfter(leave, done, other)).toEqual({
        ...aLeasedJob().row,
        ...KEPT,
        ...(open ? { status: "COMPLETED", completedAt: 30, updatedAt: 30 } : {}),
        commits: open ? id("b") + id("a") : id("a"),
      });
    }
  });

  it("leaves the lease to the last of the group, whatever is open elsewhere", () => {
    const elsewhere = [
      aStage({ status: "FAILED" }),
      aStage({ stageId: "later", status: "PENDING" }),
      aRun({ id: "run2", ordinal: "o2" }),
      aStage({ workflowRunId: "run2", stageId: "other", status: "RUNNING" }),
    ];
    expect(leasedAfter(leave, ...elsewhere)).toMatchObject({ status: "RUNNING", workerId: "w1" });
  });

  it("sees what its own commit has made of the siblings", () => {
    const state = aState(aRun(), aStage({ status: "RUNNING" }), aLeasedJob());
    const set = { status: "COMPLETED" } as const;
    const update = { workflowRunId: "run", stageId: "stage", set, at: 30, bump: 1 };
    applyChanges(state, [{ kind: "updateStage", ...update }, leave], id("b"));
    expect(state.jobs.get("run", "o1")?.status).toBe("RUNNING");
  });

  it("does nothing without the lease", () => {
    const state = aState(aRun(), aStage(), aLeasedJob({ attempt: 2 }));
    applyChanges(state, [leave], id("b"));
    expect(state.jobs.get("run", "o1")?.commits).toBe(id("a"));
    for (const status of STATUSES.filter((each) => each !== "RUNNING")) {
      const other = aState(aRun(), aStage(), aLeasedJob({ status }));
      applyChanges(other, [leave], id("b"));
      expect(other.jobs.get("run", "o1")?.commits).toBe(id("a"));
    }
  });

  it("has its job looked at, for jobs that wait for its slot", () => {
    expect(servedKind(leave).settles(leave)).toEqual(jobKey);
  });
});

describe("dueJobs", () => {
  const due = { kind: "dueJobs", workflowRunId: "run", stageId: null, wakes: 2, at: 30 } as const;
  const waiting = (ordinal: string, stageId: string, nextPollAt: number) =>
    aJob({ ordinal, stageId, status: "SUSPENDED", nextPollAt });

  it("makes those jobs due that a paused run has left, or those of one stage", () => {
    const before = [waiting("1", "a", parkedUntil(5)), waiting("2", "b", 99)];
    for (const [stageId, ordinals] of [
      [null, ["1"]],
      ["b", ["2"]],
    ] as const) {
      const state = aState(
        ...before,
        aJob({ ...waiting("3", "b", parkedUntil(5)).row, workflowRunId: "other" }),
      );
      applyChanges(state, [{ ...due, stageId }], id("b"));
      const made = [...state.jobs.all()].filter(({ nextPollAt }) => nextPollAt === 30);
      expect(made.map(({ ordinal }) => ordinal)).toEqual(ordinals);
      expect(made[0]).toMatchObject({ status: "SUSPENDED", resumeAt: 30, updatedAt: 30 });
    }
  });

  it("leaves every other job alone", () => {
    const others = STATUSES.filter((status) => status !== "SUSPENDED");
    const state = aState(...others.map((status) => aJob({ ordinal: status, status })));
    const before = contentOf(state);
    applyChanges(state, [due], id("b"));
    expect(contentOf(state)).toEqual(before);
  });

  it("is by the service's clock, and calls for as many wake-ups as it says", () => {
    expect(servedKind(due).stamp(due, 77)).toEqual({ ...due, at: 77 });
    const now = { kind: "jobs", at: null };
    expect(servedKind(due).wakes(due)).toEqual([now, now]);
    expect(servedKind(due).wakes({ ...due, wakes: 0 })).toEqual([]);
  });
});
