import { untilNone } from "../support/calls.ts";
import { HOUR_MS, NOW } from "../support/time.ts";
import { WORKFLOW } from "../support/world.ts";
import type { Scenario } from "./scenario.ts";

export const runScenarios: readonly Scenario[] = [
  {
    method: "persistence.createRun",
    call: ({ persistence }) => persistence.createRun({ ...WORKFLOW, id: "new", input: { a: 1 } }),
    repeat: { fails: "ALREADY_EXISTS" },
  },
  {
    method: "persistence.createRun",
    title: "whose id is ours",
    call: ({ persistence }) => persistence.createRun({ ...WORKFLOW, input: null }),
    repeat: { adds: "nothing names the first run: callers who may repeat give the id" },
  },
  {
    method: "persistence.createRun",
    title: "of a taken id",
    call: ({ persistence }) => persistence.createRun({ ...WORKFLOW, id: "active", input: {} }),
    repeat: "the same",
  },
  {
    method: "persistence.updateRun",
    call: ({ persistence }) =>
      persistence.updateRun("active", { output: { pages: 3 }, totalTokens: 7 }),
    repeat: { adds: "one more version, of the same values" },
  },
  {
    method: "persistence.updateRun",
    title: "of the expected version",
    call: ({ persistence }) =>
      persistence.updateRun("active", { status: "COMPLETED", expectedVersion: 2 }),
    repeat: { fails: "STALE_VERSION" },
  },
  {
    method: "persistence.updateRun",
    title: "of another version",
    call: ({ persistence }) =>
      persistence.updateRun("active", { status: "COMPLETED", expectedVersion: 1 }),
    repeat: "the same",
  },
  {
    method: "persistence.updateRun",
    title: "of no run",
    call: ({ persistence }) => persistence.updateRun("unknown", { totalCost: 1 }),
    repeat: "the same",
  },
  {
    method: "persistence.getRun",
    call: ({ persistence }) => persistence.getRun("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getRunStatus",
    call: ({ persistence }) => persistence.getRunStatus("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getRunsByStatus",
    call: ({ persistence }) => persistence.getRunsByStatus("PENDING"),
    repeat: "the same",
  },
  {
    method: "persistence.getStuckRuns",
    call: ({ persistence }) => persistence.getStuckRuns(new Date(NOW - HOUR_MS / 2)),
    repeat: "the same",
  },
  {
    method: "persistence.claimPendingRun",
    call: ({ persistence }) => persistence.claimPendingRun("first"),
    repeat: { answers: false },
  },
  {
    method: "persistence.claimPendingRun",
    title: "of a run that others have",
    call: ({ persistence }) => persistence.claimPendingRun("active"),
    repeat: "the same",
  },
  {
    method: "persistence.claimNextPendingRun",
    call: ({ persistence }) => persistence.claimNextPendingRun(),
    repeat: { adds: "claims the next run; the first is RUNNING and shows up as stuck" },
  },
  {
    method: "persistence.claimNextPendingRun",
    title: "with none left",
    prepare: async ({ persistence }) => {
      await untilNone(() => persistence.claimNextPendingRun());
    },
    call: ({ persistence }) => persistence.claimNextPendingRun(),
    repeat: "the same",
  },
];
