/** A change of each kind, in each form that has a statement of its own. */
import type { Change, ChangeKind } from "../../src/changes/index.ts";
import {
  blank,
  newAnnotationRow,
  newArtifactRow,
  newJobRow,
  newOutboxEventRow,
  newRunRow,
  newStageRow,
  signalId,
} from "../../src/model/index.ts";

export const AT = 1_800_000_000_000;
export const COMMIT_ID = "0".repeat(18);
export const ORDINAL = "0".repeat(22);
export const run = { workflowRunId: "run" };
export const job = { ...run, ordinal: ORDINAL };
export const event = { ...run, sequence: 1 };
export const key = { key: "key", commandType: "command" };
const RETRY = { baseMs: 1_000, capMs: 3_600_000, jitterPermille: 500 };
const times = { createdAt: AT, updatedAt: AT };

const runRow = {
  ...blank(newRunRow),
  id: "run",
  ordinal: ORDINAL,
  ...times,
  version: 1,
  workflowId: "report",
  workflowName: "Report",
  workflowType: "report",
  status: "PENDING" as const,
  input: "{}",
  config: "{}",
  totalCost: 0,
  totalTokens: 0,
  priority: 5,
};

const stageRow = {
  ...blank(newStageRow),
  ...run,
  stageId: "stage",
  id: "run/stage/3.0",
  ...times,
  version: 1,
  stageName: "Stage",
  stageNumber: 1,
  executionGroup: 1,
  attempt: 0,
  status: "PENDING" as const,
};

const artifactRow = {
  ...blank(newArtifactRow),
  ...run,
  key: "key",
  ordinal: ORDINAL,
  ...times,
  type: "ARTIFACT" as const,
  data: "1",
  size: 1,
};

const annotationRow = {
  ...blank(newAnnotationRow),
  ...run,
  ordinal: ORDINAL,
  createdAt: AT,
  attempt: 0,
  scope: "run",
  key: "key",
  value: "1",
  idempotencyKey: "once",
};

const eventRow = {
  ...blank(newOutboxEventRow),
  ...run,
  eventType: "type",
  payload: "1",
  causationId: "cause",
  occurredAt: AT,
  retryCount: 0,
};

const jobRow = {
  ...blank(newJobRow),
  ...job,
  ...times,
  workflowId: "report",
  stageId: "stage",
  status: "PENDING" as const,
  priority: 5,
  attempt: 0,
  maxAttempts: 3,
  failures: 0,
  undelivered: 0,
  unanswered: 0,
  payload: "{}",
};

const aiCallRow = {
  batchId: "batch",
  ordinal: ORDINAL,
  createdAt: AT,
  topic: "topic",
  callType: "text",
  modelKey: "small",
  modelId: "small-1",
  prompt: "Why?",
  response: "Because.",
  inputTokens: 1,
  outputTokens: 1,
  cost: 1,
  metadata: null,
};

const signalRow = {
  ...run,
  id: signalId("signal", "once"),
  name: "signal",
  ordinal: ORDINAL,
  receivedAt: AT,
  payload: "1",
  takenAt: null,
};

const lease = { ...job, attempt: 1 };
const moved = {
  kind: "moveJob",
  ...lease,
  stageId: "next",
  tries: 3,
  concurrencyKey: null,
  concurrencyLimit: null,
  frees: null,
  at: AT,
} as const;

export const CHANGES: { readonly [K in ChangeKind]: readonly Extract<Change, { kind: K }>[] } = {
  createRun: [{ kind: "createRun", row: runRow }],
  updateRun: [
    { kind: "updateRun", id: "run", set: { status: "RUNNING", startedAt: AT }, at: AT, bump: 1 },
    { kind: "updateRun", id: "run", set: {}, at: AT, bump: 1 },
  ],
  createStage: [{ kind: "createStage", row: stageRow }],
  updateStage: [
    {
      kind: "updateStage",
      ...run,
      stageId: "stage",
      set: { status: "SUSPENDED", nextPollAt: AT },
      at: AT,
      bump: 1,
    },
  ],
  cancelStages: [{ kind: "cancelStages", ...run, at: AT }],
  archiveStages: [{ kind: "archiveStages", ...run, stageId: "stage", group: 1, at: AT }],
  sendSignal: [{ kind: "sendSignal", row: signalRow }],
  takeSignal: [{ kind: "takeSignal", ...run, id: signalRow.id, at: AT }],
  chargeRun: [{ kind: "chargeRun", id: "run", cost: 1, tokens: 1, at: AT }],
  upsertStage: [{ kind: "upsertStage", row: stageRow, set: { status: "RUNNING" } }],
  deleteStage: [{ kind: "deleteStage", ...run, stageId: "stage", id: "run/stage/3.0" }],
  createLog: [
    {
      kind: "createLog",
      row: {
        ...job,
        createdAt: AT,
        workflowStageId: null,
        level: "INFO",
        message: "Done",
        metadata: null,
      },
    },
  ],
  saveArtifact: [
    {
      kind: "saveArtifact",
      row: artifactRow,
      replaceStage: true,
      replaceMetadata: true,
      linkStageId: "stage",
    },
  ],
  deleteArtifact: [{ kind: "deleteArtifact", ...run, key: "key" }],
  appendAnnotation: [{ kind: "appendAnnotation", row: annotationRow }],
  appendOutboxEvent: [{ kind: "appendOutboxEvent", row: eventRow }],
  publishOutboxEvent: [{ kind: "publishOutboxEvent", ...event, at: AT }],
  countOutboxRetry: [{ kind: "countOutboxRetry", ...event }],
  putBackEvent: [
    { kind: "putBackEvent", ...event, seen: 0, blame: "none", at: AT },
    { kind: "putBackEvent", ...event, seen: 0, blame: "suspected", at: AT },
  ],
  deadLetterOutboxEvent: [{ kind: "deadLetterOutboxEvent", ...event, at: AT }],
  replayOutboxEvent: [{ kind: "replayOutboxEvent", ...event }],
  acquireIdempotencyKey: [{ kind: "acquireIdempotencyKey", ...key, at: AT, staleBefore: AT }],
  completeIdempotencyKey: [{ kind: "completeIdempotencyKey", ...key, at: AT, result: "1" }],
  releaseIdempotencyKey: [{ kind: "releaseIdempotencyKey", ...key }],
  enqueueJob: [
    { kind: "enqueueJob", row: jobRow },
    { kind: "enqueueJob", row: { ...jobRow, dedupeKey: "once" } },
    { kind: "enqueueJob", row: { ...jobRow, concurrencyKey: "few", concurrencyLimit: 2 } },
  ],
  claimJobs: [
    { kind: "claimJobs", workerId: "worker", limit: 1, at: AT },
    { kind: "claimJobs", workerId: "worker", limit: 100, at: AT },
  ],
  resumeJobs: [{ kind: "resumeJobs", limit: 100, at: AT }],
  completeJob: [
    { kind: "completeJob", ...job, at: AT },
    { kind: "completeJob", ...job, attempt: 1, at: AT },
  ],
  putBackFailure: [{ kind: "putBackFailure", ...job, dueAt: AT }],
  attendStage: [
    { kind: "attendStage", workflowRunId: job.workflowRunId, stageId: "s", seenAt: AT, dueAt: AT },
  ],
  suspendJob: [
    { kind: "suspendJob", ...job, nextPollAt: AT, resumeAt: AT, at: AT },
    { kind: "suspendJob", ...job, attempt: 1, nextPollAt: AT, resumeAt: AT, at: AT },
  ],
  failJob: [
    { kind: "failJob", ...job, error: "Timeout", retry: RETRY, at: AT },
    { kind: "failJob", ...job, error: "Timeout", retry: null, at: AT },
    { kind: "failJob", ...job, attempt: 1, error: "Timeout", retry: RETRY, at: AT },
  ],
  unclaimJob: [{ kind: "unclaimJob", ...job, attempt: 1, at: AT }],
  returnJob: [{ kind: "returnJob", ...job, attempt: 1, error: "Away", retry: RETRY, at: AT }],
  // With a fence or without, it is one statement.
  touchJob: [{ kind: "touchJob", ...job, attempt: 1, at: AT }],
  releaseJob: [{ kind: "releaseJob", ...job, staleBefore: AT, error: "Expired", at: AT }],
  cancelJobs: [
    { kind: "cancelJobs", ...run, at: AT },
    { kind: "cancelJobs", ...run, leased: true, at: AT },
  ],
  moveJob: [
    { ...moved, to: { state: "running" } },
    { ...moved, to: { state: "pending" } },
    { ...moved, to: { state: "suspended", until: AT, unlessSignal: null } },
    { ...moved, to: { state: "suspended", until: AT, unlessSignal: "signal" } },
  ],
  leaveGroup: [{ kind: "leaveGroup", ...lease, siblings: ["stage", "other"], at: AT }],
  dueJobs: [
    { kind: "dueJobs", ...run, stageId: null, wakes: 0, at: AT },
    { kind: "dueJobs", ...run, stageId: "stage", wakes: 1, at: AT },
  ],
  recordAiCall: [{ kind: "recordAiCall", row: aiCallRow }],
  purgeExpired: [{ kind: "purgeExpired", keysBefore: AT, commitsBefore: AT, limit: 1_000 }],
};
