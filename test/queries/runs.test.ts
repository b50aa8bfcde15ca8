import { describe, expect, it } from "vitest";
import { type Change } from "../../src/changes/index.ts";
import { PAGE_ROWS, type QueryOf } from "../../src/queries/index.ts";
import { answerAny as answer } from "../../src/memory/answers/index.ts";
import {
  aJob,
  aLeasedJob,
  aRun,
  aStage,
  aStageRow,
  aState,
  id,
  UNATTENDED,
} from "../memory/support.ts";

describe("run", () => {
  it("answers the row or null", () => {
    const state = aState(aRun());
    expect(answer(state, { q: "run", id: "run" })).toEqual({ ...aRun().row, commits: id("a") });
    expect(answer(state, { q: "run", id: "x" })).toBeNull();
  });

  it("answers a row that nobody can change", () => {
    expect(answer(aState(aRun()), { q: "run", id: "run" })).toSatisfy(Object.isFrozen);
  });
});

describe("runStatus", () => {
  it("answers the status or null", () => {
    const state = aState(aRun({ status: "FAILED" }));
    expect(answer(state, { q: "runStatus", id: "run" })).toBe("FAILED");
    expect(answer(state, { q: "runStatus", id: "x" })).toBeNull();
  });
});

const priorities: Change[] = [
  aRun({ id: "a", priority: 1, ordinal: "o1" }),
  aRun({ id: "b", priority: 9, ordinal: "o3" }),
  aRun({ id: "c", priority: 9, ordinal: "o2" }),
  aRun({ id: "d", priority: 5, ordinal: "o4" }),
  aRun({ id: "e", status: "RUNNING" }),
];

describe("pendingRuns", () => {
  it("answers the first PENDING ones by priority, then ordinal", () => {
    const state = aState(...priorities);
    const query = { q: "pendingRuns", limit: 3 } as const;
    expect(answer(state, query).map((run) => run.id)).toEqual(["c", "b", "d"]);
    expect(answer(state, { ...query, limit: 0 })).toEqual([]);
  });
});

describe("stuckRuns", () => {
  const since = 100;
  const now = 200;

  function stuck(...changes: Change[]) {
    const query = { q: "stuckRuns", since, now } as const;
    return answer(aState(...changes), query).map((run) => run.id);
  }

  const aRunningRun = aRun({ status: "RUNNING", updatedAt: since });

  it("answers RUNNING runs that nothing has updated since", () => {
    expect(stuck(aRunningRun)).toEqual(["run"]);
    expect(stuck(aRun({ status: "RUNNING", updatedAt: since + 1 }))).toEqual([]);
    expect(stuck(aRun({ status: "SUSPENDED" }))).toEqual([]);
  });

  it("answers them by updatedAt, then ordinal", () => {
    const runs = [
      aRun({ id: "a", status: "RUNNING", updatedAt: 50, ordinal: "o2" }),
      aRun({ id: "b", status: "RUNNING", updatedAt: 50, ordinal: "o1" }),
      aRun({ id: "c", status: "RUNNING", updatedAt: 40, ordinal: "o3" }),
    ];
    expect(stuck(...runs)).toEqual(["c", "b", "a"]);
  });

  it("leaves out a run with a stage updated since", () => {
    expect(stuck(aRunningRun, aStage({ updatedAt: since }))).toEqual(["run"]);
    expect(
      stuck(aRunningRun, aStage({ updatedAt: since }), aStage({ stageId: "b", updatedAt: 101 })),
    ).toEqual([]);
  });

  it("leaves out a run with a suspended stage that is to be polled later", () => {
    const suspended = { status: "SUSPENDED", nextPollAt: now + 1 } as const;
    expect(stuck(aRunningRun, aStage(suspended))).toEqual([]);
    expect(stuck(aRunningRun, aStage({ ...suspended, nextPollAt: now }))).toEqual(["run"]);
    expect(stuck(aRunningRun, aStage({ ...suspended, nextPollAt: null }))).toEqual(["run"]);
    expect(stuck(aRunningRun, aStage({ ...suspended, status: "FAILED" }))).toEqual(["run"]);
  });

  it("leaves out a run with a job leased since", () => {
    expect(stuck(aRunningRun, aLeasedJob({ lockedAt: since + 1 }))).toEqual([]);
    expect(stuck(aRunningRun, aLeasedJob({ lockedAt: since }))).toEqual(["run"]);
    expect(stuck(aRunningRun, aJob({ status: "FAILED", lockedAt: since + 1 }))).toEqual(["run"]);
  });

  it("leaves out a run with a pending job that is not yet due", () => {
    expect(stuck(aRunningRun, aJob({ nextPollAt: now + 1 }))).toEqual([]);
    expect(stuck(aRunningRun, aJob({ nextPollAt: now }))).toEqual(["run"]);
    expect(stuck(aRunningRun, aJob({ status: "SUSPENDED", nextPollAt: now + 1 }))).toEqual(["run"]);
  });

  it("leaves out a run with a pending job while any run has a job leased since", () => {
    const elsewhere = aLeasedJob({ workflowRunId: "other", lockedAt: since + 1 });
    expect(stuck(aRunningRun, aJob(), elsewhere)).toEqual([]);
    expect(stuck(aRunningRun, elsewhere)).toEqual(["run"]);
    expect(stuck(aRunningRun, aJob({ status: "SUSPENDED" }), elsewhere)).toEqual(["run"]);
    expect(
      stuck(aRunningRun, aJob(), aLeasedJob({ workflowRunId: "other", lockedAt: since })),
    ).toEqual(["run"]);
  });
});

describe("stage", () => {
  it("answers the row or null", () => {
    const state = aState(aStage());
    const query = { q: "stage", workflowRunId: "run", stageId: "stage" } as const;
    expect(answer(state, query)).toEqual({ ...aStageRow(), ...UNATTENDED, commits: id("a") });
    expect(answer(state, { ...query, stageId: "x" })).toBeNull();
    expect(answer(state, { ...query, workflowRunId: "x" })).toBeNull();
  });
});

describe("stageById", () => {
  it("answers the row whose record id it is, or null", () => {
    const state = aState(aStage());
    const query = { q: "stageById", workflowRunId: "run", stageId: "stage" } as const;
    expect(answer(state, { ...query, id: "run/stage/1" })?.stageId).toBe("stage");
    expect(answer(state, { ...query, id: "run/stage/2" })).toBeNull();
    expect(answer(state, { ...query, stageId: "x", id: "run/stage/1" })).toBeNull();
  });
});

describe("stages", () => {
  const state = aState(
    aStage({ stageId: "a", executionGroup: 2, stageNumber: 1 }),
    aStage({ stageId: "\u{1f600}", executionGroup: 1, stageNumber: 2, status: "FAILED" }),
    aStage({ stageId: "\ufffd", executionGroup: 1, stageNumber: 2, nextPollAt: 30 }),
    aStage({ stageId: "d", executionGroup: 1, stageNumber: 10 }),
    aStage({ stageId: "x", workflowRunId: "other" }),
  );

  function ids(options: Partial<QueryOf<"stages">> = {}) {
    const all = { status: null, beforeGroup: null, withoutNextPoll: false, limit: null };
    const query = { q: "stages", workflowRunId: "run", descending: false, ...all } as const;
    return answer(state, { ...query, ...options }).map((stage) => stage.stageId);
  }

  it("answers by group, number, then id in the order of UTF-8", () => {
    expect(ids()).toEqual(["\ufffd", "\u{1f600}", "d", "a"]);
  });

  it("reverses all three", () => {
    expect(ids({ descending: true })).toEqual(["a", "d", "\u{1f600}", "\ufffd"]);
  });

  it("filters, then limits", () => {
    expect(ids({ status: "FAILED" })).toEqual(["\u{1f600}"]);
    expect(ids({ status: "PENDING", limit: 2 })).toEqual(["\ufffd", "d"]);
    expect(ids({ beforeGroup: 2, descending: true, limit: 1 })).toEqual(["d"]);
    expect(ids({ withoutNextPoll: true })).toEqual(["\u{1f600}", "d", "a"]);
    expect(ids({ limit: 0 })).toEqual([]);
  });
});

describe("suspendedStages", () => {
  function suspended(workflowRunId: string, stageId: string, nextPollAt: number | null) {
    return aStage({ workflowRunId, stageId, nextPollAt, status: "SUSPENDED" });
  }
  const state = aState(
    suspended("b", "s1", 20),
    suspended("a", "s2", 20),
    suspended("a", "s1", 20),
    suspended("a", "s3", 10),
    suspended("a", "s4", 31),
    suspended("a", "s5", null),
    aStage({ stageId: "s6", nextPollAt: 10 }),
  );

  function places(after: QueryOf<"suspendedStages">["after"] = null) {
    const query = { q: "suspendedStages", before: 30, after } as const;
    return answer(state, query).map((stage) => `${stage.workflowRunId}/${stage.stageId}`);
  }

  it("answers those due, by nextPollAt, then run and stage", () => {
    expect(places()).toEqual(["a/s3", "a/s1", "a/s2", "b/s1"]);
  });

  it("includes those due at that very instant", () => {
    const query = { q: "suspendedStages", before: 31, after: null } as const;
    expect(answer(state, query)).toHaveLength(5);
  });

  it("goes on after a place", () => {
    expect(places({ nextPollAt: 20, workflowRunId: "a", stageId: "s1" })).toEqual(["a/s2", "b/s1"]);
    expect(places({ nextPollAt: 20, workflowRunId: "b", stageId: "s1" })).toEqual([]);
  });

  it("answers one page", () => {
    const many = Array.from({ length: PAGE_ROWS + 1 }, (_, index) =>
      suspended(`r${index}`, "s", 1),
    );
    const query = { q: "suspendedStages", before: 30, after: null } as const;
    expect(answer(aState(...many), query)).toHaveLength(PAGE_ROWS);
  });
});
