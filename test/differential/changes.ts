/** Random changes of every kind, over few rows. */
import fc from "fast-check";
import type { ChangeKind, ChangeOf } from "../../src/changes/index.ts";
import { JOB_ATTEMPTS_MAX, PARKED_FROM, signalId, UNPOLLED_MS } from "../../src/model/index.ts";
import {
  attemptSet,
  bump,
  cost,
  count,
  CURRENT_NUMBER,
  event,
  idempotencyKey,
  instant,
  jobKey,
  jobRow,
  key,
  nullable,
  number,
  of,
  ordinal,
  recordId,
  runRow,
  runSet,
  shortText,
  signalKey,
  signalName,
  signalRow,
  stageId,
  stageRow,
  stageSet,
  text,
  tokens,
  workflowRunId,
} from "./rows.ts";

function kind<K extends ChangeKind, T extends object>(
  name: K,
  members: { [M in keyof T]: fc.Arbitrary<T[M]> },
): fc.Arbitrary<T & { kind: K }> {
  return fc.record(members).map((values) => ({ ...(values as T), kind: name }));
}

/** Half of the time with a fence: the attempt that the job may have. */
function fenced<K extends ChangeKind, T extends object>(
  name: K,
  members: { [M in keyof T]: fc.Arbitrary<T[M]> },
): fc.Arbitrary<T & { kind: K; attempt?: number }> {
  return fc
    .tuple(kind(name, members), of(undefined, undefined, 0, 1, 1, 2, 3))
    .map(([change, attempt]) => (attempt === undefined ? change : { ...change, attempt }));
}

const aiCallKey = { batchId: of("", "b"), ordinal: fc.nat(5).map(String) };

/** Mostly that of a lease, if the job has one. */
const leasedAttempt = of(CURRENT_NUMBER, CURRENT_NUMBER, CURRENT_NUMBER, 1, 2);

const backoff = fc.record({
  baseMs: of(0, 1, 7, 1_000, 86_400_000),
  capMs: of(0, 5, 3_600_000, 31 * 86_400_000),
  jitterPermille: of(0, 1, 333, 999, 1_000),
});

export const CHANGES: { readonly [K in ChangeKind]: fc.Arbitrary<ChangeOf<K>> } = {
  createRun: kind("createRun", { row: fc.oneof(...["t", "u"].map(runRow)) }),
  updateRun: kind("updateRun", { id: workflowRunId, set: runSet, at: instant, bump }),
  createStage: kind("createStage", { row: stageRow }),
  chargeRun: fc
    .tuple(
      kind("chargeRun", {
        id: fc.oneof(workflowRunId, of("t")),
        cost,
        tokens: count,
        at: instant,
      }),
      // The sum of two is the same, however it is made.
      fc.option(fc.array(fc.record({ ...aiCallKey, cost, tokens: count }), { maxLength: 2 })),
    )
    .map(([change, calls]) => (calls === null ? change : { ...change, calls })),
  updateStage: kind("updateStage", { workflowRunId, stageId, set: attemptSet, at: instant, bump }),
  upsertStage: kind("upsertStage", { row: stageRow, set: stageSet }),
  deleteStage: kind("deleteStage", { workflowRunId, stageId, id: recordId }),
  cancelStages: kind("cancelStages", { workflowRunId, at: instant }),
  archiveStages: kind("archiveStages", {
    workflowRunId,
    stageId,
    group: of(0, 1, 1, 2),
    at: instant,
  }),
  sendSignal: kind("sendSignal", { row: signalRow }),
  takeSignal: fc
    .tuple(workflowRunId, signalName, signalKey, instant)
    .map(([run, name, given, at]) => ({
      kind: "takeSignal",
      workflowRunId: run,
      id: signalId(name, given),
      at,
    })),
  createLog: kind("createLog", {
    row: fc.record({
      workflowRunId: fc.oneof(workflowRunId, of("")),
      ordinal,
      createdAt: instant,
      workflowStageId: nullable(recordId),
      level: of("INFO", "ERROR"),
      message: text,
      metadata: nullable(text),
    }),
  }),
  saveArtifact: kind("saveArtifact", {
    row: fc.record({
      workflowRunId,
      key,
      ordinal,
      createdAt: instant,
      updatedAt: instant,
      workflowStageId: nullable(recordId),
      type: of("ARTIFACT", "METADATA", "STAGE_OUTPUT"),
      data: text,
      size: number,
      metadata: nullable(text),
    }),
    replaceStage: fc.boolean(),
    replaceMetadata: fc.boolean(),
    linkStageId: nullable(stageId),
  }),
  deleteArtifact: kind("deleteArtifact", { workflowRunId, key }),
  appendAnnotation: kind("appendAnnotation", {
    row: fc.record({
      workflowRunId,
      ordinal: of("1", "2", "3", "4", "5", "6"),
      createdAt: instant,
      workflowStageRecordId: nullable(recordId),
      attempt: of(0, 1),
      scope: of("run", "stage"),
      scopeId: nullable(of("", "x")),
      actorKind: nullable(of("agent", "")),
      actorId: nullable(of("i")),
      actorVersion: nullable(of("v")),
      key,
      value: text,
      payload: nullable(text),
      idempotencyKey: nullable(of("", "i")),
    }),
  }),
  appendOutboxEvent: kind("appendOutboxEvent", {
    row: fc.record({
      workflowRunId,
      eventType: of("t"),
      payload: text,
      causationId: of("c"),
      occurredAt: instant,
      publishedAt: of(null, null, null, 10),
      retryCount: of(0),
      dlqAt: of(null, null, null, 10),
    }),
  }),
  publishOutboxEvent: kind("publishOutboxEvent", { ...event, at: instant }),
  countOutboxRetry: kind("countOutboxRetry", event),
  putBackEvent: kind("putBackEvent", {
    ...event,
    seen: of(0, 0, 1, 2),
    blame: of("none", "suspected", "suspected", "certain"),
    at: of(0, 60_000, 119_999, 200_000, 10_000_000),
  }),
  deadLetterOutboxEvent: kind("deadLetterOutboxEvent", { ...event, at: instant }),
  replayOutboxEvent: kind("replayOutboxEvent", event),
  acquireIdempotencyKey: kind("acquireIdempotencyKey", {
    ...idempotencyKey,
    at: instant,
    staleBefore: nullable(instant),
  }),
  completeIdempotencyKey: kind("completeIdempotencyKey", {
    ...idempotencyKey,
    at: instant,
    result: text,
  }),
  releaseIdempotencyKey: kind("releaseIdempotencyKey", idempotencyKey),
  enqueueJob: kind("enqueueJob", { row: jobRow }),
  claimJobs: kind("claimJobs", {
    workerId: nullable(of("w", "")),
    limit: of(0, 1, 1, 2, 3, 100),
    at: instant,
  }),
  resumeJobs: kind("resumeJobs", { limit: of(0, 1, 1, 2, 100), at: instant }),
  completeJob: fenced("completeJob", { ...jobKey, at: instant }),
  putBackFailure: kind("putBackFailure", {
    ...jobKey,
    dueAt: of(null, 5, 10, 50),
  }),
  attendStage: kind("attendStage", {
    workflowRunId,
    stageId,
    seenAt: of(5, 10, 10 + UNPOLLED_MS, 50 + UNPOLLED_MS),
    dueAt: of(null, 5, 10, 50),
  }),
  suspendJob: fenced("suspendJob", {
    ...jobKey,
    nextPollAt: of(0, 1, 10, 20, 50, 100, -5, PARKED_FROM, PARKED_FROM + 50),
    resumeAt: of(0, 10, 10, 20, 100, PARKED_FROM, PARKED_FROM + 50),
    at: instant,
  }),
  failJob: fenced("failJob", {
    ...jobKey,
    error: shortText,
    retry: nullable(backoff),
    at: instant,
  }),
  unclaimJob: fenced("unclaimJob", { ...jobKey, at: instant }),
  returnJob: fenced("returnJob", { ...jobKey, error: shortText, retry: backoff, at: instant }),
  touchJob: fenced("touchJob", { ...jobKey, at: instant }),
  releaseJob: kind("releaseJob", {
    ...jobKey,
    staleBefore: instant,
    error: shortText,
    at: instant,
  }),
  cancelJobs: fc
    .tuple(kind("cancelJobs", { workflowRunId, at: instant }), of(undefined, false, true))
    .map(([change, leased]) => (leased === undefined ? change : { ...change, leased })),
  moveJob: kind("moveJob", {
    ...jobKey,
    attempt: leasedAttempt,
    stageId,
    tries: of(1, 1, 3, JOB_ATTEMPTS_MAX),
    concurrencyKey: of(null, null, "c", ""),
    concurrencyLimit: of(null, 1, 2),
    frees: of(null, "c"),
    to: fc.oneof(
      fc.record({ state: of("running") }),
      fc.record({ state: of("pending") }),
      fc.record({ state: of("suspended"), until: instant, unlessSignal: nullable(signalName) }),
    ),
    at: instant,
  }),
  leaveGroup: kind("leaveGroup", {
    ...jobKey,
    attempt: leasedAttempt,
    siblings: fc.array(stageId, { maxLength: 3 }),
    at: instant,
  }),
  dueJobs: kind("dueJobs", {
    workflowRunId,
    stageId: nullable(stageId),
    wakes: of(0, 1, 2),
    at: instant,
  }),
  recordAiCall: kind("recordAiCall", {
    row: fc.record({
      ...aiCallKey,
      createdAt: instant,
      topic: of("a", "a.b", "A", "", "\u{1f600}", "\ufffd", "\u{10ffff}a"),
      callType: of("t"),
      modelKey: of("m", "n", "__proto__"),
      modelId: of("m"),
      prompt: text,
      response: text,
      inputTokens: tokens,
      outputTokens: tokens,
      cost,
      metadata: nullable(text),
    }),
  }),
  purgeExpired: kind("purgeExpired", {
    keysBefore: instant,
    commitsBefore: instant,
    limit: of(1, 2, 100),
  }),
};
