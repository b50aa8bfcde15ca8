/** Random commits, as data: changes, guards and reads of every kind, over few rows. */
import fc from "fast-check";
import type { Change, ChangeKind, ChangeOf, Guard } from "../../src/changes/index.ts";
import { JOB_ATTEMPTS_MAX, signalId, UNPOLLED_MS } from "../../src/model/index.ts";
import type { Query } from "../../src/queries/index.ts";
import { GUARDS } from "./guards.ts";
import { QUERIES } from "./queries.ts";
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
  RUNS,
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

export interface Attempt {
  readonly guards: readonly Guard[];
  readonly changes: readonly Change[];
  readonly reads: readonly Query[];
}

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
  chargeRun: kind("chargeRun", {
    id: fc.oneof(workflowRunId, of("t")),
    cost,
    tokens: count,
    at: instant,
  }),
  updateStage: kind("updateStage", { workflowRunId, stageId, set: attemptSet, at: instant, bump }),
  upsertStage: kind("upsertStage", { row: stageRow, set: stageSet }),
  deleteStage: kind("deleteStage", { workflowRunId, stageId, id: recordId }),
  cancelStages: kind("cancelStages", { workflowRunId, at: instant }),
  archiveStages: kind("archiveStages", { workflowRunId, stageId, group: of(0, 1, 1, 2) }),
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
    nextPollAt: instant,
    resumeAt: instant,
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
      batchId: of("", "b"),
      ordinal: fc.nat(5).map(String),
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

/** What is seldom asked for: a commit that creates a row anew fails as a whole. */
const SELDOM: Partial<Record<ChangeKind, number>> = { createRun: 1, createStage: 2, enqueueJob: 5 };
const anyChange = fc.oneof(
  ...(Object.keys(CHANGES) as ChangeKind[]).map((name) => ({
    weight: SELDOM[name] ?? 8,
    arbitrary: CHANGES[name] as fc.Arbitrary<Change>,
  })),
);

/** Of one kind: they share statements. */
function several(changes: fc.Arbitrary<Change>): fc.Arbitrary<Change[]> {
  return fc.array(changes, { minLength: 2, maxLength: 6, size: "max" });
}

/** Jobs meet in their keys, leases and attempts: sequences of nothing else get further with them. */
const aboutJobs = [
  CHANGES.enqueueJob,
  CHANGES.enqueueJob,
  CHANGES.enqueueJob,
  CHANGES.claimJobs,
  CHANGES.claimJobs,
  CHANGES.resumeJobs,
  CHANGES.completeJob,
  CHANGES.suspendJob,
  CHANGES.putBackFailure,
  CHANGES.attendStage,
  CHANGES.failJob,
  CHANGES.returnJob,
  CHANGES.unclaimJob,
  CHANGES.touchJob,
  CHANGES.releaseJob,
  CHANGES.cancelJobs,
  CHANGES.upsertStage,
  CHANGES.sendSignal,
  CHANGES.takeSignal,
  CHANGES.moveJob,
  CHANGES.moveJob,
  CHANGES.leaveGroup,
  CHANGES.dueJobs,
];
const jobsAttempt: fc.Arbitrary<Attempt> = fc.record({
  guards: fc.constant<Guard[]>([]),
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.array<Change>(fc.oneof(...aboutJobs), { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.oneof(...aboutJobs.map(several)) },
  ),
  reads: fc.array(
    fc.oneof(
      QUERIES.liveJob,
      QUERIES.jobStates,
      QUERIES.unwrittenJobs,
      QUERIES.jobStats,
      QUERIES.claimedJobs,
      QUERIES.overdueJobs,
      QUERIES.unhandledFailures,
      QUERIES.resumableJobs,
      QUERIES.staleJobs,
      QUERIES.nextSignal,
      QUERIES.audit,
    ),
    { maxLength: 12, size: "max" },
  ),
});

const attempt: fc.Arbitrary<Attempt> = fc.record({
  guards: fc.oneof(
    fc.constant<Guard[]>([]),
    fc.array(fc.oneof(...Object.values(GUARDS)), { minLength: 1, maxLength: 2 }),
  ),
  changes: fc.oneof(
    { weight: 3, arbitrary: fc.array(anyChange, { maxLength: 8, size: "max" }) },
    { weight: 1, arbitrary: fc.oneof(...Object.values(CHANGES).map(several)) },
  ),
  reads: fc.array(fc.oneof(...Object.values(QUERIES)), { maxLength: 60, size: "max" }),
});

/** What there is from the start: the runs, which all else refers to, and a row or two of each kind. */
const initial: fc.Arbitrary<Attempt> = fc
  .tuple(
    fc.tuple(...RUNS.map(runRow)),
    CHANGES.upsertStage.map((made) => pinned(made, { stageId: "a", id: "r/a/1.1" })),
    CHANGES.saveArtifact.map((made) => pinned(made, { key: "k" })),
    CHANGES.appendAnnotation.map((made) => pinned(made, { ordinal: "1" })),
    CHANGES.appendOutboxEvent.map((made) => pinned(made, {})),
    CHANGES.acquireIdempotencyKey.map((made) => ({ ...made, key: "k", commandType: "c" })),
    CHANGES.enqueueJob.map((made) => pinned(made, { ordinal: "1" })),
    CHANGES.enqueueJob.map((made) => pinned(made, { ordinal: "2" })),
  )
  .map(([runs, ...others]) => ({
    guards: [],
    changes: [...runs.map((row) => ({ kind: "createRun" as const, row })), ...others],
    reads: [],
  }));

function pinned<C extends { row: object }>(change: C, place: Partial<C["row"]>): C {
  return { ...change, row: { ...change.row, workflowRunId: "r", ...place } };
}

function sequenceOf(one: fc.Arbitrary<Attempt>): fc.Arbitrary<Attempt[]> {
  return fc.array(one, { minLength: 1, maxLength: 24, size: "max" });
}

export const attempts: fc.Arbitrary<readonly Attempt[]> = fc
  .tuple(
    initial,
    fc.oneof(
      { weight: 4, arbitrary: sequenceOf(attempt) },
      { weight: 1, arbitrary: sequenceOf(jobsAttempt) },
    ),
  )
  .map(([first, others]) => [first, ...others]);
