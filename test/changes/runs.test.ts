import { describe, expect, it } from "vitest";
import type { RunSet, StageSet } from "../../src/model/index.ts";
import { applyChanges } from "./support.ts";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import {
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  aRun,
  aStage,
  aStageRow,
  aState,
  contentOf,
  id,
  UNATTENDED,
} from "../memory/support.ts";

describe("createRun", () => {
  it("inserts the row", () => {
    const change = aRun();
    expect(aState(change).runs.get("run", "")).toEqual({ ...change.row, commits: id("a") });
  });
});

describe("updateRun", () => {
  it("sets the columns, updatedAt and the version, and nothing else", () => {
    const state = aState(aRun(), aRun({ id: "other" }));
    const set: RunSet = {
      status: "COMPLETED",
      startedAt: 20,
      completedAt: 30,
      duration: 9.5,
      output: "1",
      totalCost: 0.5,
      totalTokens: 7,
    };
    applyChanges(state, [{ kind: "updateRun", id: "run", set, at: 31, bump: 3 }], id("b"));
    expect(state.runs.get("run", "")).toEqual({
      ...aRun().row,
      ...set,
      updatedAt: 31,
      version: 4,
      commits: id("b") + id("a"),
    });
    expect(state.runs.get("other", "")).toEqual({ ...aRun({ id: "other" }).row, commits: id("a") });
  });

  it("clears with null and leaves alone what is absent or undefined", () => {
    const state = aState(aRun({ output: "1", duration: 5, startedAt: 20 }));
    const set = { output: null, duration: undefined };
    applyChanges(state, [{ kind: "updateRun", id: "run", set, at: 31, bump: 0 }], id("b"));
    expect(state.runs.get("run", "")).toMatchObject({
      output: null,
      duration: 5,
      startedAt: 20,
      version: 1,
    });
  });

  it("does nothing to a run that does not exist", () => {
    const state = aState(aRun());
    applyChanges(state, [{ kind: "updateRun", id: "x", set: {}, at: 31, bump: 1 }], id("b"));
    expect(contentOf(state)).toEqual(contentOf(aState(aRun())));
  });
});

describe("createStage", () => {
  it("inserts the row", () => {
    const change = aStage();
    expect(aState(change).stages.get("run", "stage")).toEqual({
      ...change.row,
      ...UNATTENDED,
      commits: id("a"),
    });
  });
});

const everyColumn = {
  status: "SUSPENDED",
  startedAt: 20,
  completedAt: 21,
  duration: 1.5,
  outputData: "1",
  config: "2",
  suspendedState: "3",
  resumeData: "4",
  nextPollAt: 22,
  pollInterval: 2.5,
  maxWaitUntil: 23,
  metrics: "5",
  embeddingInfo: "6",
  errorMessage: "7",
} satisfies Required<StageSet>;

describe("updateStage", () => {
  it("sets the columns, updatedAt and the version, and nothing else", () => {
    const state = aState(aStage(), aStage({ stageId: "other" }));
    applyChanges(
      state,
      [
        {
          kind: "updateStage",
          workflowRunId: "run",
          stageId: "stage",
          set: everyColumn,
          at: 31,
          bump: 2,
        },
      ],
      id("b"),
    );
    expect(state.stages.get("run", "stage")).toEqual({
      ...aStageRow(),
      ...everyColumn,
      attendAt: 22 + UNPOLLED_MS,
      updatedAt: 31,
      version: 3,
      commits: id("b") + id("a"),
    });
    expect(state.stages.get("run", "other")?.commits).toBe(id("a"));
  });

  it("clears with null and leaves alone what is absent or undefined", () => {
    const state = aState(aStage(everyColumn));
    const set = { nextPollAt: null, metrics: undefined };
    applyChanges(
      state,
      [{ kind: "updateStage", workflowRunId: "run", stageId: "stage", set, at: 31, bump: 1 }],
      id("b"),
    );
    expect(state.stages.get("run", "stage")).toMatchObject({
      ...everyColumn,
      nextPollAt: null,
    });
  });

  it("does nothing to a stage that does not exist", () => {
    const state = aState(aStage());
    applyChanges(
      state,
      [{ kind: "updateStage", workflowRunId: "run", stageId: "x", set: {}, at: 31, bump: 1 }],
      id("b"),
    );
    expect(contentOf(state)).toEqual(contentOf(aState(aStage())));
  });
});

describe("upsertStage", () => {
  it("inserts the row where there is none, without the set", () => {
    const row = aStageRow();
    const state = aState({ kind: "upsertStage", row, set: { status: "FAILED" } });
    expect(state.stages.get("run", "stage")).toEqual({ ...row, ...UNATTENDED, commits: id("a") });
  });

  it("updates a stage that exists, at the row's updatedAt, and ignores the rest of the row", () => {
    const state = aState(aStage());
    const row = aStageRow({ id: "run/stage/2", stageName: "New", createdAt: 40, updatedAt: 41 });
    const set: StageSet = { status: "RUNNING" };
    applyChanges(state, [{ kind: "upsertStage", row, set }], id("b"));
    expect(state.stages.get("run", "stage")).toEqual({
      ...aStageRow(),
      ...UNATTENDED,
      status: "RUNNING",
      updatedAt: 41,
      version: 2,
      commits: id("b") + id("a"),
    });
  });
});

describe("deleteStage", () => {
  const stage = { workflowStageId: "run/stage/1" };
  const other = { workflowStageId: "run/other/1" };

  function deleted() {
    const state = aState(
      aStage(),
      aStage({ stageId: "other" }),
      aLog(stage),
      aLog({ ...other, ordinal: "o2" }),
      anArtifact(stage),
      anArtifact({ ...other, key: "other" }),
      anAnnotation({ workflowStageRecordId: "run/stage/1" }),
      anAnnotation({ workflowStageRecordId: "run/other/1", ordinal: "o2" }),
    );
    const change = { kind: "deleteStage", workflowRunId: "run", stageId: "stage" } as const;
    applyChanges(state, [{ ...change, id: "run/stage/1" }], id("b"));
    return state;
  }

  it("deletes the stage and its logs", () => {
    const state = deleted();
    expect([...state.stages.part("run").keys()]).toEqual(["other"]);
    expect([...state.logs.part("run").keys()]).toEqual(["o2"]);
  });

  it("nulls the reference of artifacts and annotations, and so changes their tokens", () => {
    const state = deleted();
    expect(state.artifacts.get("run", "key")).toEqual({
      ...anArtifact().row,
      workflowStageId: null,
      commits: id("b") + id("a"),
    });
    expect(state.annotations.get("run", "o1")).toEqual({
      ...anAnnotation().row,
      workflowStageRecordId: null,
      commits: id("b") + id("a"),
    });
  });

  it("leaves what belongs to another stage alone", () => {
    const state = deleted();
    expect(state.artifacts.get("run", "other")).toMatchObject({ ...other, commits: id("a") });
    expect(state.annotations.get("run", "o2")).toMatchObject({
      workflowStageRecordId: "run/other/1",
      commits: id("a"),
    });
  });

  it("frees the pair for a stage of the same commit", () => {
    const state = aState(aStage());
    applyChanges(
      state,
      [
        { kind: "deleteStage", workflowRunId: "run", stageId: "stage", id: "run/stage/1" },
        aStage({ id: "run/stage/2" }),
      ],
      id("b"),
    );
    expect(state.stages.get("run", "stage")).toEqual({
      ...aStageRow({ id: "run/stage/2" }),
      ...UNATTENDED,
      commits: id("b"),
    });
  });

  it("does nothing when there is no such stage", () => {
    const state = aState(aStage());
    const change = { kind: "deleteStage", workflowRunId: "run", stageId: "x" } as const;
    applyChanges(state, [{ ...change, id: "run/x/1" }], id("b"));
    expect(contentOf(state)).toEqual(contentOf(aState(aStage())));
  });
});

describe("chargeRun", () => {
  const charge = { kind: "chargeRun", id: "run", cost: 0.25, tokens: 30, at: 31 } as const;

  it("adds to the cost and the tokens, and leaves the version", () => {
    const before = aRun({ totalCost: 0.5, totalTokens: 7 });
    const state = aState(before, aRun({ id: "other" }));
    applyChanges(state, [charge, { ...charge, cost: 0, tokens: 1 }], id("b"));
    expect(state.runs.get("run", "")).toEqual({
      ...before.row,
      totalCost: 0.75,
      totalTokens: 38,
      updatedAt: 31,
      commits: id("b") + id("a"),
    });
    expect(state.runs.get("other", "")?.commits).toBe(id("a"));
  });

  it("adds what calls cost that are not recorded yet", () => {
    const state = aState(aRun({ totalCost: 0.5, totalTokens: 7 }), anAiCall({ ordinal: "known" }));
    const { batchId } = anAiCall().row;
    const calls = [
      { batchId, ordinal: "known", cost: 4, tokens: 400 },
      { batchId, ordinal: "new", cost: 2, tokens: 20 },
    ];
    applyChanges(state, [{ ...charge, calls }], id("b"));
    expect(state.runs.get("run", "")).toMatchObject({ totalCost: 2.75, totalTokens: 57 });
  });

  it("does nothing to a run that does not exist", () => {
    const state = aState(aRun());
    applyChanges(state, [{ ...charge, id: "other" }], id("b"));
    expect(contentOf(state)).toEqual(contentOf(aState(aRun())));
  });
});
