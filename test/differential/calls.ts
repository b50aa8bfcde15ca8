/** Calls of every method of the contract, as data. */
import fc from "fast-check";
import { JOB_ERROR_BYTES_MAX } from "../../src/changes/index.ts";
import type {
  AICallLogger,
  ExtendedJobQueue,
  WorkflowPersistence,
} from "../../src/contract/index.ts";
import {
  aJob,
  aKey,
  aName,
  anEvent,
  aRun,
  aStage,
  aStageId,
  aText,
  clearable,
  cost,
  costBad,
  count,
  countBad,
  idField,
  instant,
  instantBad,
  json,
  jsonBad,
  keyPrefix,
  may,
  mayKey,
  mayName,
  mostly,
  must,
  NUL,
  number,
  numberBad,
  object,
  objectBad,
  of,
  parameters,
  priority,
  RUN_IDS,
  seldom,
  runId,
  shape,
  status,
  statusBad,
  storableBad,
  text,
  textBad,
  tokens,
  tokensBad,
  topic,
  topicPrefix,
  version,
  versionBad,
  whole,
  wholeBad,
} from "./values.ts";

type Persistence = Exclude<keyof WorkflowPersistence, "withTransaction">;
type Arguments = fc.Arbitrary<unknown[]>;

export type Interface = "persistence" | "jobs" | "aiCalls";
export type Method = Persistence | keyof ExtendedJobQueue | keyof AICallLogger;

export interface Call {
  readonly on: Interface;
  readonly method: Method;
  readonly args: readonly unknown[];
}

const aDate = must(instant, instantBad);
const aStatus = must(status, statusBad);
const aNumber = must(number, numberBad);
const aWhole = must(whole, wholeBad);
const anyJson = must(json, jsonBad);
const mayJson = may(json, jsonBad);
/** Given half of the time, since it may be of another run. */
const aReference = mostly(of(undefined), aStage.good, 1);
const longestError = of({ ref: "text", letter: "X", length: JOB_ERROR_BYTES_MAX });
const tooLongError = of({ ref: "text", letter: "X", length: JOB_ERROR_BYTES_MAX + 1 });
/** What takes the place of a whole input. */
const nothing = of(undefined, null, 5, "text");
const noList = of(undefined, null, 5, {}, [null], [5]);
const few = { maxLength: 3 } as const;

function update(fields: Parameters<typeof shape>[0]) {
  return must(
    shape({ ...fields, status: may(status, statusBad), expectedVersion: may(version, versionBad) }),
    nothing,
  );
}

const runUpdate = update({
  startedAt: clearable(instant, instantBad),
  completedAt: clearable(instant, instantBad),
  duration: clearable(number, numberBad),
  output: clearable(json, jsonBad),
  totalCost: may(cost, costBad),
  totalTokens: may(count, countBad),
});

const stageUpdate = update({
  startedAt: clearable(instant, instantBad),
  completedAt: clearable(instant, instantBad),
  duration: clearable(number, numberBad),
  outputData: clearable(json, jsonBad),
  config: clearable(json, jsonBad),
  suspendedState: clearable(json, jsonBad),
  resumeData: clearable(json, jsonBad),
  nextPollAt: clearable(instant, instantBad),
  pollInterval: clearable(number, numberBad),
  maxWaitUntil: clearable(instant, instantBad),
  metrics: clearable(json, jsonBad),
  embeddingInfo: clearable(json, jsonBad),
  artifacts: may(json),
  errorMessage: clearable(text, of(5, {})),
});

const newStage = {
  stageName: aName,
  stageNumber: aWhole,
  executionGroup: aWhole,
  attempt: may(whole, wholeBad),
  status: may(status, statusBad),
  startedAt: may(instant, instantBad),
  config: mayJson,
  inputData: mayJson,
};

const annotation = shape({
  workflowRunId: aRun,
  workflowStageRecordId: may(mostly(aReference, of(null)), of("nobody", "", 5)),
  attempt: may(whole, wholeBad),
  scope: aName,
  scopeId: may(of("x", "", null), of(NUL)),
  actor: may(shape({ kind: mayName, id: mayName, version: mayName })),
  key: aKey,
  value: anyJson,
  payload: mayJson,
  idempotencyKey: may(of("i", "", null, "j"), of(NUL)),
  emitEvent: may(of(true)),
});

const event = shape({
  workflowRunId: aRun,
  eventType: aName,
  payload: anyJson,
  causationId: aName,
  occurredAt: aDate,
});

const plainJob = shape({
  workflowRunId: aRun,
  workflowId: must(idField.good, idField.bad),
  stageId: aStageId,
  priority: may(priority, wholeBad),
  payload: may(object, of([], "text", { a: 10n })),
  scheduledFor: may(instant, instantBad),
  maxAttempts: may(of(1, 2, 3, null, 1_000), of(0, 1.5, 1_001, "3")),
  dedupeKey: may(mostly(of("d", "d", "\u{1f600}"), of("", null, undefined)), of(NUL, 5)),
});
/** Its limit goes with a key, and with nothing else. */
const concurrency = shape({
  concurrencyKey: must(of("c", "c", "c", "", "\u{1f600}"), of(NUL, 5, null)),
  concurrencyLimit: may(of(1, 2, 3, null, undefined), of(0, -1, 1.5, "2")),
});
const job = fc
  .tuple(plainJob, seldom(concurrency, 1))
  .map(([members, limited]) => ({ ...members, ...limited }));

/** What engines say of a batch's results in their metadata. */
const batchMetadata = of(
  { batchId: "b", requestId: "r" },
  { batchId: "b" },
  { requestId: "r" },
  { batchId: "." },
  { batchId: 5, requestId: {} },
);
const aiCall = shape({
  topic: must(topic, of(NUL, 5)),
  callType: aName,
  modelKey: must(of("m", "m", "n", "__proto__", ""), of(NUL, undefined)),
  modelId: aName,
  prompt: aText,
  response: aText,
  inputTokens: must(tokens, tokensBad),
  outputTokens: must(tokens, tokensBad),
  cost: must(cost, costBad),
  metadata: may(mostly(object, batchMetadata, 1), objectBad),
  batchId: may(of("b", "c"), of("", ".", NUL, 5)),
  requestId: may(of("r", "s"), of(5, null)),
});

const aBatch = must(of("b", "b", "c", "\u{1f600}"), of("", ".", NUL, 5, null));
/** Names an artifact in a path. */
const anArtifactKey = must(
  aKey.good.filter((key) => key !== ""),
  mostly(aKey.bad ?? of(NUL), of("", ".", "..")),
);
const oneStageOfRun = parameters(aRun, aStageId);
const commandType = must(mostly(of("c"), of("d", "")), of(NUL, 5));

const PERSISTENCE: Readonly<Record<Persistence, Arguments>> = {
  createRun: parameters(
    must(
      shape({
        id: may(
          of(...RUN_IDS),
          storableBad.filter((id) => id !== null),
        ),
        workflowId: must(idField.good, idField.bad),
        workflowName: aName,
        workflowType: aName,
        input: anyJson,
        config: mayJson,
        priority: may(
          priority,
          wholeBad.filter((value) => value !== null),
        ),
        metadata: may(object, objectBad),
      }),
    ),
  ),
  updateRun: parameters(aRun, runUpdate),
  getRun: parameters(aRun),
  getRunStatus: parameters(aRun),
  getRunsByStatus: parameters(aStatus),
  getStuckRuns: parameters(aDate),
  claimPendingRun: parameters(aRun),
  claimNextPendingRun: parameters(),
  createStage: parameters(
    must(shape({ workflowRunId: aRun, stageId: aStageId, ...newStage }), nothing),
  ),
  upsertStage: parameters(
    must(
      shape({
        workflowRunId: aRun,
        stageId: aStageId,
        create: must(shape(newStage), nothing),
        update: stageUpdate,
      }),
    ),
  ),
  updateStage: parameters(aStage, stageUpdate),
  updateStageByRunAndStageId: parameters(aRun, aStageId, stageUpdate),
  getStage: oneStageOfRun,
  getStageById: parameters(aStage),
  getStagesByRun: parameters(
    aRun,
    may(shape({ status: may(status, of("DONE", 5)), orderBy: may(of("asc", "desc")) })),
  ),
  getSuspendedStages: parameters(aDate),
  getFirstSuspendedStageReadyToResume: parameters(aRun),
  getFirstFailedStage: parameters(aRun),
  getLastCompletedStage: parameters(aRun),
  getLastCompletedStageBefore: parameters(aRun, must(whole, wholeBad)),
  deleteStage: parameters(aStage),
  createLog: parameters(
    must(
      shape({
        workflowRunId: may(
          runId,
          storableBad.filter((id) => id !== null),
        ),
        workflowStageId: may(aReference, of("", 5, "nobody")),
        level: must(of("DEBUG", "INFO", "WARN", "ERROR"), of("info", null)),
        message: aText,
        metadata: mayJson,
      }),
    ),
  ),
  saveArtifact: parameters(
    must(
      shape({
        workflowRunId: aRun,
        workflowStageId: may(mostly(aReference, of(null)), of("", "nobody", 5)),
        key: anArtifactKey,
        type: must(of("STAGE_OUTPUT", "ARTIFACT", "METADATA"), of("OTHER", null)),
        data: must(json, mostly(jsonBad, of(undefined), 3)),
        size: aNumber,
        metadata: mayJson,
      }),
    ),
  ),
  loadArtifact: parameters(aRun, aKey),
  hasArtifact: parameters(aRun, aKey),
  deleteArtifact: parameters(aRun, aKey),
  listArtifacts: parameters(aRun),
  getStageIdForArtifact: oneStageOfRun,
  saveStageOutput: parameters(aRun, aName, aStageId, must(json, mostly(jsonBad, of(undefined), 3))),
  appendAnnotations: parameters(must(fc.array(annotation, few), noList)),
  listAnnotations: parameters(
    aRun,
    may(
      shape({
        key: mayKey,
        keyPrefix: may(keyPrefix, of("\ud83d", 5)),
        scope: mayName,
        scopeId: may(of("x", "", null), of(5)),
        actorId: mayName,
        actorKind: mayName,
        attempt: may(whole, wholeBad),
        since: may(instant, instantBad),
        until: may(instant, instantBad),
        limit: may(of(0, 1, 2, 10_000), of(-1, 10_001, 0.5)),
      }),
    ),
  ),
  appendOutboxEvents: parameters(must(fc.array(event, { maxLength: 4 }), noList)),
  getUnpublishedOutboxEvents: parameters(may(of(0, 1, 2, 3, 1_000), of(-1, 1_001, 1.5, "5"))),
  markOutboxEventsPublished: parameters(
    must(fc.array(mostly(anEvent.good, anEvent.bad ?? nothing), few), noList),
  ),
  incrementOutboxRetryCount: parameters(anEvent),
  moveOutboxEventToDLQ: parameters(anEvent),
  replayDLQEvents: parameters(must(of(0, 1, 2, 100), of(-1, 1.5, Number.NaN, "1"))),
  acquireIdempotencyKey: parameters(
    aKey,
    commandType,
    may(
      shape({
        now: may(instant, instantBad),
        staleInProgressAfterMs: may(
          of(0, 0, 0, 1, 1, 0.5, 1_000, -5, Number.POSITIVE_INFINITY, -Infinity, 1e300),
          of(Number.NaN, "5"),
        ),
      }),
    ),
  ),
  completeIdempotencyKey: parameters(aKey, commandType, must(json, jsonBad)),
  releaseIdempotencyKey: parameters(aKey, commandType),
};

const JOBS: Readonly<Record<keyof ExtendedJobQueue, Arguments>> = {
  enqueue: parameters(must(job, nothing)),
  enqueueParallel: parameters(must(fc.array(job, few), noList)),
  dequeue: parameters(),
  dequeueMany: parameters(must(of(1, 1, 2, 3, 100), of(0, 101, 1.5, "1", null))),
  complete: parameters(aJob),
  completeMany: parameters(must(fc.array(aJob.good, { maxLength: 4 }), noList)),
  adopt: parameters(
    must(shape({ jobId: aJob, attempt: must(of(0, 1, 1, 2, 3), of(-1, 0.5, "1", null)) }), nothing),
  ),
  jobStats: parameters(),
  suspend: parameters(aJob, aDate),
  fail: parameters(
    aJob,
    must(mostly(text, longestError, 20), mostly(textBad, tooLongError)),
    may(of(true, true, false), of("yes")),
  ),
  touchJob: parameters(aJob),
  getJobsByWorkflowRun: parameters(aRun),
  getSuspendedJobsReadyToPoll: parameters(),
  releaseStaleJobs: parameters(
    may(
      of(0, 1, 0.5, -1, 60_000, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300),
      of(Number.NaN, "5", null),
    ),
  ),
  cancelByRun: parameters(aRun),
};

const AI_CALLS: Readonly<Record<keyof AICallLogger, Arguments>> = {
  logCall: parameters(must(aiCall, nothing)),
  logBatchResults: parameters(aBatch, must(fc.array(aiCall, few), noList)),
  getStats: parameters(must(topicPrefix, of(NUL, "\ud83d", 5, null))),
  isRecorded: parameters(aBatch),
};

function callsOf(on: Interface, methods: Readonly<Record<string, Arguments>>) {
  return Object.entries(methods).map(([method, args]): fc.Arbitrary<Call> =>
    args.map((given) => ({ on, method: method as Method, args: given })),
  );
}

const ALL: Readonly<Record<Interface, Readonly<Record<string, Arguments>>>> = {
  persistence: PERSISTENCE,
  jobs: JOBS,
  aiCalls: AI_CALLS,
};
const NAMED = (Object.keys(ALL) as Interface[]).flatMap((on) =>
  Object.keys(ALL[on]).map((method) => [method as Method, on] as const),
);
export const METHODS: readonly Method[] = NAMED.map(([method]) => method);

/** Calls of these methods, each as likely as another. */
export function callOf(methods: readonly Method[]): fc.Arbitrary<Call> {
  return fc.oneof(
    ...(Object.keys(ALL) as Interface[]).flatMap((on) => {
      const wanted = Object.entries(ALL[on]).filter(([name]) => methods.includes(name as Method));
      return callsOf(on, Object.fromEntries(wanted));
    }),
  );
}
