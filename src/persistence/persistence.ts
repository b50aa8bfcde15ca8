/**
 * `WorkflowPersistence` over a unit of work: the list of its methods. Each is a function in the
 * file of its subject.
 */
import type { WorkflowPersistence } from "../contract/index.ts";
import { appendAnnotations, listAnnotations } from "./annotations.ts";
import {
  deleteArtifact,
  getStageIdForArtifact,
  hasArtifact,
  listArtifacts,
  loadArtifact,
  saveArtifact,
  saveStageOutput,
} from "./artifacts.ts";
import {
  acquireIdempotencyKey,
  completeIdempotencyKey,
  releaseIdempotencyKey,
} from "./idempotency-keys.ts";
import { createLog } from "./logs.ts";
import {
  appendOutboxEvents,
  getUnpublishedOutboxEvents,
  incrementOutboxRetryCount,
  markOutboxEventsPublished,
  moveOutboxEventToDLQ,
  replayDLQEvents,
} from "./outbox.ts";
import {
  claimNextPendingRun,
  claimPendingRun,
  createRun,
  getRun,
  getRunsByStatus,
  getRunStatus,
  getStuckRuns,
  updateRun,
} from "./runs.ts";
import {
  createStage,
  deleteStage,
  getFirstFailedStage,
  getFirstSuspendedStageReadyToResume,
  getLastCompletedStage,
  getLastCompletedStageBefore,
  getStage,
  getStageById,
  getStagesByRun,
  getSuspendedStages,
  updateStage,
  updateStageByRunAndStageId,
  upsertStage,
} from "./stages.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

type Methods = Omit<WorkflowPersistence, "withTransaction">;

/** The contract's methods, each with the unit of work in front of its arguments. */
export const METHODS: {
  readonly [Name in keyof Methods]: (
    unit: UnitOfWork,
    ...args: Parameters<Methods[Name]>
  ) => ReturnType<Methods[Name]>;
} = {
  createRun,
  updateRun,
  getRun,
  getRunStatus,
  getRunsByStatus,
  getStuckRuns,
  claimPendingRun,
  claimNextPendingRun,
  createStage,
  upsertStage,
  updateStage,
  updateStageByRunAndStageId,
  getStage,
  getStageById,
  getStagesByRun,
  getSuspendedStages,
  getFirstSuspendedStageReadyToResume,
  getFirstFailedStage,
  getLastCompletedStage,
  getLastCompletedStageBefore,
  deleteStage,
  createLog,
  saveArtifact,
  loadArtifact,
  hasArtifact,
  deleteArtifact,
  listArtifacts,
  getStageIdForArtifact,
  saveStageOutput,
  appendAnnotations,
  listAnnotations,
  appendOutboxEvents,
  getUnpublishedOutboxEvents,
  markOutboxEventsPublished,
  incrementOutboxRetryCount,
  moveOutboxEventToDLQ,
  replayDLQEvents,
  acquireIdempotencyKey,
  completeIdempotencyKey,
  releaseIdempotencyKey,
};

/** A method whose arguments are only handed on. */
type Method = (unit: UnitOfWork, ...args: never[]) => Promise<unknown>;
const EACH_METHOD: readonly (readonly [string, Method])[] = Object.entries<Method>(METHODS);

/**
 * The contract over this unit. A method works without its object, and is kept when the object is
 * spread.
 */
export function persistenceOver(
  unit: UnitOfWork,
  withTransaction: WorkflowPersistence["withTransaction"],
): WorkflowPersistence {
  const bound: Record<string, unknown> = { withTransaction };
  for (const [name, method] of EACH_METHOD) {
    bound[name] = async (...args: never[]) => unit.call(async () => method(unit, ...args));
  }
  // METHODS has every method of the contract, with its parameters and its result.
  return bound as unknown as WorkflowPersistence;
}
