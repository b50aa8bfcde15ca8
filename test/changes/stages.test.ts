/** Changes of all of a run's stages. */
import { describe, expect, it } from "vitest";
import type { Change } from "../../src/changes/index.ts";
import { applyChanges } from "./support.ts";
import type { State } from "../../src/model/state.ts";
import { STATUSES } from "../../src/model/status.ts";
import {
  aLog,
  anAnnotation,
  anArtifact,
  aRun,
  aStage,
  aState,
  contentOf,
  id,
  UNATTENDED,
} from "../memory/support.ts";

describe("cancelStages", () => {
  const cancel: Change = { kind: "cancelStages", workflowRunId: "run", at: 30 };

  it("cancels every open stage of the run, and nobody has to attend to it", () => {
    const state = aState(aRun(), aStage({ status: "SUSPENDED", nextPollAt: 20 }));
    applyChanges(state, [cancel], id("b"));
    expect(state.stages.get("run", "stage")).toEqual({
      ...aStage().row,
      ...UNATTENDED,
      status: "CANCELLED",
      completedAt: 30,
      updatedAt: 30,
      version: 2,
      commits: id("b") + id("a"),
    });
  });

  it("leaves those alone that are over, and other runs", () => {
    const stages = STATUSES.map((status) => aStage({ stageId: status, status }));
    const state = aState(aRun(), ...stages, aStage({ workflowRunId: "other" }));
    applyChanges(state, [cancel], id("b"));
    const written = [...state.stages.all()].filter(({ commits }) => commits !== id("a"));
    expect(written.map(({ stageId }) => stageId)).toEqual(["PENDING", "RUNNING", "SUSPENDED"]);
  });
});

describe("archiveStages", () => {
  const archive: Change = {
    kind: "archiveStages",
    workflowRunId: "run",
    stageId: "from",
    group: 2,
    at: 30,
  };

  /** Names of stages that are there, and of those that are archived. */
  function placesOf(state: State): Record<"there" | "archived", string[]> {
    const names = (rows: Iterable<{ stageId: string }>) => [...rows].map((row) => row.stageId);
    return { there: names(state.stages.all()), archived: names(state.stageAttempts.all()) };
  }

  it("moves the stage and all of later groups, and leaves those of earlier groups", () => {
    const state = aState(
      aRun(),
      aStage({ stageId: "before", executionGroup: 1, status: "FAILED" }),
      aStage({ stageId: "from", executionGroup: 2, status: "COMPLETED" }),
      aStage({ stageId: "after", executionGroup: 3, status: "COMPLETED" }),
      aStage({ stageId: "last", executionGroup: 9, status: "PENDING" }),
      aStage({ workflowRunId: "other", stageId: "from", executionGroup: 2 }),
    );
    applyChanges(state, [archive], id("b"));
    expect(placesOf(state)).toEqual({
      there: ["before", "from"],
      archived: ["from", "after", "last"],
    });
  });

  it("leaves siblings of its group that are done, and moves those that are not", () => {
    const siblings = STATUSES.map((status) =>
      aStage({ stageId: status, executionGroup: 2, status }),
    );
    const state = aState(aRun(), ...siblings);
    applyChanges(state, [archive], id("b"));
    expect(placesOf(state)).toEqual({
      there: ["COMPLETED", "SKIPPED"],
      archived: STATUSES.filter((status) => status !== "COMPLETED" && status !== "SKIPPED"),
    });
    const cancelled = { status: "CANCELLED", completedAt: 30, nextPollAt: null };
    for (const status of ["PENDING", "RUNNING", "SUSPENDED"]) {
      const archived = [...state.stageAttempts.all()].find(({ stageId }) => stageId === status);
      expect(archived).toMatchObject(cancelled);
    }
  });

  it("moves the row of a stage that has ended as it is, under its record id, and leaves what refers to it", () => {
    const status = "COMPLETED";
    const outputData = '{"pages":9}';
    const stage = aStage({ stageId: "from", executionGroup: 2, status, outputData });
    const reference = { workflowStageId: stage.row.id };
    const others = [
      aLog(reference),
      anArtifact(reference),
      anAnnotation({ workflowStageRecordId: stage.row.id }),
    ];
    const state = aState(aRun(), stage, ...others);
    applyChanges(state, [archive], id("b"));
    expect(state.stageAttempts.get("run", stage.row.id)).toEqual({
      ...stage.row,
      ...UNATTENDED,
      commits: id("a"),
    });
    expect(contentOf(state)).toMatchObject({
      logs: [reference],
      artifacts: [reference],
      annotations: [{ workflowStageRecordId: stage.row.id }],
    });
  });

  it("keeps each attempt of a stage that runs again and again", () => {
    const state = aState(aRun());
    for (const attempt of [0, 1, 2]) {
      const stage = aStage({ stageId: "from", id: `run/from/${attempt}`, executionGroup: 2 });
      applyChanges(state, [{ ...stage, row: { ...stage.row, attempt } }, archive], id("b"));
    }
    expect([...state.stageAttempts.all()].map(({ attempt }) => attempt)).toEqual([0, 1, 2]);
  });

  it("refuses a record id that an archived stage has, and changes nothing", () => {
    const state = aState(aRun(), aStage({ stageId: "from", executionGroup: 2 }));
    applyChanges(state, [archive], id("b"));
    const before = contentOf(state);
    const again = aStage({ stageId: "from", executionGroup: 2 });
    expect(() => applyChanges(state, [again, archive], id("c"))).toThrow(
      "creates a row of stageAttempts anew",
    );
    expect(contentOf(state)).toEqual(before);
  });
});
