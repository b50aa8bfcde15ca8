/**
 * A read as data. What each answers is told here once, for `store/` and `memory/` alike.
 * Queries that are asked together see one snapshot. A list with `bytesMax` ends where the rows before have so many bytes of long text, or
 * more; what is in `omit` is not counted. Its first row is always there.
 */
import * as z from "zod";
import type { Status } from "../contract/index.ts";
import {
  countField,
  idField,
  instantField,
  keyField,
  listField,
  nameField,
  ordinalField,
  recordIdField,
  runOrNoneField,
  statusField,
  wholeField,
} from "./fields.ts";
import {
  ANNOTATIONS_LIST_MAX,
  LONG_COLUMNS_MAX,
  OUTBOX_READ_MAX,
  READ_QUERIES_MAX,
  TRANSACTION_CHANGES_MAX,
} from "./limits.ts";
import { LONG_TEXT } from "./long-text.ts";
import type {
  AiCallTotalRow,
  AnnotationRow,
  ArtifactRow,
  AuditRow,
  FailedJob,
  IdempotencyKeyRow,
  JobRow,
  JobState,
  StaleJob,
  UnattendedStage,
  JobStatsRow,
  LogRow,
  OutboxEventRow,
  RunRow,
  StageRow,
} from "./rows.ts";
import { type RunsPage, runsQuery } from "./runs-query.ts";

export const annotationFilters = z.strictObject({
  key: keyField.optional(),
  keyPrefix: keyField.optional(),
  scope: nameField.optional(),
  scopeId: nameField.nullable().optional(),
  actorId: nameField.optional(),
  actorKind: nameField.optional(),
  attempt: wholeField.optional(),
  since: instantField.optional(),
  until: instantField.optional(),
  limit: countField.max(ANNOTATIONS_LIST_MAX + 1),
});
export type AnnotationRowFilters = z.infer<typeof annotationFilters>;

const run = { workflowRunId: idField };
const rowLimit = countField.max(1_000);
const eventPlace = z.strictObject({ ...run, sequence: countField });

export const query = z.discriminatedUnion("q", [
  z.strictObject({ q: z.literal("run"), id: idField }),
  z.strictObject({ q: z.literal("runStatus"), id: idField }),
  runsQuery,
  /** The first `limit` PENDING runs by (priority DESC, ordinal). */
  z.strictObject({ q: z.literal("pendingRuns"), limit: countField.max(1_000) }),
  /**
   * RUNNING runs with updatedAt <= since and no stage with updatedAt > since, by (updatedAt, ordinal), without those that are
   * not stuck: a SUSPENDED stage with nextPollAt > now; a RUNNING job with lockedAt > since; a PENDING job with nextPollAt > now;
   * a PENDING job while any RUNNING job of any run has lockedAt > since. The first `limit` after the given place; all of them without.
   */
  z.strictObject({
    q: z.literal("stuckRuns"),
    since: instantField,
    now: instantField,
    after: z.strictObject({ updatedAt: instantField, ordinal: ordinalField }).nullish(),
    limit: rowLimit.optional(),
  }),
  z.strictObject({ q: z.literal("stage"), ...run, stageId: idField }),
  /**
   * The run's stages by (executionGroup, stageNumber, stageId), all three reversed when `descending`; the first `limit`, all when
   * null. `beforeGroup`: executionGroup < it. `withoutNextPoll`: only those whose nextPollAt is null. Columns in `omit` are answered as
   * the JSON null.
   */
  z.strictObject({
    q: z.literal("stages"),
    ...run,
    status: statusField.nullable(),
    beforeGroup: wholeField.nullable(),
    withoutNextPoll: z.boolean(),
    descending: z.boolean(),
    limit: countField.nullable(),
    after: z
      .strictObject({ executionGroup: wholeField, stageNumber: wholeField, stageId: idField })
      .nullish(),
    omit: listField(z.enum(LONG_TEXT.stages), LONG_COLUMNS_MAX).optional(),
    bytesMax: countField.min(1).optional(),
  }),
  /** SUSPENDED stages with a nextPollAt <= before, by (nextPollAt, run, stageId), `limit` or PAGE_ROWS of them, after the given place. */
  z.strictObject({
    q: z.literal("suspendedStages"),
    before: instantField,
    after: z
      .strictObject({ nextPollAt: instantField, workflowRunId: idField, stageId: idField })
      .nullable(),
    limit: rowLimit.optional(),
  }),
  z.strictObject({ q: z.literal("artifact"), ...run, key: keyField }),
  z.strictObject({ q: z.literal("hasArtifact"), ...run, key: keyField }),
  /** By key. */
  z.strictObject({ q: z.literal("artifacts"), ...run }),
  /** By (createdAt, ordinal), after the given place. Columns in `omit` are answered as the JSON null. */
  z.strictObject({
    q: z.literal("annotations"),
    ...run,
    filters: annotationFilters,
    after: z.strictObject({ createdAt: instantField, ordinal: ordinalField }).nullish(),
    omit: listField(z.enum(LONG_TEXT.annotations), LONG_COLUMNS_MAX).optional(),
    bytesMax: countField.min(1).optional(),
  }),
  z.strictObject({ q: z.literal("outboxEvent"), ...run, sequence: countField }),
  /** The run's highest sequence; 0: none. */
  z.strictObject({ q: z.literal("outboxTail"), ...run }),
  /**
   * Events neither published nor in the DLQ: `limit` of them, first the first of every run, then the second of every run, ..., runs
   * in the order of their line, then of their ids; answered by (run, sequence).
   */
  z.strictObject({ q: z.literal("unpublishedEvents"), limit: countField.max(OUTBOX_READ_MAX) }),
  /** Events neither published nor in the DLQ by (run, sequence), the first `limit` after the given place. */
  z.strictObject({ q: z.literal("outboxBacklog"), after: eventPlace.nullable(), limit: rowLimit }),
  /** Events in the DLQ by (dlqAt, run, sequence), the first `limit` after the given place. */
  z.strictObject({
    q: z.literal("deadLetters"),
    after: eventPlace.extend({ dlqAt: instantField }).nullish(),
    limit: countField.max(OUTBOX_READ_MAX),
  }),
  z.strictObject({ q: z.literal("idempotencyKey"), key: keyField, commandType: keyField }),
  z.strictObject({ q: z.literal("job"), ...run, ordinal: ordinalField }),
  /** By ordinal. */
  z.strictObject({ q: z.literal("jobs"), ...run }),
  /** The live job (PENDING, RUNNING, SUSPENDED) with the key, or null. */
  z.strictObject({ q: z.literal("liveJob"), dedupeKey: keyField }),
  /**
   * What the jobs have come to, in no particular order; unknown ones are left out. `keyWaits`: 1 if a PENDING job has the
   * same concurrency key and was due at `now`, otherwise 0.
   */
  z.strictObject({
    q: z.literal("jobStates"),
    keys: listField(z.strictObject({ ...run, ordinal: ordinalField }), TRANSACTION_CHANGES_MAX),
    now: instantField,
  }),
  z.strictObject({ q: z.literal("jobStats"), now: instantField, failedSince: instantField }),
  /** The jobs that a commit's claimJobs took at or after `since`, by (priority DESC, ordinal, run). */
  z.strictObject({ q: z.literal("claimedJobs"), since: instantField, commitId: z.string() }),
  /** PENDING jobs that were due at `before`, counted up to `limit`. */
  z.strictObject({
    q: z.literal("overdueJobs"),
    before: instantField,
    limit: countField.max(1_000),
  }),
  /** SUSPENDED jobs with resumeAt <= now, counted up to `limit`. */
  z.strictObject({
    q: z.literal("resumableJobs"),
    now: instantField,
    limit: countField.max(1_000),
  }),
  /** Events neither published nor in the DLQ, counted up to `limit`. */
  z.strictObject({ q: z.literal("waitingEvents"), limit: countField.max(1_000) }),
  /** Stages with attendAt <= now by (attendAt, run, stageId), the first `limit`, each with what it comes to. */
  z.strictObject({
    q: z.literal("unattendedStages"),
    now: instantField,
    limit: countField.max(1_000),
  }),
  /** Of the first `limit` PENDING runs by (priority DESC, ordinal), how many were updated at or before `before`. */
  z.strictObject({
    q: z.literal("waitingRuns"),
    before: instantField,
    limit: countField.max(1_000),
  }),
  /** How many of idempotency keys and commit records purgeExpired would delete, each counted up to 1. */
  z.strictObject({
    q: z.literal("expired"),
    keysBefore: instantField,
    commitsBefore: instantField,
  }),
  /**
   * Rows that are not finished and that nothing will make progress, the first `limit`, in no particular order.
   * - run: RUNNING or SUSPENDED, with neither a stage nor a job that is live.
   * - stage, of such a run, without a live job of its own: RUNNING; SUSPENDED without a nextPollAt; PENDING, and no
   *   stage of an earlier group is live; SUSPENDED with nextPollAt <= now - AUDIT_UNPOLLED_MS.
   * - job: RUNNING without lockedAt; SUSPENDED, or PENDING and delayed, without nextPollAt; of such a run, SUSPENDED with
   *   nextPollAt <= now - AUDIT_UNPOLLED_MS.
   */
  z.strictObject({ q: z.literal("audit"), now: instantField, limit: countField.max(1_000) }),
  /** Jobs with handOverAt <= now by (handOverAt, run, ordinal), the first `limit`, each with what it has left. */
  z.strictObject({
    q: z.literal("unhandledFailures"),
    now: instantField,
    limit: countField.max(1_000),
  }),
  /** How many of the run's jobs a commit's cancelJobs cancelled. */
  z.strictObject({ q: z.literal("cancelledJobs"), ...run, commitId: z.string() }),
  /** RUNNING jobs with lockedAt < before, by (lockedAt, run, ordinal), the first `limit`. */
  z.strictObject({
    q: z.literal("staleJobs"),
    before: instantField,
    limit: countField.max(1_000),
  }),
  /** SUSPENDED jobs with nextPollAt <= now, by (nextPollAt, run, ordinal), `limit` or PAGE_ROWS of them, after the given place. */
  z.strictObject({
    q: z.literal("suspendedJobs"),
    now: instantField,
    after: z
      .strictObject({ nextPollAt: instantField, workflowRunId: idField, ordinal: ordinalField })
      .nullable(),
    limit: rowLimit.optional(),
  }),
  /** Totals of every topic that starts with the prefix, by (topic, modelKey), PAGE_ROWS of them, after the given place. */
  z.strictObject({
    q: z.literal("aiCallTotals"),
    prefix: nameField,
    after: z.strictObject({ topic: nameField, modelKey: nameField }).nullable(),
  }),
  /** Whether any call is recorded under the batch id. */
  z.strictObject({ q: z.literal("aiBatch"), batchId: keyField }),
  /** Of one kind of the run's rows, by key (ordinal, key or sequence), `limit` of those that come after the given one. */
  z.strictObject({
    q: z.literal("page"),
    of: z.enum(["logs", "artifacts", "outboxEvents", "jobs"]),
    /** "": logs of no run. */
    workflowRunId: runOrNoneField,
    /** A key as text; null: from the beginning, or from the end when `descending`. */
    after: keyField.nullable(),
    descending: z.boolean(),
    limit: countField.max(1_000),
    /** Long columns that are answered as the JSON null. */
    omit: listField(
      z.enum(["message", "metadata", "data", "payload"]),
      LONG_COLUMNS_MAX,
    ).optional(),
    bytesMax: countField.min(1).optional(),
  }),
  z.strictObject({ q: z.literal("stageById"), ...run, stageId: idField, id: recordIdField }),
]);
export type Query = z.infer<typeof query>;
export type QueryKind = Query["q"];

/** Queries that are asked together. */
export const queryList = listField(query, READ_QUERIES_MAX);

export interface QueryResults {
  run: RunRow | null;
  runStatus: Status | null;
  runs: RunsPage;
  pendingRuns: RunRow[];
  stuckRuns: RunRow[];
  stage: StageRow | null;
  stageById: StageRow | null;
  stages: StageRow[];
  suspendedStages: StageRow[];
  artifact: ArtifactRow | null;
  hasArtifact: boolean;
  artifacts: ArtifactRow[];
  annotations: AnnotationRow[];
  outboxEvent: OutboxEventRow | null;
  outboxTail: number;
  unpublishedEvents: OutboxEventRow[];
  outboxBacklog: OutboxEventRow[];
  deadLetters: OutboxEventRow[];
  idempotencyKey: IdempotencyKeyRow | null;
  job: JobRow | null;
  jobs: JobRow[];
  liveJob: JobRow | null;
  jobStates: JobState[];
  jobStats: JobStatsRow;
  claimedJobs: JobRow[];
  overdueJobs: number;
  resumableJobs: number;
  waitingEvents: number;
  unattendedStages: UnattendedStage[];
  waitingRuns: number;
  expired: number;
  audit: AuditRow[];
  unhandledFailures: FailedJob[];
  cancelledJobs: number;
  staleJobs: StaleJob[];
  suspendedJobs: JobRow[];
  aiCallTotals: AiCallTotalRow[];
  aiBatch: boolean;
  page: (LogRow | ArtifactRow | OutboxEventRow | JobRow)[];
}
export type QueryOf<K extends Query["q"]> = Extract<Query, { q: K }>;
export type ResultOf<Q extends Query> = QueryResults[Q["q"]];
export type ResultsOf<Qs extends readonly Query[]> = {
  -readonly [K in keyof Qs]: Qs[K] extends Query ? ResultOf<Qs[K]> : never;
};
/** An answer whose query is known only at run time. */
export type AnyResult = QueryResults[keyof QueryResults];
