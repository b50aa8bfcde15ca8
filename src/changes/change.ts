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
  totalCost: numberField.optional(),
  totalTokens: wholeField.optional(),
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
const eventKey = { ...runKey, sequence: countField };

export const change = z.discriminatedUnion("kind", [
  /** Inserts the run. Its id is free: a guard says so. */
  z.strictObject({ kind: z.literal("createRun"), row: newRunRow }),
  /** Sets the columns, updatedAt = at, version + bump. */
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
  /** Inserts the event with the run's next sequence: the highest so far + 1, first 1. Its `commits` continues its predecessor's. */
  z.strictObject({ kind: z.literal("appendOutboxEvent"), row: newOutboxEventRow }),
  /** publishedAt = at unless it is set; dlqAt = null. Nothing for an unknown event. */
  z.strictObject({ kind: z.literal("publishOutboxEvent"), ...eventKey, at: instantField }),
  /** retryCount + 1. */
  z.strictObject({ kind: z.literal("countOutboxRetry"), ...eventKey }),
  /** dlqAt = at, unless it is published. */
  z.strictObject({ kind: z.literal("deadLetterOutboxEvent"), ...eventKey, at: instantField }),
  /** dlqAt = null, retryCount = 0. */
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
  z.strictObject({ kind: z.literal("enqueueJob"), row: newJobRow }),
  /**
   * The best PENDING job whose nextPollAt is null or at most `at` (priority, then ordinal) becomes RUNNING:
   * workerId, lockedAt = startedAt = updatedAt = at, attempt + 1. Nothing when there is none.
   */
  z.strictObject({
    kind: z.literal("claimJob"),
    workerId: nameField.nullable(),
    at: instantField,
  }),
  /** COMPLETED, completedAt = updatedAt = at; nothing if terminal (COMPLETED, FAILED, CANCELLED). */
  z.strictObject({ kind: z.literal("completeJob"), ...jobKey, at: instantField }),
  /** SUSPENDED, nextPollAt, workerId = lockedAt = null, updatedAt = at; nothing if terminal. */
  z.strictObject({
    kind: z.literal("suspendJob"),
    ...jobKey,
    nextPollAt: instantField,
    at: instantField,
  }),
  /**
   * lastError, updatedAt = at; if `retry` and attempt < maxAttempts: PENDING, workerId = lockedAt = null, nextPollAt = at +
   * RETRY_BACKOFF_MS * 2^min(attempt, 20); otherwise FAILED, completedAt = at. Nothing if terminal.
   */
  z.strictObject({
    kind: z.literal("failJob"),
    ...jobKey,
    error: jobErrorField,
    retry: z.boolean(),
    at: instantField,
  }),
  /** lockedAt = updatedAt = at if RUNNING; nothing otherwise. */
  z.strictObject({ kind: z.literal("touchJob"), ...jobKey, at: instantField }),
  /**
   * If RUNNING and lockedAt < staleBefore: workerId = lockedAt = null, updatedAt = at; PENDING, or when attempt >= maxAttempts FAILED
   * with completedAt = at and lastError = `error`. Nothing otherwise.
   */
  z.strictObject({
    kind: z.literal("releaseJob"),
    ...jobKey,
    staleBefore: instantField,
    error: jobErrorField,
    at: instantField,
  }),
  /** PENDING and SUSPENDED jobs of the run: CANCELLED, completedAt = updatedAt = at. */
  z.strictObject({ kind: z.literal("cancelJobs"), ...runKey, at: instantField }),
  /** Inserts the call and adds it to the totals of its (topic, modelKey); nothing if its (batchId, ordinal) exists. */
  z.strictObject({ kind: z.literal("recordAiCall"), row: aiCallRow }),
]);
export type Change = z.infer<typeof change>;
export type ChangeKind = Change["kind"];
export type ChangeOf<K extends ChangeKind> = Extract<Change, { kind: K }>;
