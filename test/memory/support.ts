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
  SignalRow,
} from "../../src/model/index.ts";
import {
  aiCallRow,
  blank,
  COMMIT_ID_CHARS,
  logRow,
  newAnnotationRow,
  newArtifactRow,
  newJobRow,
  newOutboxEventRow,
  newRunRow,
  newStageRow,
  signalId,
} from "../../src/model/index.ts";
import { applyChanges } from "../changes/support.ts";
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

// Builders: valid rows and changes. A test names only the parts that it is about.

export function aRun(row: Partial<NewRunRow> = {}): ChangeOf<"createRun"> {
  return {
    kind: "createRun",
    row: {
      ...blank(newRunRow),
      id: "run",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      version: 1,
      workflowId: "w",
      workflowName: "W",
      workflowType: "t",
      status: "PENDING",
      input: "{}",
      config: "{}",
      totalCost: 0,
      totalTokens: 0,
      priority: 5,
      ...row,
    },
  };
}

export function aStageRow(row: Partial<NewStageRow> = {}): NewStageRow {
  const workflowRunId = row.workflowRunId ?? "run";
  const stageId = row.stageId ?? "stage";
  return {
    ...blank(newStageRow),
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
    ...row,
  };
}

export function aStage(row: Partial<NewStageRow> = {}): ChangeOf<"createStage"> {
  return { kind: "createStage", row: aStageRow(row) };
}

export function aSignal(row: Partial<SignalRow> & { key?: string } = {}): ChangeOf<"sendSignal"> {
  const { key = "once", ...columns } = row;
  const name = columns.name ?? "signal";
  return {
    kind: "sendSignal",
    row: {
      workflowRunId: "run",
      id: signalId(name, key),
      name,
      ordinal: "o1",
      receivedAt: 10,
      payload: "1",
      takenAt: null,
      ...columns,
    },
  };
}

export function aLog(row: Partial<LogRow> = {}): ChangeOf<"createLog"> {
  return {
    kind: "createLog",
    row: {
      ...blank(logRow),
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      level: "INFO",
      message: "hello",
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
      ...blank(newArtifactRow),
      workflowRunId: "run",
      key: "key",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      type: "ARTIFACT",
      data: "1",
      size: 1,
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
      ...blank(newAnnotationRow),
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      attempt: 0,
      scope: "run",
      key: "key",
      value: "1",
      ...row,
    },
  };
}

export function anEvent(row: Partial<NewOutboxEventRow> = {}): ChangeOf<"appendOutboxEvent"> {
  return {
    kind: "appendOutboxEvent",
    row: {
      ...blank(newOutboxEventRow),
      workflowRunId: "run",
      eventType: "type",
      payload: "{}",
      causationId: "cause",
      occurredAt: 10,
      retryCount: 0,
      ...row,
    },
  };
}

export function aJob(row: Partial<NewJobRow> = {}): ChangeOf<"enqueueJob"> {
  return {
    kind: "enqueueJob",
    row: {
      ...blank(newJobRow),
      workflowRunId: "run",
      ordinal: "o1",
      createdAt: 10,
      updatedAt: 10,
      workflowId: "w",
      stageId: "stage",
      status: "PENDING",
      priority: 5,
      attempt: 0,
      maxAttempts: 3,
      failures: 0,
      undelivered: 0,
      unanswered: 0,
      payload: "{}",
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

/** {@link aLeasedJob} moves to the stage `next`. */
export function aMove(
  to: ChangeOf<"moveJob">["to"],
  members: Partial<Omit<ChangeOf<"moveJob">, "kind" | "to">> = {},
): ChangeOf<"moveJob"> {
  return {
    kind: "moveJob",
    workflowRunId: "run",
    ordinal: "o1",
    attempt: 1,
    stageId: "next",
    tries: 3,
    concurrencyKey: null,
    concurrencyLimit: null,
    frees: null,
    to,
    at: 30,
    ...members,
  };
}

export function anAiCall(row: Partial<AiCallRow> = {}): ChangeOf<"recordAiCall"> {
  return {
    kind: "recordAiCall",
    row: {
      ...blank(aiCallRow),
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
      ...row,
    },
  };
}

/** What the store adds to a stage that nobody needs to attend to, and to a job that has left nothing open. */
export const UNATTENDED = { attendAt: null };
export const KEPT = { resumeAt: null, handOverAt: null };
