/**
 * A change is one write as data. What each does is told here once; `store/` says it in SQL and `memory/`
 * over maps, and the differential test holds the two against each other.
 *
 * Common to all: a change that writes a row puts its commit's id at the front of the row's `commits`, if
 * the row has that column. A change never fails for the state it finds: whatever must hold is a guard.
 * The only exception is a row that grows beyond ROW_BYTES_MAX, which refuses the whole commit.
 */
import * as z from "zod";
import {
  artifactTypeField,
  costField,
  countField,
  idField,
  instantField,
  jobErrorField,
  keyField,
  nameField,
  numberField,
  ordinalField,
  recordIdField,
  statusField,
  textField,
  wholeField,
} from "./fields.ts";
import { CLAIM_JOBS_MAX, RESUME_JOBS_MAX } from "./limits.ts";
import {
  aiCallRow,
  logRow,
  newAnnotationRow,
  newArtifactRow,
  newJobRow,
  newOutboxEventRow,
  newRunRow,
  newStageRow,
} from "./rows.ts";

/** The columns an update of a run may set; an absent member leaves the column alone. */
export const runSet = z.strictObject({
  status: statusField.optional(),
  startedAt: instantField.nullable().optional(),
  completedAt: instantField.nullable().optional(),
  duration: numberField.nullable().optional(),
  output: textField.nullable().optional(),
  totalCost: costField.optional(),
  totalTokens: countField.optional(),
});
export type RunSet = z.infer<typeof runSet>;

export const stageSet = z.strictObject({
  status: statusField.optional(),
  startedAt: instantField.nullable().optional(),
  completedAt: instantField.nullable().optional(),
  duration: numberField.nullable().optional(),
  outputData: textField.nullable().optional(),
  config: textField.nullable().optional(),
  suspendedState: textField.nullable().optional(),
  resumeData: textField.nullable().optional(),
  nextPollAt: instantField.nullable().optional(),
  pollInterval: numberField.nullable().optional(),
  maxWaitUntil: instantField.nullable().optional(),
  metrics: textField.nullable().optional(),
  embeddingInfo: textField.nullable().optional(),
  errorMessage: textField.nullable().optional(),
});
export type StageSet = z.infer<typeof stageSet>;

const runKey = { workflowRunId: idField };
const jobKey = { ...runKey, ordinal: ordinalField };
/** The fence of a delivery: the change does nothing if the job's attempt is another. Absent: any. */
const fence = { attempt: countField.optional() };

/** A retry waits min(baseMs * 2^min(attempt, 20), capMs), and `jitterPermille` thousandths of that longer, rounded down. */
export const retryBackoff = z.strictObject({
  baseMs: countField.max(86_400_000),
  capMs: countField.max(31 * 86_400_000),
  jitterPermille: countField.max(1_000),
});
export type RetryBackoff = z.infer<typeof retryBackoff>;
const eventKey = { ...runKey, sequence: countField };

export const change = z.discriminatedUnion("kind", [
  /** Inserts the run. Its id is free: a guard says so. */
  z.strictObject({ kind: z.literal("createRun"), row: newRunRow }),
  /** Sets the columns, updatedAt = at, version + bump. A live status gives its stages without an attendAt theirs again. */
  z.strictObject({
    kind: z.literal("updateRun"),
    id: idField,
    set: runSet,
    at: instantField,
    bump: wholeField,
  }),
  /** Inserts the stage. Its (run, stageId) is free: a guard says so. */
  z.strictObject({ kind: z.literal("createStage"), row: newStageRow }),
  /** Sets the columns, updatedAt = at, version + bump. */
  z.strictObject({
    kind: z.literal("updateStage"),
    ...runKey,
    stageId: idField,
    set: stageSet,
    at: instantField,
    bump: wholeField,
  }),
  /** Inserts `row`, or where the (run, stageId) exists, does as updateStage with bump 1 and at = row.updatedAt. */
  z.strictObject({ kind: z.literal("upsertStage"), row: newStageRow, set: stageSet }),
  /** Deletes the stage and its logs, and nulls the reference of its artifacts and annotations. */
  z.strictObject({
    kind: z.literal("deleteStage"),
    ...runKey,
    stageId: idField,
    id: recordIdField,
  }),
  /** Inserts the log; nothing if its (run, ordinal) exists. */
  z.strictObject({ kind: z.literal("createLog"), row: logRow }),
  /**
   * Inserts the artifact, or where (run, key) exists, replaces updatedAt, data, size and type, and the stage
   * reference and metadata when told so. With `linkStageId`, the stage reference is the record id of that
   * stage of the run, null when there is none.
   */
  z.strictObject({
    kind: z.literal("saveArtifact"),
    row: newArtifactRow.extend({ type: artifactTypeField }),
    replaceStage: z.boolean(),
    replaceMetadata: z.boolean(),
    linkStageId: idField.nullable(),
  }),
  z.strictObject({ kind: z.literal("deleteArtifact"), ...runKey, key: keyField }),
  /**
   * Inserts the annotation; nothing if its (run, ordinal) or, with a non-null idempotency key, its
   * (run, key, idempotencyKey) exists.
   */
  z.strictObject({ kind: z.literal("appendAnnotation"), row: newAnnotationRow }),
  /**
   * Inserts the event with the run's next sequence: the highest so far + 1, first 1. Its `commits` continues its predecessor's. A run
   * without waiting events joins the line of those that have some, at its end.
   */
  z.strictObject({ kind: z.literal("appendOutboxEvent"), row: newOutboxEventRow }),
  /**
   * publishedAt = at unless it is set; dlqAt = null. Nothing for an unknown event. Of this and the two that follow: if the run's first
   * waiting event has become another one, the run goes to the end of the line when the commit ends; all of one commit by their ids.
   */
  z.strictObject({ kind: z.literal("publishOutboxEvent"), ...eventKey, at: instantField }),
  /** retryCount + 1. If the event is the run's first waiting one, the run goes to the end of the line. */
  z.strictObject({ kind: z.literal("countOutboxRetry"), ...eventKey }),
  /** dlqAt = at, unless it is published. */
  z.strictObject({ kind: z.literal("deadLetterOutboxEvent"), ...eventKey, at: instantField }),
  /** dlqAt = null, retryCount = 0. The run goes to the end of the line. */
  z.strictObject({ kind: z.literal("replayOutboxEvent"), ...eventKey }),
  /**
   * Absent: inserts the key in progress, createdAt = acquiredAt = at. In progress and acquired at or before
   * `staleBefore`: acquiredAt = at. Otherwise nothing, `commits` included.
   */
  z.strictObject({
    kind: z.literal("acquireIdempotencyKey"),
    key: keyField,
    commandType: keyField,
    at: instantField,
    /** Null: never taken over. */
    staleBefore: instantField.nullable(),
  }),
  /** Completed with this result, whatever it was; inserted with createdAt = acquiredAt = at when absent. */
  z.strictObject({
    kind: z.literal("completeIdempotencyKey"),
    key: keyField,
    commandType: keyField,
    at: instantField,
    result: textField,
  }),
  /** Deletes the key if it is in progress. */
  z.strictObject({
    kind: z.literal("releaseIdempotencyKey"),
    key: keyField,
    commandType: keyField,
  }),
  /** Inserts the job; nothing if it is live (PENDING, RUNNING, SUSPENDED) and another live job has its dedupeKey. */
  z.strictObject({ kind: z.literal("enqueueJob"), row: newJobRow }),
  /**
   * The best PENDING jobs whose nextPollAt is null or at most `at` (priority, then ordinal), `limit` of them, become RUNNING:
   * workerId, lockedAt = startedAt = updatedAt = at, attempt + 1. Passed over: jobs with a concurrencyKey, where the RUNNING
   * jobs of the key together with those that are taken before it have reached its concurrencyLimit, and those of the key that come
   * after such a one; and of more than CONCURRENCY_KEYS_MAX keys with jobs that are due, those of the later keys.
   */
  z.strictObject({
    kind: z.literal("claimJobs"),
    workerId: nameField.nullable(),
    limit: countField.max(CLAIM_JOBS_MAX),
    at: instantField,
  }),
  /**
   * SUSPENDED jobs with resumeAt <= at, the longest due first, `limit` of them: PENDING, maxAttempts + 1 (a poll is
   * no failed attempt), updatedAt = at.
   */
  z.strictObject({
    kind: z.literal("resumeJobs"),
    limit: countField.max(RESUME_JOBS_MAX),
    at: instantField,
  }),
  /** COMPLETED, completedAt = updatedAt = at; nothing if terminal (COMPLETED, FAILED, CANCELLED). */
  z.strictObject({ kind: z.literal("completeJob"), ...jobKey, ...fence, at: instantField }),
  /** SUSPENDED, nextPollAt, resumeAt, workerId = lockedAt = null, undelivered = 0, updatedAt = at; nothing if terminal. */
  z.strictObject({
    kind: z.literal("suspendJob"),
    ...jobKey,
    ...fence,
    nextPollAt: instantField,
    /** When we give it out ourselves: `nextPollAt`, or UNPOLLED_MS after it when it is left to whoever polls it. */
    resumeAt: instantField,
    at: instantField,
  }),
  /**
   * failures + 1, undelivered = 0, lastError, updatedAt = at; if `retry` and attempt < maxAttempts: PENDING, workerId = lockedAt = null,
   * nextPollAt = at + the backoff after so many failures (of a job that was never delivered: none); otherwise FAILED, completedAt = handOverAt = at.
   * Nothing if terminal.
   */
  z.strictObject({
    kind: z.literal("failJob"),
    ...jobKey,
    ...fence,
    error: jobErrorField,
    /** Null: no retry. */
    retry: retryBackoff.nullable(),
    at: instantField,
  }),
  /**
   * The delivery did not reach the handler, and counts for nothing. If RUNNING: PENDING, workerId = lockedAt = null, undelivered + 1,
   * maxAttempts + 1, nextPollAt = at + the backoff after so many in a row, lastError = `error`, updatedAt = at. Nothing otherwise.
   */
  z.strictObject({
    kind: z.literal("returnJob"),
    ...jobKey,
    ...fence,
    error: jobErrorField,
    retry: retryBackoff,
    at: instantField,
  }),
  /** lockedAt = updatedAt = at if RUNNING; nothing otherwise. */
  z.strictObject({ kind: z.literal("touchJob"), ...jobKey, ...fence, at: instantField }),
  /**
   * If RUNNING and lockedAt < staleBefore: failures + 1, undelivered = 0, workerId = lockedAt = null, updatedAt = at,
   * lastError = `error`; PENDING, or when attempt >= maxAttempts FAILED with completedAt = handOverAt = at. Nothing otherwise.
   */
  z.strictObject({
    kind: z.literal("releaseJob"),
    ...jobKey,
    staleBefore: instantField,
    error: jobErrorField,
    at: instantField,
  }),
  /** Of a job that has a handOverAt: handOverAt = `dueAt`. Leaves `commits` as they are: nobody who reads the job sees a difference. */
  z.strictObject({
    kind: z.literal("putBackFailure"),
    ...jobKey,
    dueAt: instantField.nullable(),
  }),
  /** Of a stage that has an attendAt: attendAt = `dueAt`. Leaves everything else as it is, `commits` included. */
  z.strictObject({
    kind: z.literal("attendStage"),
    ...runKey,
    stageId: idField,
    dueAt: instantField.nullable(),
  }),
  /** PENDING and SUSPENDED jobs of the run: CANCELLED, completedAt = updatedAt = at. */
  z.strictObject({ kind: z.literal("cancelJobs"), ...runKey, at: instantField }),
  /** Inserts the call and adds it to the totals of its (topic, modelKey); nothing if its (batchId, ordinal) exists. */
  z.strictObject({ kind: z.literal("recordAiCall"), row: aiCallRow }),
  /**
   * Deletes idempotency keys with acquiredAt < keysBefore and the records of commits made before `commitsBefore`, oldest first: `limit`
   * of each, and those as old as the last of them.
   */
  z.strictObject({
    kind: z.literal("purgeExpired"),
    keysBefore: instantField,
    commitsBefore: instantField,
    limit: countField.min(1).max(1_000),
  }),
]);
export type Change = z.infer<typeof change>;
export type ChangeKind = Change["kind"];
export type ChangeOf<K extends ChangeKind> = Extract<Change, { kind: K }>;
