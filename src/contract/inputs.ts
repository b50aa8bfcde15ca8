/**
 * What callers pass in. In every update, `undefined` leaves the stored value alone and `null` clears it.
 */
import type {
  AnnotationActor,
  AnnotationScope,
  ArtifactType,
  LogLevel,
  WorkflowStageStatus,
  WorkflowStatus,
} from "./records.ts";

export interface CreateRunInput {
  id?: string;
  workflowId: string;
  workflowName: string;
  workflowType: string;
  input: unknown;
  /** Default `{}`. */
  config?: unknown;
  /** Default 5; higher is served first. */
  priority?: number;
  /** One JSON value, stored as it is. */
  metadata?: Record<string, unknown>;
}

export interface UpdateRunInput {
  status?: WorkflowStatus;
  startedAt?: Date | null;
  completedAt?: Date | null;
  duration?: number | null;
  output?: unknown;
  totalCost?: number;
  totalTokens?: number;
  /** Apply only to this version; otherwise `StaleVersionError`. */
  expectedVersion?: number;
}

export interface CreateStageInput {
  workflowRunId: string;
  stageId: string;
  stageName: string;
  stageNumber: number;
  executionGroup: number;
  /** Rerun generation. Default 0. */
  attempt?: number;
  /** Default `PENDING`. */
  status?: WorkflowStageStatus;
  startedAt?: Date;
  config?: unknown;
  inputData?: unknown;
}

export interface UpdateStageInput {
  status?: WorkflowStageStatus;
  startedAt?: Date | null;
  completedAt?: Date | null;
  duration?: number | null;
  outputData?: unknown;
  config?: unknown;
  suspendedState?: unknown;
  resumeData?: unknown;
  nextPollAt?: Date | null;
  pollInterval?: number | null;
  maxWaitUntil?: Date | null;
  metrics?: unknown;
  embeddingInfo?: unknown;
  /** Accepted for compatibility; has no storage and is ignored. */
  artifacts?: unknown;
  errorMessage?: string | null;
  /** Apply only to this version; otherwise `StaleVersionError`. */
  expectedVersion?: number;
}

export interface UpsertStageInput {
  workflowRunId: string;
  stageId: string;
  /** Used when the stage is absent; ignored otherwise. */
  create: CreateStageInput;
  /** Used when the stage is present; its `expectedVersion` is ignored. */
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
  workflowStageId?: string | null;
  key: string;
  type: ArtifactType;
  data: unknown;
  size: number;
  metadata?: unknown;
}

export interface CreateAnnotationInput {
  workflowRunId: string;
  workflowStageRecordId?: string | null;
  /** Default 0. */
  attempt?: number;
  scope: AnnotationScope;
  scopeId?: string | null;
  actor?: AnnotationActor;
  key: string;
  value: unknown;
  payload?: unknown;
  /**
   * Rows of one run with the same key and the same non-null idempotency key are one row: the first
   * write wins and later ones are skipped. The empty string counts as a key.
   */
  idempotencyKey?: string | null;
  /** For the engine, which turns it into an outbox event; not stored. */
  emitEvent?: boolean;
}

/** AND-combined; an absent filter does not filter. */
export interface AnnotationFilters {
  /** Wins over `keyPrefix` when both are given. */
  key?: string;
  /** A literal, case-sensitive prefix. */
  keyPrefix?: string;
  scope?: AnnotationScope;
  /** `null` means: only rows without a scope id. */
  scopeId?: string | null;
  actorId?: string;
  actorKind?: string;
  attempt?: number;
  /** Inclusive. */
  since?: Date;
  /** Inclusive. */
  until?: Date;
  /** Default 1000; 0 gives none. */
  limit?: number;
}

export interface CreateOutboxEventInput {
  workflowRunId: string;
  eventType: string;
  payload: unknown;
  causationId: string;
  occurredAt: Date;
}

/** Options of `acquireIdempotencyKey`. */
export interface AcquireIdempotencyKeyOptions {
  /** The instant to stamp and to measure ages from. Default: the service's clock. */
  now?: Date;
  /**
   * Take over a key that has been in progress for at least this long. Absent or `Infinity`: never.
   */
  staleInProgressAfterMs?: number;
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
  /** The batch that the call belongs to, and which of its requests it answers: engines since 0.13 say it here, earlier ones in `metadata`. */
  batchId?: string;
  requestId?: string;
}

export interface EnqueueJobInput {
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  /** Default 5; higher is served first. */
  priority?: number;
  /** Null is the same as none. */
  payload?: Record<string, unknown> | null;
  /** Not to be dequeued before this instant. */
  scheduledFor?: Date;
  /** Beyond the contract: deliveries before a failure is final. 1 to 1,000; default 3. */
  maxAttempts?: number;
  /**
   * Beyond the contract: while a live job (PENDING, RUNNING, SUSPENDED) has this key, `enqueue` adds none and answers that one's
   * id. Up to 2,048 bytes. The key counts across all runs.
   */
  dedupeKey?: string;
  /** Beyond the contract: of the jobs with this key, at most `concurrencyLimit` are RUNNING at one time, across all runs. */
  concurrencyKey?: string;
  /** At least 1; default 1. Only with a `concurrencyKey`. Where jobs of one key differ, each is claimed by its own limit, and in their order. */
  concurrencyLimit?: number;
}

export interface DequeueResult {
  jobId: string;
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  priority: number;
  /** Already counts this delivery: 1 for the first. */
  attempt: number;
  maxAttempts: number;
  payload: Record<string, unknown>;
}
