/**
 * The records that the three interfaces return, exactly as the engine knows them.
 * Every instant is a `Date` with millisecond precision; `null` means "known to be absent".
 */

/** Status of runs, stages and jobs alike. `SKIPPED` is used by stages only. */
export type Status =
  | "PENDING"
  | "RUNNING"
  | "SUSPENDED"
  | "COMPLETED"
  | "FAILED"
  | "CANCELLED"
  | "SKIPPED";
/** @deprecated Use {@link Status}. */
export type WorkflowStatus = Status;
/** @deprecated Use {@link Status}. */
export type WorkflowStageStatus = Status;
/** @deprecated Use {@link Status}. */
export type JobStatus = Status;

export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";
export type ArtifactType = "STAGE_OUTPUT" | "ARTIFACT" | "METADATA";

export interface WorkflowRunRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  /** Starts at 1; +1 on every successful mutation, an empty update included. */
  version: number;
  workflowId: string;
  workflowName: string;
  workflowType: string;
  status: WorkflowStatus;
  startedAt: Date | null;
  completedAt: Date | null;
  /** Milliseconds. */
  duration: number | null;
  input: unknown;
  output: unknown | null;
  config: unknown;
  totalCost: number;
  totalTokens: number;
  /** Higher is served first. */
  priority: number;
  metadata: unknown | null;
}

export interface WorkflowStageRecord {
  /** The record's own id; not the same as `stageId`, the id in the workflow's definition. */
  id: string;
  createdAt: Date;
  updatedAt: Date;
  version: number;
  workflowRunId: string;
  stageId: string;
  stageName: string;
  stageNumber: number;
  executionGroup: number;
  /** Rerun generation: 0 for the original execution, +1 each time a rerun recreates the stage. */
  attempt: number;
  status: WorkflowStageStatus;
  startedAt: Date | null;
  completedAt: Date | null;
  /** Milliseconds. */
  duration: number | null;
  inputData: unknown | null;
  outputData: unknown | null;
  config: unknown | null;
  suspendedState: unknown | null;
  resumeData: unknown | null;
  nextPollAt: Date | null;
  /** Milliseconds. */
  pollInterval: number | null;
  maxWaitUntil: Date | null;
  metrics: unknown | null;
  embeddingInfo: unknown | null;
  errorMessage: string | null;
}

export interface WorkflowLogRecord {
  id: string;
  createdAt: Date;
  workflowStageId: string | null;
  workflowRunId: string | null;
  level: LogLevel;
  message: string;
  metadata: unknown | null;
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

/** Who or what made an annotation. `kind` is open; "agent", "user" and "system" are usual. */
export interface AnnotationActor {
  kind?: string;
  id?: string;
  version?: string;
}

/** What an annotation describes: a run, one stage execution, one AI call, or a scope of your own. */
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
  /** 1, 2, 3, ... per run, without gaps, in the order of commits. */
  sequence: number;
  eventType: string;
  payload: unknown;
  causationId: string;
  occurredAt: Date;
  publishedAt: Date | null;
  retryCount: number;
  /** When the event went to the DLQ; null while it is not there. */
  dlqAt: Date | null;
}

export interface IdempotencyRecord {
  key: string;
  commandType: string;
  result: unknown;
  createdAt: Date;
}

export interface AICallRecord {
  id: string;
  createdAt: Date;
  topic: string;
  callType: string;
  modelKey: string;
  modelId: string;
  prompt: string;
  response: string;
  inputTokens: number;
  outputTokens: number;
  cost: number;
  metadata: unknown | null;
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
  /** Deliveries so far: 0 when enqueued, +1 at each dequeue, unchanged by everything else. */
  attempt: number;
  maxAttempts: number;
  lastError: string | null;
  nextPollAt: Date | null;
  payload: Record<string, unknown>;
  /** Beyond the contract; absent when the job has none, as are the next two. */
  dedupeKey?: string;
  concurrencyKey?: string;
  concurrencyLimit?: number;
}
