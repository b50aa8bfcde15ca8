/**
 * What callers pass in. In every update, `undefined` and an absent member leave the stored value
 * alone and `null` clears it. Instants are Dates; milliseconds and RFC 3339 text are taken as well.
 * JSON values are stored as `JSON.stringify` writes them; what it would change silently (NaN, a
 * Map, a cycle, ...) is INVALID_ARGUMENT with its path. All limits: docs/contract.md, "Values".
 */
import type {
  AnnotationActor,
  AnnotationScope,
  ArtifactType,
  LogLevel,
  WorkflowStageStatus,
  WorkflowStatus,
} from "./records.ts";

/**
 * A new run.
 * @example
 * const run: CreateRunInput = {
 *   id: "digest-2026-11-25",
 *   workflowId: "digest",
 *   workflowName: "Digest",
 *   workflowType: "digest",
 *   input: { url: "https://example.com/" },
 *   priority: 8,
 * };
 */
export interface CreateRunInput {
  /** 1 to 512 bytes, and no other run's. Default: the service makes one. */
  id?: string;
  workflowId: string;
  /** For people. Runs can be searched by a part of it. */
  workflowName: string;
  /** The kind of workflow, by which runs can be filtered. */
  workflowType: string;
  /** Any JSON value; `undefined` is stored as null. */
  input: unknown;
  /** Default `{}`. */
  config?: unknown;
  /** Default 5; higher is served first. */
  priority?: number;
  /** One JSON value, stored as it is. */
  metadata?: Record<string, unknown>;
}

/**
 * @example
 * const update: UpdateRunInput = { status: "COMPLETED", completedAt: new Date(), output: { pages: 3 } };
 */
export interface UpdateRunInput {
  status?: WorkflowStatus;
  startedAt?: Date | null;
  completedAt?: Date | null;
  /** Milliseconds. */
  duration?: number | null;
  output?: unknown;
  /** 0 to 10^15, in the caller's own unit. Replaces the stored sum. */
  totalCost?: number;
  /** A whole number from 0. Replaces the stored sum. */
  totalTokens?: number;
  /**
   * Update only this version of the record; otherwise a `StaleVersionError`, and nothing is
   * written.
   */
  expectedVersion?: number;
}

/**
 * @example
 * const stage: CreateStageInput = {
 *   workflowRunId: "run-1",
 *   stageId: "fetch",
 *   stageName: "Fetch",
 *   stageNumber: 1,
 *   executionGroup: 1,
 * };
 */
export interface CreateStageInput {
  workflowRunId: string;
  stageId: string;
  stageName: string;
  /** The position among the stages of the run: stages are listed by group, then by this. */
  stageNumber: number;
  /** Stages of one group run side by side; groups follow one another. */
  executionGroup: number;
  /** How often a rerun has made the stage anew. Default 0. */
  attempt?: number;
  /** Default `PENDING`. */
  status?: WorkflowStageStatus;
  startedAt?: Date;
  config?: unknown;
  inputData?: unknown;
}

/**
 * @example
 * const waits: UpdateStageInput = {
 *   status: "SUSPENDED",
 *   suspendedState: { batchId: "b-7" },
 *   nextPollAt: new Date(Date.now() + 60_000),
 * };
 */
export interface UpdateStageInput {
  status?: WorkflowStageStatus;
  startedAt?: Date | null;
  completedAt?: Date | null;
  /** Milliseconds. */
  duration?: number | null;
  outputData?: unknown;
  config?: unknown;
  suspendedState?: unknown;
  resumeData?: unknown;
  /**
   * When the stage is to be looked at again. While this lies ahead, its run does not count as
   * stuck.
   */
  nextPollAt?: Date | null;
  /** Milliseconds. */
  pollInterval?: number | null;
  maxWaitUntil?: Date | null;
  metrics?: unknown;
  embeddingInfo?: unknown;
  /** Taken for compatibility and ignored: there is no column for it. */
  artifacts?: unknown;
  errorMessage?: string | null;
  /**
   * Update only this version of the record; otherwise a `StaleVersionError`, and nothing is
   * written.
   */
  expectedVersion?: number;
}

/**
 * @example
 * const upsert: UpsertStageInput = {
 *   workflowRunId: "run-1",
 *   stageId: "fetch",
 *   create: {
 *     workflowRunId: "run-1",
 *     stageId: "fetch",
 *     stageName: "Fetch",
 *     stageNumber: 1,
 *     executionGroup: 1,
 *   },
 *   update: { status: "PENDING" },
 * };
 */
export interface UpsertStageInput {
  workflowRunId: string;
  stageId: string;
  /**
   * Used when the run has no such stage; ignored otherwise. The two ids above count, not those in
   * here.
   */
  create: CreateStageInput;
  /** Used when the run has the stage. Its `expectedVersion` is ignored. */
  update: UpdateStageInput;
}

/**
 * @example
 * const line: CreateLogInput = { workflowRunId: "run-1", level: "WARN", message: "the page is slow" };
 */
export interface CreateLogInput {
  workflowRunId?: string;
  /** A stage's record id. Alone, it also says which run's log the line is in. */
  workflowStageId?: string;
  level: LogLevel;
  /** Any text up to a row's 1,900,000 bytes, NUL and lone surrogates included. */
  message: string;
  metadata?: unknown;
}

/**
 * @example
 * const artifact: SaveArtifactInput = {
 *   workflowRunId: "run-1",
 *   key: "summary",
 *   type: "ARTIFACT",
 *   data: { words: 120 },
 *   size: 13,
 *   metadata: { language: "en" },
 * };
 */
export interface SaveArtifactInput {
  workflowRunId: string;
  /**
   * A stage's record id. `undefined` keeps the reference of an artifact that is there, null removes
   * it.
   */
  workflowStageId?: string | null;
  key: string;
  type: ArtifactType;
  /** Any JSON value but `undefined`. */
  data: unknown;
  /** The caller's own measure; it is stored, not checked. */
  size: number;
  metadata?: unknown;
}

/**
 * @example
 * const verdict: CreateAnnotationInput = {
 *   workflowRunId: "run-1",
 *   scope: "stage",
 *   scopeId: "fetch",
 *   key: "review.verdict",
 *   value: "good",
 *   actor: { kind: "agent", id: "reviewer", version: "3" },
 * };
 */
export interface CreateAnnotationInput {
  workflowRunId: string;
  workflowStageRecordId?: string | null;
  /** Default 0. */
  attempt?: number;
  scope: AnnotationScope;
  scopeId?: string | null;
  actor?: AnnotationActor;
  key: string;
  /** Any JSON value. Runs can be found by values of up to 256 bytes of JSON. */
  value: unknown;
  payload?: unknown;
  /**
   * A run has one annotation for each pair of key and idempotency key: the first that is written
   * stays, later ones are skipped. The empty string counts as a key; null and absent do not.
   */
  idempotencyKey?: string | null;
  /** For engines, which make an outbox event of it. Not stored here. */
  emitEvent?: boolean;
}

/**
 * Which annotations are listed: those that pass every filter given.
 * @example
 * const reviews: AnnotationFilters = { keyPrefix: "review.", actorKind: "user", limit: 50 };
 */
export interface AnnotationFilters {
  /** Wins over `keyPrefix` when both are given. */
  key?: string;
  /** The first characters of the key, as they are: no wildcards, case-sensitive. */
  keyPrefix?: string;
  scope?: AnnotationScope;
  /** `null` means: only rows without a scope id. */
  scopeId?: string | null;
  actorId?: string;
  actorKind?: string;
  attempt?: number;
  /** The first instant that counts. */
  since?: Date;
  /** The last instant that counts. */
  until?: Date;
  /** Default 1,000, at most 10,000; 0 lists none. */
  limit?: number;
}

/**
 * @example
 * const event: CreateOutboxEventInput = {
 *   workflowRunId: "run-1",
 *   eventType: "run.completed",
 *   payload: { runId: "run-1" },
 *   causationId: "job-9",
 *   occurredAt: new Date(),
 * };
 */
export interface CreateOutboxEventInput {
  workflowRunId: string;
  eventType: string;
  payload: unknown;
  /** What caused the event, as the caller names it. */
  causationId: string;
  occurredAt: Date;
}

/**
 * @example
 * const options: AcquireIdempotencyKeyOptions = { staleInProgressAfterMs: 15 * 60_000 };
 */
export interface AcquireIdempotencyKeyOptions {
  /** The instant that is stored, and from which ages are measured. Default: the service's clock. */
  now?: Date;
  /**
   * Take the key over from a holder that acquired it at least this many milliseconds ago. Absent or
   * `Infinity`: never.
   */
  staleInProgressAfterMs?: number;
}

/**
 * @example
 * const call: CreateAICallInput = {
 *   topic: "run-1/summary",
 *   callType: "text",
 *   modelKey: "small",
 *   modelId: "small-2026-01",
 *   prompt: "Summarise ...",
 *   response: "...",
 *   inputTokens: 900,
 *   outputTokens: 120,
 *   cost: 0.0004,
 * };
 */
export interface CreateAICallInput {
  /** What the call was for. Sums are asked for by the first characters of it. */
  topic: string;
  callType: string;
  modelKey: string;
  modelId: string;
  prompt: string;
  response: string;
  /** A whole number from 0 to 10,000,000,000, as is `outputTokens`. */
  inputTokens: number;
  outputTokens: number;
  /** 0 to 10^15, in the caller's own unit. */
  cost: number;
  metadata?: unknown;
  /**
   * The batch of the call. Engines since 0.13 say it here, earlier ones in `metadata`; both count.
   */
  batchId?: string;
  /**
   * The request of the batch that the call answers. A request has one result: the first that is
   * recorded.
   */
  requestId?: string;
}

/**
 * @example
 * const job: EnqueueJobInput = {
 *   workflowRunId: "run-1",
 *   workflowId: "digest",
 *   stageId: "fetch",
 *   payload: { url: "https://example.com/" },
 *   scheduledFor: new Date(Date.now() + 60_000),
 *   dedupeKey: "fetch:https://example.com/",
 *   concurrencyKey: "example.com",
 *   concurrencyLimit: 2,
 * };
 */
export interface EnqueueJobInput {
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  /** Default 5; higher is served first. */
  priority?: number;
  /** An object of JSON values; null is the same as none. */
  payload?: Record<string, unknown> | null;
  /** The job is not due before this instant. Default: it is due at once. */
  scheduledFor?: Date;
  /**
   * Beyond the contract: deliveries before a failure is final. 1 to 1,000; default 3. Suspensions,
   * and deliveries that reached no handler, do not count.
   */
  maxAttempts?: number;
  /**
   * Beyond the contract: while a live job (PENDING, RUNNING, SUSPENDED) of any run has this key,
   * `enqueue` adds none and returns that job's id. Up to 2,048 bytes. At most 100 jobs with a key
   * in one `enqueueParallel`.
   */
  dedupeKey?: string;
  /**
   * Beyond the contract: at most `concurrencyLimit` jobs with this key are RUNNING at a time,
   * across all runs.
   */
  concurrencyKey?: string;
  /**
   * At least 1; default 1. Only with a `concurrencyKey`. Each job is claimed by its own limit, and
   * jobs of one key in their order.
   */
  concurrencyLimit?: number;
}

/**
 * A delivery: a job that is leased to the caller.
 * @example
 * const job: DequeueResult | null = await jobs.dequeue();
 * if (job !== null) console.log(job.stageId, "attempt", job.attempt, "of", job.maxAttempts);
 */
export interface DequeueResult {
  jobId: string;
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  priority: number;
  /**
   * Counts this delivery: 1 for the first. It is the fence: only the job's latest attempt may
   * settle it.
   */
  attempt: number;
  maxAttempts: number;
  payload: Record<string, unknown>;
}
