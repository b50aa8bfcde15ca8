/**
 * The contract: what an engine for multi-stage workflows asks of its storage. It is the union of the
 * interface as handed over (0.8 to 0.10) and the current one (0.11, 0.12), so an object of ours serves
 * an engine of either kind. docs/contract.md says, line by line, what each method guarantees here.
 */
import type {
  AcquireIdempotencyKeyOptions,
  AnnotationFilters,
  CreateAICallInput,
  CreateAnnotationInput,
  CreateLogInput,
  CreateOutboxEventInput,
  CreateRunInput,
  CreateStageInput,
  DequeueResult,
  EnqueueJobInput,
  SaveArtifactInput,
  UpdateRunInput,
  UpdateStageInput,
  UpsertStageInput,
} from "./inputs.ts";
import type {
  JobRecord,
  OutboxRecord,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
  WorkflowStageStatus,
  WorkflowStatus,
} from "./records.ts";

export type AcquireIdempotencyKeyResult =
  | { status: "acquired" }
  | { status: "replay"; result: unknown }
  | { status: "in_progress" };

export interface WorkflowPersistence {
  /**
   * Runs `fn` against a private view of the database and commits what it wrote, whole or not at all.
   * Serializable over the runs touched. `fn` runs again when someone else wrote in between, or when a write
   * of a row that it had not read turns out to be refused, so that the fault is thrown at that call: keep its
   * own side effects out of it. What it throws is rethrown unchanged and nothing is written.
   * Cost: one round trip for each read that comes by itself, and one for all writes.
   */
  withTransaction<T>(fn: (tx: WorkflowPersistence) => Promise<T>): Promise<T>;

  createRun(data: CreateRunInput): Promise<WorkflowRunRecord>;
  updateRun(id: string, data: UpdateRunInput): Promise<void>;
  getRun(id: string): Promise<WorkflowRunRecord | null>;
  getRunStatus(id: string): Promise<WorkflowStatus | null>;
  getRunsByStatus(status: WorkflowStatus): Promise<WorkflowRunRecord[]>;
  getStuckRuns(stuckSince: Date): Promise<WorkflowRunRecord[]>;
  claimPendingRun(id: string): Promise<boolean>;
  claimNextPendingRun(): Promise<WorkflowRunRecord | null>;

  createStage(data: CreateStageInput): Promise<WorkflowStageRecord>;
  upsertStage(data: UpsertStageInput): Promise<WorkflowStageRecord>;
  updateStage(id: string, data: UpdateStageInput): Promise<void>;
  updateStageByRunAndStageId(
    workflowRunId: string,
    stageId: string,
    data: UpdateStageInput,
  ): Promise<void>;
  getStage(runId: string, stageId: string): Promise<WorkflowStageRecord | null>;
  getStageById(id: string): Promise<WorkflowStageRecord | null>;
  getStagesByRun(
    runId: string,
    options?: { status?: WorkflowStageStatus; orderBy?: "asc" | "desc" },
  ): Promise<WorkflowStageRecord[]>;
  getSuspendedStages(beforeDate: Date): Promise<WorkflowStageRecord[]>;
  getFirstSuspendedStageReadyToResume(runId: string): Promise<WorkflowStageRecord | null>;
  getFirstFailedStage(runId: string): Promise<WorkflowStageRecord | null>;
  getLastCompletedStage(runId: string): Promise<WorkflowStageRecord | null>;
  getLastCompletedStageBefore(
    runId: string,
    executionGroup: number,
  ): Promise<WorkflowStageRecord | null>;
  deleteStage(id: string): Promise<void>;

  createLog(data: CreateLogInput): Promise<void>;

  saveArtifact(data: SaveArtifactInput): Promise<void>;
  /** The stored data, or `undefined` when there is no such artifact. */
  loadArtifact(runId: string, key: string): Promise<unknown>;
  hasArtifact(runId: string, key: string): Promise<boolean>;
  deleteArtifact(runId: string, key: string): Promise<void>;
  listArtifacts(runId: string): Promise<WorkflowArtifactRecord[]>;
  getStageIdForArtifact(runId: string, stageId: string): Promise<string | null>;
  /** Stores a stage's output as an artifact and returns its key. */
  saveStageOutput(
    runId: string,
    workflowType: string,
    stageId: string,
    output: unknown,
  ): Promise<string>;

  appendAnnotations(inputs: CreateAnnotationInput[]): Promise<void>;
  /** Oldest first; rows of one call in the order given. */
  listAnnotations(
    workflowRunId: string,
    filters?: AnnotationFilters,
  ): Promise<WorkflowAnnotationRecord[]>;

  appendOutboxEvents(events: CreateOutboxEventInput[]): Promise<void>;
  getUnpublishedOutboxEvents(limit?: number): Promise<OutboxRecord[]>;
  markOutboxEventsPublished(ids: string[]): Promise<void>;
  incrementOutboxRetryCount(id: string): Promise<number>;
  moveOutboxEventToDLQ(id: string): Promise<void>;
  replayDLQEvents(maxEvents: number): Promise<number>;

  acquireIdempotencyKey(
    key: string,
    commandType: string,
    options?: AcquireIdempotencyKeyOptions,
  ): Promise<AcquireIdempotencyKeyResult>;
  completeIdempotencyKey(key: string, commandType: string, result: unknown): Promise<void>;
  releaseIdempotencyKey(key: string, commandType: string): Promise<void>;
}

/**
 * What every version of an engine knows a queue by: those of 0.8 to 0.12 are assignable to it. A connection's own
 * ({@link ExtendedJobQueue}) has all of it, and is assignable to theirs.
 */
export interface JobQueue {
  enqueue(options: EnqueueJobInput): Promise<string>;
  /** All or none; ids in the order of the inputs. */
  enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]>;
  dequeue(): Promise<DequeueResult | null>;
  complete(jobId: string): Promise<void>;
  suspend(jobId: string, nextPollAt: Date): Promise<void>;
  /** Retries only when `shouldRetry` (default false) and attempts are left. */
  fail(jobId: string, error: string, shouldRetry?: boolean): Promise<void>;
  /** Extends the lease of a RUNNING job; silently nothing for any other. Since 0.11. */
  touchJob?(jobId: string): Promise<void>;
  /** Since 0.11. */
  getJobsByWorkflowRun?(workflowRunId: string): Promise<JobRecord[]>;
  /** Until 0.10. */
  getSuspendedJobsReadyToPoll?(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  >;
  /** Default threshold 300,000 ms. Returns how many leases it ended. */
  releaseStaleJobs(staleThresholdMs?: number): Promise<number>;
  cancelByRun(workflowRunId: string): Promise<number>;
}

export interface AIHelperStats {
  totalCalls: number;
  totalInputTokens: number;
  totalOutputTokens: number;
  totalCost: number;
  perModel: Record<
    string,
    { calls: number; inputTokens: number; outputTokens: number; cost: number }
  >;
}

export interface AICallLogger {
  /** Returns at once and never throws; the row is written behind the caller's back. */
  logCall(call: CreateAICallInput): void;
  /** Safe to repeat: the same results under the same batch id are recorded once, and a `requestId` has one result, the first. */
  logBatchResults(batchId: string, results: CreateAICallInput[]): Promise<void>;
  /** Sums over every topic that starts with this string. */
  getStats(topicPrefix: string): Promise<AIHelperStats>;
  /** Whether anything is recorded under that id, by `logBatchResults` or by a `logCall` that names it. */
  isRecorded(batchId: string): Promise<boolean>;
}

/** An AI call logger that can be waited for. */
export interface FlushableAICallLogger extends AICallLogger {
  /** Resolves when every `logCall` made so far has been written or has failed (and been reported). */
  flush(): Promise<void>;
}
