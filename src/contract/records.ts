/**
 * The records that the three interfaces return, as engines know them. Every instant is a `Date`
 * with milliseconds. `null` means that the value is known to be absent. Each answer is a fresh
 * copy: a caller may change it, and changes nothing but its own.
 */

/**
 * The status of runs, stages and jobs. Only stages use SKIPPED. Runs and stages may go from any
 * status to any other; jobs have rules (ARCHITECTURE.md, "Statuses").
 * @example
 * const status: Status = "RUNNING";
 */
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

/**
 * How severe a log line is.
 * @example
 * const level: LogLevel = "WARN";
 */
export type LogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";
/**
 * What an artifact is. `saveStageOutput` stores STAGE_OUTPUT.
 * @example
 * const type: ArtifactType = "ARTIFACT";
 */
export type ArtifactType = "STAGE_OUTPUT" | "ARTIFACT" | "METADATA";

/**
 * @example
 * const run: WorkflowRunRecord | null = await persistence.getRun("run-1");
 * console.log(run?.status, run?.version);
 */
export interface WorkflowRunRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  /**
   * Starts at 1 and grows by 1 with every write of the run, an empty update included. Writes of its
   * stages and other records do not count.
   */
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
  /** The run's result; null until an update sets it. */
  output: unknown | null;
  config: unknown;
  /** The sum that the last update gave; the service adds nothing up. */
  totalCost: number;
  totalTokens: number;
  /** Higher is served first. */
  priority: number;
  metadata: unknown | null;
}

/**
 * @example
 * const stage: WorkflowStageRecord | null = await persistence.getStage("run-1", "fetch");
 * if (stage !== null) await persistence.updateStage(stage.id, { status: "RUNNING" });
 */
export interface WorkflowStageRecord {
  /**
   * The record's own id. `stageId` is the id in the workflow's definition; a stage made anew has
   * the same `stageId` and another `id`.
   */
  id: string;
  createdAt: Date;
  updatedAt: Date;
  /** Starts at 1 and grows by 1 with every write of the stage. */
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
  /** When a SUSPENDED stage is to be looked at again; null: when somebody resumes it. */
  nextPollAt: Date | null;
  /** Milliseconds. */
  pollInterval: number | null;
  maxWaitUntil: Date | null;
  metrics: unknown | null;
  embeddingInfo: unknown | null;
  errorMessage: string | null;
}

/**
 * @example
 * const format = (line: WorkflowLogRecord) => `${line.createdAt.toISOString()} ${line.level} ${line.message}`;
 */
export interface WorkflowLogRecord {
  id: string;
  createdAt: Date;
  /** A stage's record id; null also when that stage was deleted. */
  workflowStageId: string | null;
  workflowRunId: string | null;
  level: LogLevel;
  message: string;
  metadata: unknown | null;
}

/**
 * @example
 * for (const artifact of await persistence.listArtifacts("run-1")) console.log(artifact.key, artifact.size);
 */
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

/**
 * The person or program that made an annotation. `kind` is open; "agent", "user" and "system" are
 * usual.
 * @example
 * const actor: AnnotationActor = { kind: "agent", id: "reviewer", version: "3" };
 */
export interface AnnotationActor {
  kind?: string;
  id?: string;
  version?: string;
}

/**
 * What an annotation describes: a run, one execution of a stage, one AI call, or a scope of the
 * caller's own.
 * @example
 * const scope: AnnotationScope = "document";
 */
export type AnnotationScope = "run" | "stage" | "ai_call" | (string & {});

/**
 * @example
 * const [latest] = (await persistence.listAnnotations("run-1", { key: "review.verdict" })).toReversed();
 * console.log(latest?.value, "by", latest?.actorId);
 */
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

/**
 * An event waits to be published, is published, or is in the DLQ (dead-letter queue); never two of
 * them.
 * @example
 * for (const event of await persistence.getUnpublishedOutboxEvents(10)) {
 *   console.log(event.workflowRunId, event.sequence, event.eventType);
 * }
 */
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
  /** Failed tries to publish the event, since it last left the DLQ. */
  retryCount: number;
  /** When the event was moved to the DLQ; null while it is not there. */
  dlqAt: Date | null;
}

/**
 * A completed idempotency key.
 * @example
 * const age = (record: IdempotencyRecord) => Date.now() - record.createdAt.getTime();
 */
export interface IdempotencyRecord {
  key: string;
  commandType: string;
  result: unknown;
  createdAt: Date;
}

/**
 * @example
 * const price = (call: AICallRecord) => call.cost / (call.inputTokens + call.outputTokens);
 */
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

/**
 * @example
 * for (const job of await jobs.getJobsByWorkflowRun("run-1")) {
 *   console.log(job.stageId, job.status, `${job.attempt}/${job.maxAttempts}`, job.lastError ?? "");
 * }
 */
export interface JobRecord {
  id: string;
  createdAt: Date;
  updatedAt: Date;
  workflowRunId: string;
  workflowId: string;
  stageId: string;
  status: JobStatus;
  priority: number;
  /**
   * The `workerId` of the connection that took the last lease; null for none. A job that has ended
   * keeps it.
   */
  workerId: string | null;
  /**
   * When the last lease was taken or renewed. Null before the first delivery, and once the job
   * waits again. A job that has ended keeps it.
   */
  lockedAt: Date | null;
  startedAt: Date | null;
  completedAt: Date | null;
  /** Deliveries so far: 0 when enqueued, + 1 with each claim; nothing else changes it. */
  attempt: number;
  /** Deliveries allowed. Grows by 1 with each delivery that does not count as an attempt. */
  maxAttempts: number;
  /** The error of the last failure, expired lease or failed delivery; null when there was none. */
  lastError: string | null;
  /**
   * When the job is due: a delayed one to be claimed, a SUSPENDED one to be polled. Null: now, or
   * at no set time.
   */
  nextPollAt: Date | null;
  payload: Record<string, unknown>;
  /** Beyond the contract, as are the next two. Absent when the job has none. */
  dedupeKey?: string;
  concurrencyKey?: string;
  concurrencyLimit?: number;
}
