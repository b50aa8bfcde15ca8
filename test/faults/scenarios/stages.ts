import { NOW } from "../support/time.ts";
import type { Scenario } from "./scenario.ts";

const STAGE = { workflowRunId: "active", stageName: "Publish", stageNumber: 5, executionGroup: 5 };

function upserting(stageId: string) {
  return {
    workflowRunId: "active",
    stageId,
    create: { ...STAGE, stageId },
    update: { status: "RUNNING" as const },
  };
}

export const stageScenarios: readonly Scenario[] = [
  {
    method: "persistence.createStage",
    call: ({ persistence }) =>
      persistence.createStage({ ...STAGE, stageId: "publish", inputData: { pages: 3 } }),
    repeat: { fails: "ALREADY_EXISTS" },
  },
  {
    method: "persistence.createStage",
    title: "of a taken id",
    call: ({ persistence }) => persistence.createStage({ ...STAGE, stageId: "deliver" }),
    repeat: "the same",
  },
  {
    method: "persistence.upsertStage",
    title: "of a new stage",
    call: ({ persistence }) => persistence.upsertStage(upserting("publish")),
    repeat: { adds: "the repeat is the update of what the first has created" },
  },
  {
    method: "persistence.upsertStage",
    title: "of a known stage",
    call: ({ persistence }) => persistence.upsertStage(upserting("deliver")),
    repeat: { adds: "one more version, of the same values" },
  },
  {
    method: "persistence.updateStage",
    call: ({ persistence }, { stages }) =>
      persistence.updateStage(stages.deliver, { outputData: { sent: true }, duration: 1.5 }),
    repeat: { adds: "one more version, of the same values" },
  },
  {
    method: "persistence.updateStage",
    title: "of the expected version",
    call: ({ persistence }, { stages }) =>
      persistence.updateStage(stages.deliver, { status: "RUNNING", expectedVersion: 1 }),
    repeat: { fails: "STALE_VERSION" },
  },
  {
    method: "persistence.updateStage",
    title: "of another version",
    call: ({ persistence }, { stages }) =>
      persistence.updateStage(stages.deliver, { status: "RUNNING", expectedVersion: 9 }),
    repeat: "the same",
  },
  {
    method: "persistence.updateStageByRunAndStageId",
    call: ({ persistence }) =>
      persistence.updateStageByRunAndStageId("active", "deliver", { status: "COMPLETED" }),
    repeat: { adds: "one more version, of the same values" },
  },
  {
    method: "persistence.updateStageByRunAndStageId",
    title: "of the expected version",
    call: ({ persistence }) =>
      persistence.updateStageByRunAndStageId("active", "deliver", {
        status: "COMPLETED",
        expectedVersion: 1,
      }),
    repeat: { fails: "STALE_VERSION" },
  },
  {
    method: "persistence.updateStageByRunAndStageId",
    title: "of another version",
    call: ({ persistence }) =>
      persistence.updateStageByRunAndStageId("active", "deliver", { expectedVersion: 9 }),
    repeat: "the same",
  },
  {
    method: "persistence.getStage",
    call: ({ persistence }) => persistence.getStage("active", "extract"),
    repeat: "the same",
  },
  {
    method: "persistence.getStageById",
    call: ({ persistence }, { stages }) => persistence.getStageById(stages.extract),
    repeat: "the same",
  },
  {
    method: "persistence.getStagesByRun",
    call: ({ persistence }) => persistence.getStagesByRun("active", { orderBy: "desc" }),
    repeat: "the same",
  },
  {
    method: "persistence.getSuspendedStages",
    call: ({ persistence }) => persistence.getSuspendedStages(new Date(NOW)),
    repeat: "the same",
  },
  {
    method: "persistence.getFirstSuspendedStageReadyToResume",
    call: ({ persistence }) => persistence.getFirstSuspendedStageReadyToResume("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getFirstFailedStage",
    call: ({ persistence }) => persistence.getFirstFailedStage("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getLastCompletedStage",
    call: ({ persistence }) => persistence.getLastCompletedStage("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getLastCompletedStageBefore",
    call: ({ persistence }) => persistence.getLastCompletedStageBefore("active", 4),
    repeat: "the same",
  },
  {
    method: "persistence.deleteStage",
    call: ({ persistence }, { stages }) => persistence.deleteStage(stages.extract),
    repeat: { fails: "NOT_FOUND" },
  },
];
