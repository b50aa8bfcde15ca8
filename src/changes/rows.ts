/**
 * The rows as they are stored: JSON and free text as text, instants as milliseconds. What the database,
 * the in-memory store and the wire have in common. A test holds them against the tables' own types.
 *
 * `commits` is a row's memory of the last commits that wrote it, newest first, each
 * COMMIT_ID_CHARS long. The first is the row's *token*: equal tokens mean an unchanged row.
 * The rest lets a retry recognise its own earlier success although others wrote since.
 */
import * as z from "zod";
import type { AuditProblem, Status } from "../contract/index.ts";
import {
  artifactKeyField,
  artifactTypeField,
  batchOrNoneField,
  callOrdinalField,
  costField,
  countField,
  idField,
  instantField,
  jobErrorField,
  keyField,
  logLevelField,
  nameField,
  numberField,
  ordinalField,
  recordIdField,
  runOrNoneField,
  statusField,
  textField,
  tokensField,
  wholeField,
} from "./fields.ts";

export const newRunRow = z.strictObject({
  id: idField,
  /** Ties between runs of one priority are broken by it, oldest first. */
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  version: wholeField,
  workflowId: idField,
  workflowName: nameField,
  workflowType: nameField,
  status: statusField,
  startedAt: instantField.nullable(),
  completedAt: instantField.nullable(),
  duration: numberField.nullable(),
  input: textField,
  output: textField.nullable(),
  config: textField,
  totalCost: costField,
  totalTokens: countField,
  priority: wholeField,
  metadata: textField.nullable(),
});
export type NewRunRow = z.infer<typeof newRunRow>;
export type RunRow = NewRunRow & { commits: string };

export const newStageRow = z.strictObject({
  workflowRunId: idField,
  stageId: idField,
  id: recordIdField,
  createdAt: instantField,
  updatedAt: instantField,
  version: wholeField,
  stageName: nameField,
  stageNumber: wholeField,
  executionGroup: wholeField,
  attempt: wholeField,
  status: statusField,
  startedAt: instantField.nullable(),
  completedAt: instantField.nullable(),
  duration: numberField.nullable(),
  inputData: textField.nullable(),
  outputData: textField.nullable(),
  config: textField.nullable(),
  suspendedState: textField.nullable(),
  resumeData: textField.nullable(),
  nextPollAt: instantField.nullable(),
  pollInterval: numberField.nullable(),
  maxWaitUntil: instantField.nullable(),
  metrics: textField.nullable(),
  embeddingInfo: textField.nullable(),
  errorMessage: textField.nullable(),
});
export type NewStageRow = z.infer<typeof newStageRow>;
/**
 * `attendAt`: when the sweep looks whether anybody polls the stage; null unless it is SUSPENDED with a nextPollAt, and also when its run
 * is found finished. Whatever sets the status or nextPollAt of a stage makes it UNPOLLED_MS after nextPollAt; so does a run that becomes live.
 */
export type StageRow = NewStageRow & { attendAt: number | null; commits: string };

export const logRow = z.strictObject({
  /** The run given, or else the stage's run, or else "". */
  workflowRunId: runOrNoneField,
  ordinal: ordinalField,
  createdAt: instantField,
  workflowStageId: recordIdField.nullable(),
  level: logLevelField,
  message: textField,
  metadata: textField.nullable(),
});
export type LogRow = z.infer<typeof logRow>;

export const newArtifactRow = z.strictObject({
  workflowRunId: idField,
  key: artifactKeyField,
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  workflowStageId: recordIdField.nullable(),
  type: artifactTypeField,
  data: textField,
  size: numberField,
  metadata: textField.nullable(),
});
export type NewArtifactRow = z.infer<typeof newArtifactRow>;
export type ArtifactRow = NewArtifactRow & { commits: string };

export const newAnnotationRow = z.strictObject({
  workflowRunId: idField,
  ordinal: ordinalField,
  createdAt: instantField,
  workflowStageRecordId: recordIdField.nullable(),
  attempt: wholeField,
  scope: nameField,
  scopeId: nameField.nullable(),
  actorKind: nameField.nullable(),
  actorId: nameField.nullable(),
  actorVersion: nameField.nullable(),
  key: keyField,
  value: textField,
  payload: textField.nullable(),
  idempotencyKey: keyField.nullable(),
});
export type NewAnnotationRow = z.infer<typeof newAnnotationRow>;
export type AnnotationRow = NewAnnotationRow & { commits: string };

/** An outbox event before its commit gives it a sequence. */
export const newOutboxEventRow = z.strictObject({
  workflowRunId: idField,
  eventType: nameField,
  payload: textField,
  causationId: nameField,
  occurredAt: instantField,
  publishedAt: instantField.nullable(),
  retryCount: countField,
  dlqAt: instantField.nullable(),
});
export type NewOutboxEventRow = z.infer<typeof newOutboxEventRow>;
export type OutboxEventRow = NewOutboxEventRow & { sequence: number; commits: string };

export type IdempotencyKeyRow = {
  key: string;
  commandType: string;
  createdAt: number;
  state: "in_progress" | "completed";
  /** When the key was acquired last: ages are measured from it. */
  acquiredAt: number;
  result: string | null;
  commits: string;
};

export const newJobRow = z.strictObject({
  workflowRunId: idField,
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  workflowId: idField,
  stageId: idField,
  status: statusField,
  priority: wholeField,
  workerId: nameField.nullable(),
  lockedAt: instantField.nullable(),
  startedAt: instantField.nullable(),
  completedAt: instantField.nullable(),
  attempt: countField,
  maxAttempts: countField,
  /** Deliveries that failed, or whose lease ran out: the pause before a retry grows by them. */
  failures: countField,
  /** Deliveries in a row that did not reach the handler: the pause before the next grows by them. */
  undelivered: countField,
  lastError: jobErrorField.nullable(),
  nextPollAt: instantField.nullable(),
  payload: textField,
  /** Of the live jobs (PENDING, RUNNING, SUSPENDED) at most one has it. */
  dedupeKey: keyField.nullable(),
  /** Of the jobs with this key, no claim lets more be RUNNING than the claimed job's `concurrencyLimit`; null: 1. */
  concurrencyKey: keyField.nullable(),
  concurrencyLimit: wholeField.min(1).nullable(),
});
export type NewJobRow = z.infer<typeof newJobRow>;
/**
 * `resumeAt`: when a SUSPENDED job is given out again by ourselves. `handOverAt`: when a FAILED job is handed over next; null: nothing that it
 * has left open is known.
 */
export type JobRow = NewJobRow & {
  resumeAt: number | null;
  handOverAt: number | null;
  commits: string;
};

/**
 * A stage that the sweep is to look at, with its run's workflow. `attended`: a live job is for it. `over`: its run is finished, or is not there.
 */
export type UnattendedStage = Pick<StageRow, "workflowRunId" | "stageId" | "nextPollAt"> & {
  workflowId: string | null;
  state: "unattended" | "attended" | "over";
};

/**
 * A job that has failed for good, without its payload. `state`: what it has left.
 * - `closed`: nothing. Its run is finished, or is not there; or its stage has a later job.
 * - `busy`: its stage is done, and its run goes on: it is PENDING, has a live job, or a SUSPENDED stage with a nextPollAt.
 * - `open`: everything else.
 */
export type FailedJob = Pick<
  JobRow,
  "workflowRunId" | "ordinal" | "workflowId" | "stageId" | "attempt" | "lastError" | "completedAt"
> & { state: "closed" | "busy" | "open" };

/** A lease that may have expired. */
export type StaleJob = Pick<JobRow, "workflowRunId" | "ordinal" | "attempt" | "maxAttempts">;

/** What a job has come to, without its payload. */
export type JobState = Pick<
  JobRow,
  | "workflowRunId"
  | "ordinal"
  | "status"
  | "attempt"
  | "nextPollAt"
  | "resumeAt"
  | "concurrencyKey"
  | "commits"
> & { keyWaits: number };

/**
 * How many jobs are in which state; each count stops at JOB_STATS_MAX. `due`: PENDING, and not before its time;
 * `delayed`: PENDING, and before it; `undelivered`: of both, given back since the handler could not be reached. `oldestDueAt`: since when the longest waiting of the counted due jobs is due.
 */
export type JobStatsRow = {
  due: number;
  delayed: number;
  leased: number;
  suspended: number;
  failed: number;
  undelivered: number;
  oldestDueAt: number | null;
};

/** A row that nothing will make progress. */
export type AuditRow = {
  entity: "run" | "stage" | "job";
  workflowRunId: string;
  /** A stage's stageId, a job's ordinal, "" for a run. */
  key: string;
  status: Status;
  problem: AuditProblem;
};

export const aiCallRow = z.strictObject({
  /** "" for a call of its own. */
  batchId: batchOrNoneField,
  /** For a call of a batch, derived from its content, so that a repeat is the same row. */
  ordinal: callOrdinalField,
  createdAt: instantField,
  topic: nameField,
  callType: nameField,
  modelKey: nameField,
  modelId: nameField,
  prompt: textField,
  response: textField,
  inputTokens: tokensField,
  outputTokens: tokensField,
  cost: costField,
  metadata: textField.nullable(),
});
export type AiCallRow = z.infer<typeof aiCallRow>;

export type AiCallTotalRow = {
  topic: string;
  modelKey: string;
  calls: number;
  inputTokens: number;
  outputTokens: number;
  cost: number;
};
