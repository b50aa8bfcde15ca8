/**
 * The tables, with those of `side-tables.ts`: their columns' types in the database, their keys,
 * indexes and checks. drizzle-kit makes `migrations/` from it, and what Drizzle cannot say (WITHOUT
 * ROWID) is added by hand; a test holds the two together. The service does not load it: its rows and
 * their columns are those of `src/model/rows.ts`, with which the compiler and `test/store/rows.test.ts`
 * compare the tables. docs/schema.md says what writes each table, and which query each index serves.
 *
 * Every index costs a row written for each change of its columns ($1 per million), and no query may
 * scan. So primary keys begin with the run, and secondary indexes hold only live rows where that is
 * possible.
 */
import { sql } from "drizzle-orm";
import {
  check,
  customType,
  index,
  integer,
  primaryKey,
  real,
  sqliteTable,
  text,
  uniqueIndex,
} from "drizzle-orm/sqlite-core";
import type { ArtifactType, LogLevel, Status } from "../src/contract/index.ts";
import { JOB_ERROR_BYTES_MAX } from "../src/model/index.ts";
import { RUNS_BY } from "../src/store/names.ts";
import { knownStatus, rowFits } from "./checks.ts";
import {
  aiCallTotals,
  annotatedRuns,
  commits,
  longTexts,
  outboxTails,
  watchedRuns,
  workflows,
} from "./side-tables.ts";

/**
 * A column of text of any length. It holds the text itself, or a number: the place of the text in
 * `longTexts` (`long-texts.ts`). The type is the one that converts neither.
 */
const longText = customType<{ data: string }>({ dataType: () => "blob" });

export const runs = sqliteTable(
  "runs",
  {
    id: text("id").primaryKey(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    version: integer("version").notNull(),
    workflowId: text("workflow_id").notNull(),
    workflowName: text("workflow_name").notNull(),
    workflowType: text("workflow_type").notNull(),
    status: text("status").$type<Status>().notNull(),
    startedAt: integer("started_at"),
    completedAt: integer("completed_at"),
    duration: real("duration"),
    input: longText("input").notNull(),
    output: longText("output"),
    config: longText("config").notNull(),
    totalCost: real("total_cost").notNull(),
    totalTokens: integer("total_tokens").notNull(),
    priority: integer("priority").notNull(),
    metadata: longText("metadata"),
    commits: text("commits").notNull(),
  },
  (table) => [
    index("runs_pending_idx")
      .on(sql`${table.priority} DESC`, table.ordinal)
      .where(sql`"status" = 'PENDING'`),
    index(RUNS_BY.status).on(table.status, table.createdAt, table.ordinal),
    index(RUNS_BY.workflowId).on(table.workflowId, table.createdAt, table.ordinal),
    rowFits("runs"),
    knownStatus("runs"),
  ],
);

/** Rows that go with their run. */
const runReference = () =>
  text("workflow_run_id")
    .notNull()
    .references(() => runs.id, { onDelete: "cascade" });

const stageColumns = () => ({
  workflowRunId: runReference(),
  stageId: text("stage_id").notNull(),
  id: text("id").notNull(),
  createdAt: integer("created_at").notNull(),
  updatedAt: integer("updated_at").notNull(),
  version: integer("version").notNull(),
  stageName: text("stage_name").notNull(),
  stageNumber: integer("stage_number").notNull(),
  executionGroup: integer("execution_group").notNull(),
  attempt: integer("attempt").notNull(),
  status: text("status").$type<Status>().notNull(),
  startedAt: integer("started_at"),
  completedAt: integer("completed_at"),
  duration: real("duration"),
  inputData: longText("input_data"),
  outputData: longText("output_data"),
  config: longText("config"),
  suspendedState: longText("suspended_state"),
  resumeData: longText("resume_data"),
  nextPollAt: integer("next_poll_at"),
  pollInterval: real("poll_interval"),
  maxWaitUntil: integer("max_wait_until"),
  metrics: longText("metrics"),
  embeddingInfo: longText("embedding_info"),
  errorMessage: longText("error_message"),
  commits: text("commits").notNull(),
  /** Null: the sweep does not look at the stage. */
  attendAt: integer("attend_at"),
});

export const stages = sqliteTable("stages", stageColumns(), (table) => [
  primaryKey({ columns: [table.workflowRunId, table.stageId] }),
  index("stages_suspended_idx")
    .on(table.nextPollAt)
    .where(sql`"status" = 'SUSPENDED' AND "next_poll_at" IS NOT NULL`),
  index("stages_attend_idx")
    .on(table.attendAt)
    .where(sql`"attend_at" IS NOT NULL`),
  rowFits("stages"),
  knownStatus("stages"),
]);

/**
 * Stages as they were before their run was run again from them or from a stage before them: the same
 * rows as in `stages`, under their record ids.
 */
export const stageAttempts = sqliteTable("stage_attempts", stageColumns(), (table) => [
  primaryKey({ columns: [table.workflowRunId, table.id] }),
  rowFits("stageAttempts"),
]);

/** Signals that runs were sent, those that a stage has taken included. */
export const signals = sqliteTable(
  "signals",
  {
    workflowRunId: runReference(),
    id: text("id").notNull(),
    name: text("name").notNull(),
    ordinal: text("ordinal").notNull(),
    receivedAt: integer("received_at").notNull(),
    payload: longText("payload").notNull(),
    takenAt: integer("taken_at"),
  },
  (table) => [primaryKey({ columns: [table.workflowRunId, table.id] }), rowFits("signals")],
);

export const logs = sqliteTable(
  "logs",
  {
    workflowRunId: text("workflow_run_id").notNull(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    workflowStageId: text("workflow_stage_id"),
    level: text("level").$type<LogLevel>().notNull(),
    message: longText("message").notNull(),
    metadata: longText("metadata"),
  },
  (table) => [primaryKey({ columns: [table.workflowRunId, table.ordinal] }), rowFits("logs")],
);

export const artifacts = sqliteTable(
  "artifacts",
  {
    workflowRunId: runReference(),
    key: text("key").notNull(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    workflowStageId: text("workflow_stage_id"),
    type: text("type").$type<ArtifactType>().notNull(),
    data: longText("data").notNull(),
    size: real("size").notNull(),
    metadata: longText("metadata"),
    commits: text("commits").notNull(),
  },
  (table) => [primaryKey({ columns: [table.workflowRunId, table.key] }), rowFits("artifacts")],
);

export const annotations = sqliteTable(
  "annotations",
  {
    workflowRunId: runReference(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    workflowStageRecordId: text("workflow_stage_record_id"),
    attempt: integer("attempt").notNull(),
    scope: text("scope").notNull(),
    scopeId: text("scope_id"),
    actorKind: text("actor_kind"),
    actorId: text("actor_id"),
    actorVersion: text("actor_version"),
    key: text("key").notNull(),
    value: longText("value").notNull(),
    payload: longText("payload"),
    idempotencyKey: text("idempotency_key"),
    commits: text("commits").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.workflowRunId, table.ordinal] }),
    uniqueIndex("annotations_idempotency_idx")
      .on(table.workflowRunId, table.key, table.idempotencyKey)
      .where(sql`"idempotency_key" IS NOT NULL`),
    rowFits("annotations"),
  ],
);

export const outboxEvents = sqliteTable(
  "outbox_events",
  {
    workflowRunId: text("workflow_run_id").notNull(),
    sequence: integer("sequence").notNull(),
    eventType: text("event_type").notNull(),
    payload: longText("payload").notNull(),
    causationId: text("causation_id").notNull(),
    occurredAt: integer("occurred_at").notNull(),
    publishedAt: integer("published_at"),
    retryCount: integer("retry_count").notNull(),
    dlqAt: integer("dlq_at"),
    commits: text("commits").notNull(),
    /** The run's place in the line, at its first waiting event; NULL for every other event. */
    turn: integer("turn"),
    /** While the publisher may be away, a further failure counts from this instant on. Null: it counts at once. */
    countAfter: integer("count_after"),
  },
  (table) => [
    primaryKey({ columns: [table.workflowRunId, table.sequence] }),
    index("outbox_events_turn_idx")
      .on(table.turn, table.workflowRunId)
      .where(sql`"turn" IS NOT NULL`),
    index("outbox_events_waiting_idx")
      .on(table.workflowRunId, table.sequence)
      .where(sql`"published_at" IS NULL AND "dlq_at" IS NULL`),
    index("outbox_events_dlq_idx")
      .on(table.dlqAt)
      .where(sql`"dlq_at" IS NOT NULL`),
    rowFits("outboxEvents"),
  ],
);

export const idempotencyKeys = sqliteTable(
  "idempotency_keys",
  {
    key: text("key").notNull(),
    commandType: text("command_type").notNull(),
    createdAt: integer("created_at").notNull(),
    state: text("state").$type<"in_progress" | "completed">().notNull(),
    acquiredAt: integer("acquired_at").notNull(),
    result: longText("result"),
    commits: text("commits").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.key, table.commandType] }),
    index("idempotency_keys_age_idx").on(table.acquiredAt),
    rowFits("idempotencyKeys"),
    check("idempotency_keys_state_known", sql`"state" IN ('in_progress', 'completed')`),
  ],
);

export const jobs = sqliteTable(
  "jobs",
  {
    workflowRunId: text("workflow_run_id").notNull(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    workflowId: text("workflow_id").notNull(),
    stageId: text("stage_id").notNull(),
    status: text("status").$type<Status>().notNull(),
    priority: integer("priority").notNull(),
    workerId: text("worker_id"),
    lockedAt: integer("locked_at"),
    startedAt: integer("started_at"),
    completedAt: integer("completed_at"),
    attempt: integer("attempt").notNull(),
    maxAttempts: integer("max_attempts").notNull(),
    lastError: text("last_error"),
    nextPollAt: integer("next_poll_at"),
    payload: longText("payload").notNull(),
    /** 1: the job waits for its nextPollAt. A claim sets 0 for jobs that have become due. */
    delayed: integer("delayed").notNull(),
    commits: text("commits").notNull(),
    dedupeKey: text("dedupe_key"),
    concurrencyKey: text("concurrency_key"),
    concurrencyLimit: integer("concurrency_limit"),
    failures: integer("failures").notNull().default(0),
    undelivered: integer("undelivered").notNull().default(0),
    resumeAt: integer("resume_at"),
    /** Null: as far as is known, the job has left nothing open. */
    handOverAt: integer("hand_over_at"),
    unanswered: integer("unanswered").notNull().default(0),
  },
  (table) => [
    primaryKey({ columns: [table.workflowRunId, table.ordinal] }),
    index("jobs_ready_idx")
      .on(sql`${table.priority} DESC`, table.ordinal)
      .where(sql`"status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL`),
    index("jobs_ready_keyed_idx")
      .on(table.concurrencyKey, sql`${table.priority} DESC`, table.ordinal)
      .where(sql`"status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL`),
    index("jobs_leased_keyed_idx")
      .on(table.concurrencyKey)
      .where(sql`"status" = 'RUNNING' AND "concurrency_key" IS NOT NULL`),
    uniqueIndex("jobs_dedupe_idx")
      .on(table.dedupeKey)
      .where(sql`"dedupe_key" IS NOT NULL AND "status" IN ('PENDING', 'RUNNING', 'SUSPENDED')`),
    index("jobs_failed_idx")
      .on(table.completedAt)
      .where(sql`"status" = 'FAILED'`),
    index("jobs_delayed_idx")
      .on(table.nextPollAt)
      .where(sql`"status" = 'PENDING' AND "delayed" = 1`),
    index("jobs_leased_idx")
      .on(table.lockedAt)
      .where(sql`"status" = 'RUNNING'`),
    index("jobs_suspended_idx")
      .on(table.nextPollAt)
      .where(sql`"status" = 'SUSPENDED'`),
    index("jobs_resume_idx")
      .on(table.resumeAt)
      .where(sql`"status" = 'SUSPENDED'`),
    index("jobs_hand_over_idx")
      .on(table.handOverAt)
      .where(sql`"hand_over_at" IS NOT NULL`),
    rowFits("jobs"),
    check(
      "jobs_error_fits",
      sql.raw(`ifnull(octet_length("last_error"), 0) <= ${JOB_ERROR_BYTES_MAX}`),
    ),
    knownStatus("jobs"),
  ],
);

export const aiCalls = sqliteTable(
  "ai_calls",
  {
    batchId: text("batch_id").notNull(),
    ordinal: text("ordinal").notNull(),
    createdAt: integer("created_at").notNull(),
    topic: text("topic").notNull(),
    callType: text("call_type").notNull(),
    modelKey: text("model_key").notNull(),
    modelId: text("model_id").notNull(),
    prompt: longText("prompt").notNull(),
    response: longText("response").notNull(),
    inputTokens: integer("input_tokens").notNull(),
    outputTokens: integer("output_tokens").notNull(),
    cost: real("cost").notNull(),
    metadata: longText("metadata"),
  },
  (table) => [
    primaryKey({ columns: [table.batchId, table.ordinal] }),
    // Calls of no batch are in the order of their age already.
    index("ai_calls_batched_age_idx")
      .on(table.createdAt)
      .where(sql`"batch_id" <> ''`),
    rowFits("aiCalls"),
  ],
);

/** All of them, for the tests; each after those that its rows point to. */
export const tables = {
  longTexts,
  runs,
  workflows,
  stages,
  stageAttempts,
  signals,
  logs,
  artifacts,
  annotations,
  annotatedRuns,
  outboxTails,
  outboxEvents,
  idempotencyKeys,
  jobs,
  aiCalls,
  aiCallTotals,
  watchedRuns,
  commits,
};
