/**
 * The rows as they are stored: JSON and free text as text, instants as milliseconds. The database,
 * the maps and the wire all have rows of these shapes. Each table's columns are listed here once:
 * their names, types and limits, which may be null, and which callers have in another form
 * (`columns.ts`); `own-columns.ts` has those that no caller gives. Records, updates, the checks of
 * input and the columns that the store's SQL names follow from them; the compiler compares the
 * tables of the database, the contract and the schemas of the HTTP API with them
 * (`test/store/rows.test.ts`).
 *
 * `commits` is a row's memory: the ids of the last commits that wrote it, newest first, each
 * COMMIT_ID_CHARS long. The first is the row's *token*: equal tokens mean that no commit wrote the
 * row in between. The others let a retry recognise its own earlier success although others wrote
 * the row since.
 */
import { type Holds, holdsOf, longNames, someOf } from "./columns.ts";
import { nullable, object, oneOf, type TypeOf, whole } from "./shape.ts";
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
  freeTextField,
  jobErrorField,
  jsonField,
  jsonObjectField,
  keyField,
  logLevelField,
  nameField,
  numberField,
  ordinalField,
  recordIdField,
  runOrNoneField,
  signalIdField,
  statusField,
  tallyField,
  tokensField,
  wholeField,
} from "./fields.ts";
import { COMMIT_ID_CHARS } from "./ids.ts";
import type { OwnColumns } from "./own-columns.ts";
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
  /** Breaks ties between runs of the same priority or age: the oldest comes first. */
  ordinal: ordinalField,
  createdAt: instantField,
  updatedAt: instantField,
  version: tallyField,
  workflowId: idField,
  workflowName: nameField,
  workflowType: nameField,
  status: statusField,
  startedAt: nullable(instantField),
  completedAt: nullable(instantField),
  duration: nullable(numberField),
  input: jsonField,
  output: nullable(jsonField),
  config: jsonField,
  totalCost: costField,
  totalTokens: countField,
  priority: wholeField,
  metadata: nullable(jsonField),
});
export type NewRunRow = TypeOf<typeof newRunRow>;
export type RunRow = NewRunRow & OwnColumns<"runs">;
/** What an update of a run may set; an absent member leaves its column alone. */
export const runSet = someOf(newRunRow, [
  "status",
  "startedAt",
  "completedAt",
  "duration",
  "output",
  "totalCost",
  "totalTokens",
]);
export type RunSet = TypeOf<typeof runSet>;

export const newStageRow = object({
  workflowRunId: idField,
  stageId: idField,
  id: recordIdField,
  createdAt: instantField,
  updatedAt: instantField,
  version: tallyField,
  stageName: nameField,
  stageNumber: wholeField,
  executionGroup: wholeField,
  attempt: wholeField,
  status: statusField,
  startedAt: nullable(instantField),
  completedAt: nullable(instantField),
  duration: nullable(numberField),
  inputData: nullable(jsonField),
  outputData: nullable(jsonField),
  config: nullable(jsonField),
  suspendedState: nullable(jsonField),
  resumeData: nullable(jsonField),
  nextPollAt: nullable(instantField),
  pollInterval: nullable(numberField),
  maxWaitUntil: nullable(instantField),
  metrics: nullable(jsonField),
  embeddingInfo: nullable(jsonField),
  errorMessage: nullable(freeTextField),
});
export type NewStageRow = TypeOf<typeof newStageRow>;
/**
 * `attendAt`: when the sweep looks whether an engine has polled the stage. Null unless the stage is
 * SUSPENDED with a nextPollAt, and once its run was found finished. A change of the stage's status
 * or nextPollAt sets it to UNPOLLED_MS after nextPollAt; so does a run that becomes live again.
 */
export type StageRow = NewStageRow & OwnColumns<"stages">;
/** What an update of a stage may set; an absent member leaves its column alone. */
export const stageSet = someOf(newStageRow, [
  "status",
  "startedAt",
  "completedAt",
  "duration",
  "outputData",
  "config",
  "suspendedState",
  "resumeData",
  "nextPollAt",
  "pollInterval",
  "maxWaitUntil",
  "metrics",
  "embeddingInfo",
  "errorMessage",
]);
export type StageSet = TypeOf<typeof stageSet>;

/**
 * A signal that a run was sent. It stays when it is taken, so that the same key counts once.
 */
export const signalRow = object({
  workflowRunId: idField,
  /** The name and the caller's key: see {@link signalId}. */
  id: signalIdField,
  name: idField,
  ordinal: ordinalField,
  receivedAt: instantField,
  payload: jsonField,
  /** When a stage took it. */
  takenAt: nullable(instantField),
});
export type SignalRow = TypeOf<typeof signalRow>;

export const logRow = object({
  /** The run given, or else the stage's run, or else "". */
  workflowRunId: runOrNoneField,
  ordinal: ordinalField,
  createdAt: instantField,
  workflowStageId: nullable(recordIdField),
  level: logLevelField,
  message: freeTextField,
  metadata: nullable(jsonField),
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
  data: jsonField,
  size: numberField,
  metadata: nullable(jsonField),
});
export type NewArtifactRow = TypeOf<typeof newArtifactRow>;
export type ArtifactRow = NewArtifactRow & OwnColumns<"artifacts">;

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
  value: jsonField,
  payload: nullable(jsonField),
  idempotencyKey: nullable(keyField),
});
export type NewAnnotationRow = TypeOf<typeof newAnnotationRow>;
export type AnnotationRow = NewAnnotationRow & OwnColumns<"annotations">;

/** An outbox event before its commit gives it a sequence. */
export const newOutboxEventRow = object({
  workflowRunId: idField,
  eventType: nameField,
  payload: jsonField,
  causationId: nameField,
  occurredAt: instantField,
  publishedAt: nullable(instantField),
  retryCount: tallyField,
  dlqAt: nullable(instantField),
});
export type NewOutboxEventRow = TypeOf<typeof newOutboxEventRow>;
/**
 * `countAfter`: before this instant, a failure to publish the event counts only if other events were
 * published. Null: the event was in no call that failed; or (with failures) other events were
 * published when it failed, so that it is at fault, and not the publisher.
 */
export type OutboxEventRow = NewOutboxEventRow & OwnColumns<"outboxEvents">;

const idempotencyKeyRow = object({
  key: keyField,
  commandType: keyField,
  createdAt: instantField,
  state: oneOf(["in_progress", "completed"]),
  /** When the key was last acquired. Its age counts from here. */
  acquiredAt: instantField,
  result: nullable(jsonField),
});
export type IdempotencyKeyRow = TypeOf<typeof idempotencyKeyRow> & OwnColumns<"idempotencyKeys">;

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
  attempt: tallyField,
  maxAttempts: tallyField,
  /** Deliveries that failed or whose lease expired. The pause before a retry grows with them. */
  failures: tallyField,
  /**
   * Deliveries in a row that did not reach the handler. The pause before the next grows with them.
   */
  undelivered: tallyField,
  /**
   * Deliveries in a row whose worker died, as far as is known: the lease expired, or the handler's
   * Worker broke off the call. The consumer works such a job alone.
   */
  unanswered: tallyField,
  lastError: nullable(jobErrorField),
  nextPollAt: nullable(instantField),
  payload: jsonObjectField,
  /** At most one live job (PENDING, RUNNING, SUSPENDED) has the key. */
  dedupeKey: nullable(keyField),
  /** A claim lets at most `concurrencyLimit` (null: 1) jobs with the same key be RUNNING. */
  concurrencyKey: nullable(keyField),
  concurrencyLimit: nullable(whole({ min: 1 })),
});
export type NewJobRow = TypeOf<typeof newJobRow>;
/**
 * `resumeAt`: when the service itself resumes a SUSPENDED job. `handOverAt`: when a FAILED job is
 * handed over next; null: as far as is known, it has left nothing open.
 */
export type JobRow = NewJobRow & OwnColumns<"jobs">;

/**
 * A stage that the sweep looks at, with its run's workflow. `typed`: 1 if a typed workflow started the
 * run, as far as the beginning of its metadata tells, otherwise 0. `attended`: it has a live job.
 * `over`: its run is finished or does not exist.
 */
export type UnattendedStage = Pick<
  StageRow,
  "workflowRunId" | "stageId" | "nextPollAt" | "version"
> & {
  attendAt: number;
  workflowId: string | null;
  typed: number;
  state: "unattended" | "attended" | "over";
};

/** A job that is suspended as those of paused runs are, while its run is not paused. */
export type StrayJob = Pick<JobRow, "workflowRunId" | "ordinal">;

/**
 * A job that has failed for good, without its payload. `state`: what it has left.
 * - `closed`: nothing. Its run is finished or does not exist, or its stage has a later job.
 * - `busy`: its stage is done and its run goes on: the run is PENDING, has a live job, or a
 *   SUSPENDED stage with a nextPollAt.
 * - `open`: a live stage without a later job, or a live run that nothing moves on.
 */
export type FailedJob = Pick<
  JobRow,
  | "workflowRunId"
  | "ordinal"
  | "workflowId"
  | "stageId"
  | "attempt"
  | "lastError"
  | "completedAt"
  | "handOverAt"
> & { state: "closed" | "busy" | "open" };

/** A job whose lease may have expired. */
export type StaleJob = Pick<JobRow, "workflowRunId" | "ordinal" | "attempt" | "maxAttempts">;

/** A job that a commit did not write, as it is. Null: there is no such job. */
export type UnwrittenJob = Pick<JobRow, "workflowRunId" | "ordinal"> & {
  status: JobRow["status"] | null;
  attempt: number | null;
};

/**
 * What a job has become, without its payload. `keyWaits` is 1 if another job waits for its
 * concurrency key, otherwise 0.
 */
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
 * How many jobs are in which state. Each count stops at JOB_STATS_MAX.
 * - `due`: PENDING, and its time has come; `delayed`: PENDING, and it has not.
 * - `undelivered`: of both, those that were given back because the handler could not be reached.
 * - `oldestDueAt`: the instant since which the oldest of the counted due jobs has been due.
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

/** A row that nothing will ever move on. */
export type AuditRow = {
  entity: "run" | "stage" | "job";
  workflowRunId: string;
  /** A stage's stageId, a job's ordinal, "" for a run. */
  key: string;
  status: Status;
  problem: AuditProblem;
};

export const aiCallRow = object({
  /** The batch of the call; "" for a call that belongs to none. */
  batchId: batchOrNoneField,
  /**
   * For a call of a batch it is derived from the request or the content, so that a repeat is the
   * same row.
   */
  ordinal: callOrdinalField,
  createdAt: instantField,
  topic: nameField,
  callType: nameField,
  modelKey: nameField,
  modelId: nameField,
  prompt: freeTextField,
  response: freeTextField,
  inputTokens: tokensField,
  outputTokens: tokensField,
  cost: costField,
  metadata: nullable(jsonField),
});
export type AiCallRow = TypeOf<typeof aiCallRow>;

export type AiCallTotalRow = OwnColumns<"aiCallTotals">;

/** The columns of each table that callers give or are told. */
export const COLUMNS = {
  runs: newRunRow,
  stages: newStageRow,
  stageAttempts: newStageRow,
  signals: signalRow,
  logs: logRow,
  artifacts: newArtifactRow,
  annotations: newAnnotationRow,
  outboxEvents: newOutboxEventRow,
  idempotencyKeys: idempotencyKeyRow,
  jobs: newJobRow,
  aiCalls: aiCallRow,
};
export type LongTextTable = keyof typeof COLUMNS;

/** The columns of each table that hold text of any length. Together they must fit in a row. */
export const LONG_TEXT = {
  runs: longNames(newRunRow),
  stages: longNames(newStageRow),
  stageAttempts: longNames(newStageRow),
  signals: longNames(signalRow),
  logs: longNames(logRow),
  artifacts: longNames(newArtifactRow),
  annotations: longNames(newAnnotationRow),
  outboxEvents: longNames(newOutboxEventRow),
  idempotencyKeys: longNames(idempotencyKeyRow),
  jobs: longNames(newJobRow),
  aiCalls: longNames(aiCallRow),
} satisfies Readonly<Record<LongTextTable, readonly string[]>>;

/** What a column of the table holds: see {@link holdsOf}. */
export function columnHolds(table: LongTextTable, column: string): Holds | null {
  return holdsOf(COLUMNS[table], column);
}

/** Bytes of a row's long text, and the column that holds most of them. */
export function measureRow(
  table: LongTextTable,
  row: Readonly<Record<string, unknown>>,
): { size: number; field: string } {
  let size = 0;
  let largest = -1;
  let field: string = LONG_TEXT[table][0] ?? table;
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

/** Bytes of a row's long text, without the columns in `omit`. */
function longTextOf(table: LongTextTable, row: object, omit: readonly string[] = []): number {
  const kept = Object.entries(row).filter(([name]) => !omit.includes(name));
  return measureRow(table, Object.fromEntries(kept)).size;
}

/** Bytes of the long text of several rows, without the columns in `omit`. */
export function longTextOfAll(
  table: LongTextTable,
  rows: readonly object[],
  omit: readonly string[] = [],
): number {
  return rows.reduce<number>((sum, row) => sum + longTextOf(table, row, omit), 0);
}

/**
 * The first rows of a list, until those taken have `bytesMax` bytes of long text or more. So the
 * first row is always there, and a list goes beyond `bytesMax` by at most one row.
 */
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
