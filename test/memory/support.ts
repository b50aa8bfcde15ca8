import type { Change, ChangeOf } from "../../src/changes/index.ts";
import type {
  AiCallRow,
  NewAnnotationRow,
  NewArtifactRow,
  NewJobRow,
  NewOutboxEventRow,
  NewRunRow,
  NewStageRow,
  LogRow,
} from "../../src/model/index.ts";
import { COMMIT_ID_CHARS } from "../../src/model/index.ts";
import { applyChanges } from "../../src/changes/change.ts";
import { createState, type State, type TableName } from "../../src/model/state.ts";

/** Commit ids: one letter, as often as a commit id has characters. */
export function id(letter: string): string {
  return letter.repeat(COMMIT_ID_CHARS);
}

/** A State after these changes, all of commit `a`. */
export function aState(...changes: Change[]): State {
  const state = createState();
  applyChanges(state, changes, id("a"));
  return state;
}

/** Everything a State holds, for comparing. */
export function contentOf(state: State): Record<string, unknown[]> {
  const tables = Object.keys(state) as TableName[];
  return Object.fromEntries(tables.map((name) => [name, [...state[name].all()]]));
}

// Builders: valid rows and changes, of which a test names only what it is about.

export function aRun(row: Partial<NewRunRow> = {}): ChangeOf<"createRun"> {
  return {
    kind: "createRun",
    row: {
      id: "run",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      version: 1,
      workflowId: "w",
      workflowName: "W",
      workflowType: "t",
      status: "PENDING",
      startedAt: null,
      completedAt: null,
      duration: null,
      input: "{}",
      output: null,
      config: "{}",
      totalCost: 0,
      totalTokens: 0,
      priority: 5,
      metadata: null,
      ...row,
    },
  };
}

export function aStageRow(row: Partial<NewStageRow> = {}): NewStageRow {
  const workflowRunId = row.workflowRunId ?? "run";
  const stageId = row.stageId ?? "stage";
  return {
    workflowRunId,
    stageId,
    id: `${workflowRunId}/${stageId}/1`,
    createdAt: 10,
    updatedAt: 10,
    version: 1,
    stageName: "Stage",
    stageNumber: 1,
    executionGroup: 1,
    attempt: 0,
    status: "PENDING",
    startedAt: null,
    completedAt: null,
    duration: null,
    inputData: null,
    outputData: null,
    config: null,
    suspendedState: null,
    resumeData: null,
    nextPollAt: null,
    pollInterval: null,
    maxWaitUntil: null,
    metrics: null,
    embeddingInfo: null,
    errorMessage: null,
    ...row,
  };
}

export function aStage(row: Partial<NewStageRow> = {}): ChangeOf<"createStage"> {
  return { kind: "createStage", row: aStageRow(row) };
}

export function aLog(row: Partial<LogRow> = {}): ChangeOf<"createLog"> {
  return {
    kind: "createLog",
    row: {
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      workflowStageId: null,
      level: "INFO",
      message: "hello",
      metadata: null,
      ...row,
    },
  };
}

type SaveOptions = Partial<Omit<ChangeOf<"saveArtifact">, "kind" | "row">>;

export function anArtifact(
  row: Partial<NewArtifactRow> = {},
  options: SaveOptions = {},
): ChangeOf<"saveArtifact"> {
  return {
    kind: "saveArtifact",
    row: {
      workflowRunId: "run",
      key: "key",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      workflowStageId: null,
      type: "ARTIFACT",
      data: "1",
      size: 1,
      metadata: null,
      ...row,
    },
    replaceStage: false,
    replaceMetadata: false,
    linkStageId: null,
    ...options,
  };
}

export function anAnnotation(row: Partial<NewAnnotationRow> = {}): ChangeOf<"appendAnnotation"> {
  return {
    kind: "appendAnnotation",
    row: {
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      workflowStageRecordId: null,
      attempt: 0,
      scope: "run",
      scopeId: null,
      actorKind: null,
      actorId: null,
      actorVersion: null,
      key: "key",
      value: "1",
      payload: null,
      idempotencyKey: null,
      ...row,
    },
  };
}

export function anEvent(row: Partial<NewOutboxEventRow> = {}): ChangeOf<"appendOutboxEvent"> {
  return {
    kind: "appendOutboxEvent",
    row: {
      workflowRunId: "run",
      eventType: "type",
      payload: "{}",
      causationId: "cause",
      occurredAt: 10,
      publishedAt: null,
      retryCount: 0,
      dlqAt: null,
      ...row,
    },
  };
}

export function aJob(row: Partial<NewJobRow> = {}): ChangeOf<"enqueueJob"> {
  return {
    kind: "enqueueJob",
    row: {
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      workflowId: "w",
      stageId: "stage",
      status: "PENDING",
      priority: 5,
      workerId: null,
      lockedAt: null,
      startedAt: null,
      completedAt: null,
      attempt: 0,
      maxAttempts: 3,
      failures: 0,
      undelivered: 0,
      lastError: null,
      nextPollAt: null,
      payload: "{}",
      dedupeKey: null,
      concurrencyKey: null,
      concurrencyLimit: null,
      ...row,
    },
  };
}

/** A job that a worker has. */
export function aLeasedJob(row: Partial<NewJobRow> = {}): ChangeOf<"enqueueJob"> {
  return aJob({
    status: "RUNNING",
    workerId: "w1",
    lockedAt: 20,
    startedAt: 20,
    updatedAt: 20,
    attempt: 1,
    ...row,
  });
}

export function anAiCall(row: Partial<AiCallRow> = {}): ChangeOf<"recordAiCall"> {
  return {
    kind: "recordAiCall",
    row: {
      batchId: "",
      ordinal: "o1",
      createdAt: 10,
      topic: "topic",
      callType: "text",
      modelKey: "model",
      modelId: "model-1",
      prompt: "?",
      response: "!",
      inputTokens: 3,
      outputTokens: 4,
      cost: 0.5,
      metadata: null,
      ...row,
    },
  };
}

/** What the store adds to a stage that nobody needs to attend to, and to a job that has left nothing open. */
export const UNATTENDED = { attendAt: null };
export const KEPT = { resumeAt: null, handOverAt: null };
