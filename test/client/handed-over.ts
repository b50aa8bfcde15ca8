/**
 * The three interfaces as they were handed over (0.8 to 0.10 of the engine), and what the current ones (0.11, 0.12)
 * have instead: copied, not imported, so that a change of ours cannot change them.
 */
export type Status =
  | "PENDING"
  | "RUNNING"
  | "SUSPENDED"
  | "COMPLETED"
  | "FAILED"
  | "CANCELLED"
  | "SKIPPED";
export type WorkflowStatus = Status;
export type WorkflowStageStatus = Status;
export type JobStatus = Status;
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";
export type ArtifactType = "STAGE_OUTPUT" | "ARTIFACT" | "METADATA";
export interface WorkflowRunRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  version: number;
  workflowId: string;
  workflowName: string;
  workflowType: string;
  status: WorkflowStatus;
  startedAt: Date | null;
  completedAt: Date | null;
  duration: number | null;
  input: unknown;
  output: unknown | null;
  config: unknown;
  totalCost: number;
  totalTokens: number;
  priority: number;
  metadata: unknown | null;
}
export interface WorkflowStageRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  version: number;
  workflowRunId: string;
  stageId: string;
  stageName: string;
  stageNumber: number;
  executionGroup: number;
  attempt: number;
  status: WorkflowStageStatus;
  startedAt: Date | null;
  completedAt: Date | null;
  duration: number | null;
  inputData: unknown | null;
  outputData: unknown | null;
  config: unknown | null;
  suspendedState: unknown | null;
  resumeData: unknown | null;
  nextPollAt: Date | null;
  pollInterval: number | null;
  maxWaitUntil: Date | null;
  metrics: unknown | null;
  embeddingInfo: unknown | null;
  errorMessage: string | null;
}
export interface WorkflowArtifactRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  workflowRunId: string;
  workflowStageId: string | null;
  key: string;
  type: ArtifactType;
  data: unknown;
  size: number;
  metadata: unknown | null;
}
export interface AnnotationActor {
  kind?: string;
  id?: string;
  version?: string;
}
export type AnnotationScope = "run" | "stage" | "ai_call" | (string & {});
export interface WorkflowAnnotationRecord {
  id: string;
  createdAt: Date;
  workflowRunId: string;
  workflowStageRecordId: string | null;
  attempt: number;
  scope: AnnotationScope;
  scopeId: string | null;
  actorKind: string | null;
  actorId: string | null;
  actorVersion: string | null;
  key: string;
  value: unknown;
  payload: unknown | null;
  idempotencyKey: string | null;
}
export interface OutboxRecord {
  id: string;
  workflowRunId: string;
  sequence: number;
  eventType: string;
  payload: unknown;
  causationId: string;
  occurredAt: Date;
  publishedAt: Date | null;
  retryCount: number;
  dlqAt: Date | null;
}
export interface CreateOutboxEventInput {
  workflowRunId: string;
  eventType: string;
  payload: unknown;
  causationId: string;
  occurredAt: Date;
}
export interface JobRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  status: JobStatus;
  priority: number;
  workerId: string | null;
  lockedAt: Date | null;
  startedAt: Date | null;
  completedAt: Date | null;
  attempt: number;
  maxAttempts: number;
  lastError: string | null;
  nextPollAt: Date | null;
  payload: Record<string, unknown>;
}
export interface CreateRunInput {
  id?: string;
  workflowId: string;
  workflowName: string;
  workflowType: string;
  input: unknown;
  config?: unknown;
  priority?: number;
  metadata?: Record<string, unknown>;
}
export interface UpdateRunInput {
  status?: WorkflowStatus;
  startedAt?: Date;
  completedAt?: Date | null;
  duration?: number | null;
  output?: unknown;
  totalCost?: number;
  totalTokens?: number;
  expectedVersion?: number;
}
export interface CreateStageInput {
  workflowRunId: string;
  stageId: string;
  stageName: string;
  stageNumber: number;
  executionGroup: number;
  attempt?: number;
  status?: WorkflowStageStatus;
  startedAt?: Date;
  config?: unknown;
  inputData?: unknown;
}
export interface UpdateStageInput {
  status?: WorkflowStageStatus;
  startedAt?: Date;
  completedAt?: Date;
  duration?: number;
  outputData?: unknown;
  config?: unknown;
  suspendedState?: unknown;
  resumeData?: unknown;
  nextPollAt?: Date | null;
  pollInterval?: number;
  maxWaitUntil?: Date;
  metrics?: unknown;
  embeddingInfo?: unknown;
  artifacts?: unknown;
  errorMessage?: string;
  expectedVersion?: number;
}
export interface UpsertStageInput {
  workflowRunId: string;
  stageId: string;
  create: CreateStageInput;
  update: UpdateStageInput;
}
export interface CreateLogInput {
  workflowRunId?: string;
  workflowStageId?: string;
  level: LogLevel;
  message: string;
  metadata?: unknown;
}
export interface SaveArtifactInput {
  workflowRunId: string;
  workflowStageId?: string;
  key: string;
  type: ArtifactType;
  data: unknown;
  size: number;
  metadata?: unknown;
}
export interface CreateAnnotationInput {
  workflowRunId: string;
  workflowStageRecordId?: string | null;
  attempt?: number;
  scope: AnnotationScope;
  scopeId?: string | null;
  actor?: AnnotationActor;
  key: string;
  value: unknown;
  payload?: unknown;
  idempotencyKey?: string | null;
  emitEvent?: boolean;
}
export interface AnnotationFilters {
  key?: string;
  keyPrefix?: string;
  scope?: AnnotationScope;
  scopeId?: string | null;
  actorId?: string;
  actorKind?: string;
  attempt?: number;
  since?: Date;
  until?: Date;
  limit?: number;
}
export interface CreateAICallInput {
  topic: string;
  callType: string;
  modelKey: string;
  modelId: string;
  prompt: string;
  response: string;
  inputTokens: number;
  outputTokens: number;
  cost: number;
  metadata?: unknown;
}
export interface EnqueueJobInput {
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  priority?: number;
  payload?: Record<string, unknown>;
  scheduledFor?: Date;
}
export interface DequeueResult {
  jobId: string;
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  priority: number;
  attempt: number;
  maxAttempts: number;
  payload: Record<string, unknown>;
}
export interface WorkflowPersistence {
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
  loadArtifact(runId: string, key: string): Promise<unknown>;
  hasArtifact(runId: string, key: string): Promise<boolean>;
  deleteArtifact(runId: string, key: string): Promise<void>;
  listArtifacts(runId: string): Promise<WorkflowArtifactRecord[]>;
  getStageIdForArtifact(runId: string, stageId: string): Promise<string | null>;
  appendAnnotations(inputs: CreateAnnotationInput[]): Promise<void>;
  listAnnotations(
    workflowRunId: string,
    filters?: AnnotationFilters,
  ): Promise<WorkflowAnnotationRecord[]>;
  saveStageOutput(
    runId: string,
    workflowType: string,
    stageId: string,
    output: unknown,
  ): Promise<string>;
  incrementOutboxRetryCount(id: string): Promise<number>;
  moveOutboxEventToDLQ(id: string): Promise<void>;
  replayDLQEvents(maxEvents: number): Promise<number>;
  appendOutboxEvents(events: CreateOutboxEventInput[]): Promise<void>;
  getUnpublishedOutboxEvents(limit?: number): Promise<OutboxRecord[]>;
  markOutboxEventsPublished(ids: string[]): Promise<void>;
  acquireIdempotencyKey(
    key: string,
    commandType: string,
  ): Promise<
    { status: "acquired" } | { status: "replay"; result: unknown } | { status: "in_progress" }
  >;
  completeIdempotencyKey(key: string, commandType: string, result: unknown): Promise<void>;
  releaseIdempotencyKey(key: string, commandType: string): Promise<void>;
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
  logCall(call: CreateAICallInput): void;
  logBatchResults(batchId: string, results: CreateAICallInput[]): Promise<void>;
  getStats(topicPrefix: string): Promise<AIHelperStats>;
  isRecorded(batchId: string): Promise<boolean>;
}
export interface JobQueue {
  enqueue(options: EnqueueJobInput): Promise<string>;
  enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]>;
  dequeue(): Promise<DequeueResult | null>;
  complete(jobId: string): Promise<void>;
  suspend(jobId: string, nextPollAt: Date): Promise<void>;
  fail(jobId: string, error: string, shouldRetry?: boolean): Promise<void>;
  getSuspendedJobsReadyToPoll(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  >;
  releaseStaleJobs(staleThresholdMs?: number): Promise<number>;
  cancelByRun(workflowRunId: string): Promise<number>;
}

export interface CurrentWorkflowPersistence extends Omit<
  WorkflowPersistence,
  "acquireIdempotencyKey" | "withTransaction"
> {
  withTransaction<T>(fn: (tx: CurrentWorkflowPersistence) => Promise<T>): Promise<T>;
  acquireIdempotencyKey(
    key: string,
    commandType: string,
    options?: { now?: Date; staleInProgressAfterMs?: number },
  ): Promise<
    { status: "acquired" } | { status: "replay"; result: unknown } | { status: "in_progress" }
  >;
}
export interface CurrentJobQueue {
  enqueue(options: EnqueueJobInput): Promise<string>;
  enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]>;
  dequeue(): Promise<DequeueResult | null>;
  complete(jobId: string): Promise<void>;
  suspend(jobId: string, nextPollAt: Date): Promise<void>;
  fail(jobId: string, error: string, shouldRetry?: boolean): Promise<void>;
  releaseStaleJobs(staleThresholdMs?: number): Promise<number>;
  cancelByRun(workflowRunId: string): Promise<number>;
  getJobsByWorkflowRun(workflowRunId: string): Promise<JobRecord[]>;
  touchJob(jobId: string): Promise<void>;
}

/** What the engine of each version calls its queue. */
export interface JobQueues {
  "0.8": JobQueue;
  "0.9": JobQueue;
  "0.10": JobQueue;
  "0.11": CurrentJobQueue;
  "0.12": CurrentJobQueue;
}

/** What it calls its store of runs, and its log of AI calls. */
export interface Persistences {
  "0.8": WorkflowPersistence;
  "0.9": WorkflowPersistence;
  "0.10": WorkflowPersistence;
  "0.11": CurrentWorkflowPersistence;
  "0.12": CurrentWorkflowPersistence;
}
