/** The rows and keys of the statements that the ledger explains. */

export const AT = 1_800_000_000_000;
export const COMMIT_ID = "0".repeat(18);
export const ORDINAL = "0".repeat(22);
export const run = { workflowRunId: "run" };
export const job = { ...run, ordinal: ORDINAL };
export const event = { ...run, sequence: 1 };
export const key = { key: "key", commandType: "command" };
export const RETRY = { baseMs: 1_000, capMs: 3_600_000, jitterPermille: 500 };
export const times = { createdAt: AT, updatedAt: AT };

export const runRow = {
  id: "run",
  ordinal: ORDINAL,
  ...times,
  version: 1,
  workflowId: "report",
  workflowName: "Report",
  workflowType: "report",
  status: "PENDING" as const,
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
};

export const stageRow = {
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
};

export const artifactRow = {
  ...run,
  key: "key",
  ordinal: ORDINAL,
  ...times,
  workflowStageId: null,
  type: "ARTIFACT" as const,
  data: "1",
  size: 1,
  metadata: null,
};

export const annotationRow = {
  ...run,
  ordinal: ORDINAL,
  createdAt: AT,
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
  idempotencyKey: "once",
};

export const eventRow = {
  ...run,
  eventType: "type",
  payload: "1",
  causationId: "cause",
  occurredAt: AT,
  publishedAt: null,
  retryCount: 0,
  dlqAt: null,
};

export const jobRow = {
  ...job,
  ...times,
  workflowId: "report",
  stageId: "stage",
  status: "PENDING" as const,
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
};

export const aiCallRow = {
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
