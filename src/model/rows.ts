/**
 * The rows as they are stored: JSON and free text as text, instants as milliseconds. What the database,
 * the in-memory store and the wire have in common. A test holds them against the tables' own types.
 *
 * `commits` is a row's memory of the last commits that wrote it, newest first, each
 * COMMIT_ID_CHARS long. The first is the row's *token*: equal tokens mean an unchanged row.
 * The rest lets a retry recognise its own earlier success although others wrote since.
 */
import { object, nullable, whole, type TypeOf } from "./shape.ts";
import type { AuditProblem, Status } from "../contract/index.ts";
import {
  artifactKeyField,
  artifactTypeField,
  callOrdinalField,
  batchOrNoneField,
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
import { COMMIT_ID_CHARS } from "./ids.ts";
import { utf8Length } from "./text.ts";

/** How many commits a row remembers. */
export const COMMITS_REMEMBERED = 8;

/** A row's token: the commit that wrote it last. */
export function tokenOf(row: { readonly commits: string }): string {
  return row.commits.slice(0, COMMIT_ID_CHARS);
}

/** The token that the row had before its last commit; "" if that one inserted it. */
export function tokenBefore(row: { readonly commits: string }): string {
  return row.commits.slice(COMMIT_ID_CHARS, 2 * COMMIT_ID_CHARS);
}

/** Whether the commit is among the last that wrote the row. */
export function wasWrittenBy(row: { readonly commits: string }, commitId: string): boolean {
  for (let start = 0; start < row.commits.length; start += COMMIT_ID_CHARS) {
    if (row.commits.startsWith(commitId, start)) return true;
  }
  return false;
}

export const newRunRow = object({
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
  startedAt: nullable(instantField),
  completedAt: nullable(instantField),
  duration: nullable(numberField),
  input: textField,
  output: nullable(textField),
  config: textField,
  totalCost: costField,
  totalTokens: countField,
  priority: wholeField,
  metadata: nullable(textField),
});
export type NewRunRow = TypeOf<typeof newRunRow>;
export type RunRow = NewRunRow & { commits: string };

export const newStageRow = object({
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
  startedAt: nullable(instantField),
  completedAt: nullable(instantField),
  duration: nullable(numberField),
  inputData: nullable(textField),
  outputData: nullable(textField),
  config: nullable(textField),
  suspendedState: nullable(textField),
  resumeData: nullable(textField),
  nextPollAt: nullable(instantField),
  pollInterval: nullable(numberField),
  maxWaitUntil: nullable(instantField),
  metrics: nullable(textField),
  embeddingInfo: nullable(textField),
  errorMessage: nullable(textField),
});
export type NewStageRow = TypeOf<typeof newStageRow>;
/**
 * `attendAt`: when the sweep looks whether anybody polls the stage; null unless it is SUSPENDED with a nextPollAt, and also once its run
 * was found finished. A change of the stage's status or nextPollAt sets it to UNPOLLED_MS after nextPollAt; so does a run that becomes live.
 */
export type StageRow = NewStageRow & { attendAt: number | null; commits: string };

export const logRow = object({
  /** The run given, or else the stage's run, or else "". */
  workflowRunId: runOrNoneField,
  ordinal: ordinalField,
  createdAt: instantField,
  workflowStageId: nullable(recordIdField),
  level: logLevelField,
  message: textField,
  metadata: nullable(textField),
});
export type LogRow = TypeOf<typeof logRow>;

export const newArtifactRow = object({
  workflowRunId: idField,
  key: artifactKeyField,
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  workflowStageId: nullable(recordIdField),
  type: artifactTypeField,
  data: textField,
  size: numberField,
  metadata: nullable(textField),
});
export type NewArtifactRow = TypeOf<typeof newArtifactRow>;
export type ArtifactRow = NewArtifactRow & { commits: string };

export const newAnnotationRow = object({
  workflowRunId: idField,
  ordinal: ordinalField,
  createdAt: instantField,
  workflowStageRecordId: nullable(recordIdField),
  attempt: wholeField,
  scope: nameField,
  scopeId: nullable(nameField),
  actorKind: nullable(nameField),
  actorId: nullable(nameField),
  actorVersion: nullable(nameField),
  key: keyField,
  value: textField,
  payload: nullable(textField),
  idempotencyKey: nullable(keyField),
});
export type NewAnnotationRow = TypeOf<typeof newAnnotationRow>;
export type AnnotationRow = NewAnnotationRow & { commits: string };

/** An outbox event before its commit gives it a sequence. */
export const newOutboxEventRow = object({
  workflowRunId: idField,
  eventType: nameField,
  payload: textField,
  causationId: nameField,
  occurredAt: instantField,
  publishedAt: nullable(instantField),
  retryCount: countField,
  dlqAt: nullable(instantField),
});
export type NewOutboxEventRow = TypeOf<typeof newOutboxEventRow>;
/**
 * `countAfter`: until then a failure to publish the event counts only if others could be published. Null of an event that was in no call that
 * failed; and of one that failed by itself while others were published: it is the event that is at fault, and not the publisher.
 */
export type OutboxEventRow = NewOutboxEventRow & {
  sequence: number;
  countAfter: number | null;
  commits: string;
};

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

export const newJobRow = object({
  workflowRunId: idField,
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  workflowId: idField,
  stageId: idField,
  status: statusField,
  priority: wholeField,
  workerId: nullable(nameField),
  lockedAt: nullable(instantField),
  startedAt: nullable(instantField),
  completedAt: nullable(instantField),
  attempt: countField,
  maxAttempts: countField,
  /** Deliveries that failed, or whose lease ran out: the pause before a retry grows by them. */
  failures: countField,
  /** Deliveries in a row that did not reach the handler: the pause before the next grows by them. */
  undelivered: countField,
  lastError: nullable(jobErrorField),
  nextPollAt: nullable(instantField),
  payload: textField,
  /** Of the live jobs (PENDING, RUNNING, SUSPENDED) at most one has it. */
  dedupeKey: nullable(keyField),
  /** Of the jobs with this key, no claim lets more be RUNNING than the claimed job's `concurrencyLimit`; null: 1. */
  concurrencyKey: nullable(keyField),
  concurrencyLimit: nullable(whole({ min: 1 })),
});
export type NewJobRow = TypeOf<typeof newJobRow>;
/**
 * `resumeAt`: when the service itself gives a SUSPENDED job out again. `handOverAt`: when a FAILED job is handed over next; null: nothing
 * that it has left open is known.
 */
export type JobRow = NewJobRow & {
  resumeAt: number | null;
  handOverAt: number | null;
  commits: string;
};

/** A stage that the sweep looks at, with its run's workflow. `attended`: it has a live job. `over`: its run is finished, or is not there. */
export type UnattendedStage = Pick<
  StageRow,
  "workflowRunId" | "stageId" | "nextPollAt" | "version"
> & {
  attendAt: number;
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

export const aiCallRow = object({
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
  metadata: nullable(textField),
});
export type AiCallRow = TypeOf<typeof aiCallRow>;

export type AiCallTotalRow = {
  topic: string;
  modelKey: string;
  calls: number;
  inputTokens: number;
  outputTokens: number;
  cost: number;
};

/** Per table, the columns that hold text of any length. Together they must fit in a row. */
export const LONG_TEXT = {
  runs: ["input", "output", "config", "metadata"],
  stages: [
    "inputData",
    "outputData",
    "config",
    "suspendedState",
    "resumeData",
    "metrics",
    "embeddingInfo",
    "errorMessage",
  ],
  logs: ["message", "metadata"],
  artifacts: ["data", "metadata"],
  annotations: ["value", "payload"],
  outboxEvents: ["payload"],
  idempotencyKeys: ["result"],
  jobs: ["payload"],
  aiCalls: ["prompt", "response", "metadata"],
} as const;
export type LongTextTable = keyof typeof LONG_TEXT;

/** Bytes of a row's long text, and the column that holds most of it. */
export function measureRow(
  table: LongTextTable,
  row: Readonly<Record<string, unknown>>,
): { size: number; field: string } {
  let size = 0;
  let largest = -1;
  let field: string = LONG_TEXT[table][0];
  for (const column of LONG_TEXT[table]) {
    const value = row[column];
    const bytes = typeof value === "string" ? utf8Length(value) : 0;
    size += bytes;
    if (bytes > largest) {
      largest = bytes;
      field = column;
    }
  }
  return { size, field };
}

/** Bytes of a row's long text, but for the columns in `omit`. */
function longTextOf(table: LongTextTable, row: object, omit: readonly string[] = []): number {
  const kept = Object.entries(row).filter(([name]) => !omit.includes(name));
  return measureRow(table, Object.fromEntries(kept)).size;
}

/** The same of several rows. */
export function longTextOfAll(
  table: LongTextTable,
  rows: readonly object[],
  omit: readonly string[] = [],
): number {
  return rows.reduce<number>((sum, row) => sum + longTextOf(table, row, omit), 0);
}

/** The first of the rows of a table, up to where those before have `bytesMax` bytes of long text or more. */
export function withinBytes<Row extends object>(
  table: LongTextTable,
  rows: readonly Row[],
  { omit, bytesMax }: { omit?: readonly string[] | undefined; bytesMax?: number | undefined },
): Row[] {
  if (bytesMax === undefined) return [...rows];
  let before = 0;
  const kept: Row[] = [];
  for (const row of rows) {
    if (before >= bytesMax) break;
    before += longTextOf(table, row, omit);
    kept.push(row);
  }
  return kept;
}
