/**
 * `WorkflowPersistence` over a unit of work. Each method's rules are in the file of its aggregate;
 * here each is only made a call of the unit, which a transaction counts.
 */
import type {
  AcquireIdempotencyKeyResult,
  OutboxRecord,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
  AcquireIdempotencyKeyOptions,
  AnnotationFilters,
  CreateAnnotationInput,
  CreateLogInput,
  CreateOutboxEventInput,
  CreateRunInput,
  CreateStageInput,
  SaveArtifactInput,
  UpdateRunInput,
  UpdateStageInput,
  UpsertStageInput,
  WorkflowPersistence,
  WorkflowStageStatus,
  WorkflowStatus,
} from "../contract/index.ts";
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
import { ownMethods } from "./own-methods.ts";
import type { Stale } from "./stale-version.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** What the methods act through. */
export interface PersistenceOptions {
  /** Acts at once, or is a transaction. */
  readonly unit: UnitOfWork;
  /** Makes the error of a stale version, of the class that the connection was given. */
  readonly stale: Stale;
  /** How this handle begins a transaction: a new one, or it joins the one that it belongs to. */
  readonly withTransaction: <T>(fn: (tx: WorkflowPersistence) => Promise<T>) => Promise<T>;
}

export class Persistence implements WorkflowPersistence {
  readonly #unit: UnitOfWork;
  readonly #stale: Stale;
  readonly #withTransaction: PersistenceOptions["withTransaction"];

  constructor({ unit, stale, withTransaction }: PersistenceOptions) {
    this.#unit = unit;
    this.#stale = stale;
    this.#withTransaction = withTransaction;
    ownMethods(this);
  }

  async withTransaction<T>(fn: (tx: WorkflowPersistence) => Promise<T>): Promise<T> {
    return this.#withTransaction(fn);
  }

  async createRun(data: CreateRunInput): Promise<WorkflowRunRecord> {
    return this.#unit.call(() => createRun(this.#unit, data));
  }
  async updateRun(id: string, data: UpdateRunInput) {
    return this.#unit.call(() => updateRun(this.#unit, id, data, this.#stale));
  }
  async getRun(id: string): Promise<WorkflowRunRecord | null> {
    return this.#unit.call(() => getRun(this.#unit, id));
  }
  async getRunStatus(id: string): Promise<WorkflowStatus | null> {
    return this.#unit.call(() => getRunStatus(this.#unit, id));
  }
  async getRunsByStatus(status: WorkflowStatus): Promise<WorkflowRunRecord[]> {
    return this.#unit.call(() => getRunsByStatus(this.#unit, status));
  }
  async getStuckRuns(stuckSince: Date): Promise<WorkflowRunRecord[]> {
    return this.#unit.call(() => getStuckRuns(this.#unit, stuckSince));
  }
  async claimPendingRun(id: string) {
    return this.#unit.call(() => claimPendingRun(this.#unit, id));
  }
  async claimNextPendingRun(): Promise<WorkflowRunRecord | null> {
    return this.#unit.call(() => claimNextPendingRun(this.#unit));
  }

  async createStage(data: CreateStageInput): Promise<WorkflowStageRecord> {
    return this.#unit.call(() => createStage(this.#unit, data));
  }
  async upsertStage(data: UpsertStageInput): Promise<WorkflowStageRecord> {
    return this.#unit.call(() => upsertStage(this.#unit, data));
  }
  async updateStage(id: string, data: UpdateStageInput) {
    return this.#unit.call(() => updateStage(this.#unit, id, data, this.#stale));
  }
  async updateStageByRunAndStageId(runId: string, stageId: string, data: UpdateStageInput) {
    return this.#unit.call(() =>
      updateStageByRunAndStageId(this.#unit, runId, stageId, data, this.#stale),
    );
  }
  async getStage(runId: string, stageId: string): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getStage(this.#unit, runId, stageId));
  }
  async getStageById(id: string): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getStageById(this.#unit, id));
  }
  async getStagesByRun(
    runId: string,
    options?: { status?: WorkflowStageStatus; orderBy?: "asc" | "desc" },
  ): Promise<WorkflowStageRecord[]> {
    return this.#unit.call(() => getStagesByRun(this.#unit, runId, options));
  }
  async getSuspendedStages(beforeDate: Date): Promise<WorkflowStageRecord[]> {
    return this.#unit.call(() => getSuspendedStages(this.#unit, beforeDate));
  }
  async getFirstSuspendedStageReadyToResume(runId: string): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getFirstSuspendedStageReadyToResume(this.#unit, runId));
  }
  async getFirstFailedStage(runId: string): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getFirstFailedStage(this.#unit, runId));
  }
  async getLastCompletedStage(runId: string): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getLastCompletedStage(this.#unit, runId));
  }
  async getLastCompletedStageBefore(
    runId: string,
    executionGroup: number,
  ): Promise<WorkflowStageRecord | null> {
    return this.#unit.call(() => getLastCompletedStageBefore(this.#unit, runId, executionGroup));
  }
  async deleteStage(id: string) {
    return this.#unit.call(() => deleteStage(this.#unit, id));
  }

  async createLog(data: CreateLogInput) {
    return this.#unit.call(() => createLog(this.#unit, data));
  }

  async saveArtifact(data: SaveArtifactInput) {
    return this.#unit.call(() => saveArtifact(this.#unit, data));
  }
  async loadArtifact(runId: string, key: string) {
    return this.#unit.call(() => loadArtifact(this.#unit, runId, key));
  }
  async hasArtifact(runId: string, key: string) {
    return this.#unit.call(() => hasArtifact(this.#unit, runId, key));
  }
  async deleteArtifact(runId: string, key: string) {
    return this.#unit.call(() => deleteArtifact(this.#unit, runId, key));
  }
  async listArtifacts(runId: string): Promise<WorkflowArtifactRecord[]> {
    return this.#unit.call(() => listArtifacts(this.#unit, runId));
  }
  async getStageIdForArtifact(runId: string, stageId: string) {
    return this.#unit.call(() => getStageIdForArtifact(this.#unit, runId, stageId));
  }
  async saveStageOutput(runId: string, workflowType: string, stageId: string, output: unknown) {
    return this.#unit.call(() => saveStageOutput(this.#unit, runId, workflowType, stageId, output));
  }

  async appendAnnotations(inputs: CreateAnnotationInput[]) {
    return this.#unit.call(() => appendAnnotations(this.#unit, inputs));
  }
  async listAnnotations(
    workflowRunId: string,
    filters?: AnnotationFilters,
  ): Promise<WorkflowAnnotationRecord[]> {
    return this.#unit.call(() => listAnnotations(this.#unit, workflowRunId, filters));
  }

  async appendOutboxEvents(events: CreateOutboxEventInput[]) {
    return this.#unit.call(() => appendOutboxEvents(this.#unit, events));
  }
  async getUnpublishedOutboxEvents(limit?: number): Promise<OutboxRecord[]> {
    return this.#unit.call(() => getUnpublishedOutboxEvents(this.#unit, limit));
  }
  async markOutboxEventsPublished(ids: string[]) {
    return this.#unit.call(() => markOutboxEventsPublished(this.#unit, ids));
  }
  async incrementOutboxRetryCount(id: string) {
    return this.#unit.call(() => incrementOutboxRetryCount(this.#unit, id));
  }
  async moveOutboxEventToDLQ(id: string) {
    return this.#unit.call(() => moveOutboxEventToDLQ(this.#unit, id));
  }
  async replayDLQEvents(maxEvents: number) {
    return this.#unit.call(() => replayDLQEvents(this.#unit, maxEvents));
  }

  async acquireIdempotencyKey(
    key: string,
    commandType: string,
    options?: AcquireIdempotencyKeyOptions,
  ): Promise<AcquireIdempotencyKeyResult> {
    return this.#unit.call(() => acquireIdempotencyKey(this.#unit, key, commandType, options));
  }
  async completeIdempotencyKey(key: string, commandType: string, result: unknown) {
    return this.#unit.call(() => completeIdempotencyKey(this.#unit, key, commandType, result));
  }
  async releaseIdempotencyKey(key: string, commandType: string) {
    return this.#unit.call(() => releaseIdempotencyKey(this.#unit, key, commandType));
  }
}
