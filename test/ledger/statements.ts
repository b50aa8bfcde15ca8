/**
 * Every statement that the store can send: each query with and without what is optional, each guard, each change alone
 * (bound value by value) and with others of its kind (unfolded from JSON), and what settles a lost answer.
 */
import type { Change, Commit, Guard } from "../../src/changes/index.ts";
import { LONG_TEXT, PARKED_FROM } from "../../src/model/index.ts";
import type { Query, QueryOf } from "../../src/queries/index.ts";
import { commitBatch } from "../../src/store/commit.ts";
import { queryStatement } from "../../src/store/kinds.ts";
import { settleStatements } from "../../src/store/settlement.ts";
import type { Statement } from "../../src/store/sql.ts";
import { withLongTexts } from "../support/long-texts.ts";
import { AT, CHANGES, COMMIT_ID, event, job, key, ORDINAL, run } from "./changes.ts";

/** The same change on another row, so that the two share a statement where the store lets them. */
function another(change: Change): Change {
  const text = JSON.stringify(change)
    .replaceAll('"run"', '"run2"')
    .replaceAll('"batch"', '"batch2"');
  return JSON.parse(text) as Change;
}

const unchanged = { is: "unchanged", token: COMMIT_ID } as const;
const list = (name: Extract<Guard, { on: "list" }>["list"]): Guard => ({
  on: "list",
  list: name,
  ...run,
  status: null,
  tokens: "",
});

const guards: { readonly [On in Guard["on"]]: readonly Guard[] } = {
  run: [{ on: "run", id: "run", expect: unchanged }],
  stage: [{ on: "stage", ...run, stageId: "stage", expect: unchanged }],
  artifact: [{ on: "artifact", ...run, key: "key", expect: unchanged }],
  outboxEvent: [{ on: "outboxEvent", ...event, expect: unchanged }],
  idempotencyKey: [{ on: "idempotencyKey", ...key, expect: unchanged }],
  job: [
    { on: "job", ...job, expect: unchanged },
    { on: "job", ...job, expect: { is: "leased", attempt: 1, stageId: "stage" } },
  ],
  noSignal: [{ on: "noSignal", ...run, name: "signal" }],
  dedupeKey: [{ on: "dedupeKey", dedupeKey: "once" }],
  list: [list("stages"), list("artifacts"), list("annotations"), list("jobs")],
  outboxTail: [{ on: "outboxTail", ...run, sequence: 0 }],
};

const stages = {
  q: "stages",
  ...run,
  status: null,
  beforeGroup: null,
  withoutNextPoll: false,
  descending: false,
  limit: null,
} as const;

/** Each filter as the one that leads, alone and with others. */
const RUN_FILTERS: readonly QueryOf<"runs">["filters"][] = [
  {},
  { createdFrom: AT, createdBefore: AT },
  { status: "RUNNING" },
  { workflowId: "report" },
  { workflowType: "report" },
  { nameContains: "Rep" },
  { annotation: { key: "key", value: "1" } },
  { status: "FAILED", workflowId: "report" },
  { status: "COMPLETED", workflowId: "report", workflowType: "report", nameContains: "Rep" },
  { workflowType: "report", status: "COMPLETED", createdFrom: AT },
  { annotation: { key: "key", value: "1" }, status: "COMPLETED", nameContains: "Rep" },
];

const queries: { readonly [Q in Query["q"]]: readonly Extract<Query, { q: Q }>[] } = {
  run: [{ q: "run", id: "run" }],
  runStatus: [{ q: "runStatus", id: "run" }],
  runs: RUN_FILTERS.flatMap((filters) =>
    [null, { createdAt: AT, ordinal: ORDINAL }].flatMap((after) =>
      [false, true].flatMap((descending) =>
        [{}, { bytesMax: 1_000 }, { omit: [...LONG_TEXT.runs] }].map((bounds) => ({
          q: "runs" as const,
          filters,
          after,
          descending,
          limit: 100,
          ...bounds,
        })),
      ),
    ),
  ),
  pendingRuns: [{ q: "pendingRuns", limit: 10 }],
  stuckRuns: [
    { q: "stuckRuns", since: AT, now: AT },
    {
      q: "stuckRuns",
      since: AT,
      now: AT,
      after: { updatedAt: AT, ordinal: ORDINAL },
      limit: 100,
    },
  ],
  stage: [{ q: "stage", ...run, stageId: "stage" }],
  stageById: [{ q: "stageById", ...run, stageId: "stage", id: "run/stage/3.0" }],
  stages: [
    stages,
    { ...stages, status: "COMPLETED", beforeGroup: 3, descending: true, limit: 1 },
    { ...stages, status: "SUSPENDED", withoutNextPoll: true, limit: 1 },
    { ...stages, after: { executionGroup: 1, stageNumber: 1, stageId: "stage" }, limit: 100 },
    { ...stages, limit: 100, bytesMax: 1_000 },
    { ...stages, omit: [...LONG_TEXT.stages] },
  ],
  stageInputs: [{ q: "stageInputs", ...run, stageId: "stage" }],
  stageOutputs: [{ q: "stageOutputs", ...run, stageIds: ["stage", "other"] }],
  stageAttempts: [{ q: "stageAttempts", ...run, after: "", limit: 100 }],
  nextSignal: [{ q: "nextSignal", ...run, name: "signal" }],
  suspendedStages: [
    { q: "suspendedStages", before: AT, after: null },
    { q: "suspendedStages", before: AT, after: { nextPollAt: AT, ...run, stageId: "stage" } },
  ],
  artifact: [{ q: "artifact", ...run, key: "key" }],
  hasArtifact: [{ q: "hasArtifact", ...run, key: "key" }],
  artifacts: [{ q: "artifacts", ...run }],
  annotations: [
    { q: "annotations", ...run, filters: { limit: 1_000 } },
    { q: "annotations", ...run, filters: { limit: 9 }, omit: [...LONG_TEXT.annotations] },
    {
      q: "annotations",
      ...run,
      filters: { limit: 100 },
      after: { createdAt: AT, ordinal: ORDINAL },
      bytesMax: 1_000,
    },
    { q: "annotations", ...run, filters: { key: "key", since: AT, until: AT, limit: 1_000 } },
    {
      q: "annotations",
      ...run,
      filters: { keyPrefix: "k", scope: "run", scopeId: null, limit: 9 },
    },
    {
      q: "annotations",
      ...run,
      filters: { actorId: "me", actorKind: "user", attempt: 0, limit: 1_000 },
    },
  ],
  outboxEvent: [{ q: "outboxEvent", ...event }],
  outboxTail: [{ q: "outboxTail", ...run }],
  unpublishedEvents: [
    { q: "unpublishedEvents", limit: 100 },
    { q: "unpublishedEvents", limit: 100, bytesMax: 1_000_000 },
  ],
  outboxBacklog: [
    { q: "outboxBacklog", after: null, limit: 100 },
    { q: "outboxBacklog", after: event, limit: 100 },
  ],
  deadLetters: [
    { q: "deadLetters", limit: 100 },
    { q: "deadLetters", after: { ...event, dlqAt: AT }, limit: 100 },
  ],
  idempotencyKey: [{ q: "idempotencyKey", ...key }],
  job: [{ q: "job", ...job }],
  jobs: [{ q: "jobs", ...run }],
  liveJob: [{ q: "liveJob", dedupeKey: "once" }],
  jobStates: [false, true].flatMap((wakingOnly) =>
    [{}, { cancelledOf: "run" }].map((more) => ({
      q: "jobStates" as const,
      keys: [job, { ...job, workflowRunId: "run2" }],
      now: AT,
      wakingOnly,
      ...more,
    })),
  ),
  unwrittenJobs: [{ q: "unwrittenJobs", keys: [job], commitId: COMMIT_ID }],
  jobStats: [{ q: "jobStats", now: AT, failedSince: AT }],
  claimedJobs: [{ q: "claimedJobs", since: AT, commitId: COMMIT_ID }],
  overdueJobs: [false, true].map((stagesOnly) => ({
    q: "overdueJobs",
    before: AT,
    limit: 1_000,
    stagesOnly,
  })),
  strayParkedJobs: [{ q: "strayParkedJobs", from: PARKED_FROM + 1_000, limit: 20 }],
  unattendedStages: [{ q: "unattendedStages", now: AT, limit: 100 }],
  waitingRuns: [{ q: "waitingRuns", before: AT, limit: 100 }],
  expired: [{ q: "expired", keysBefore: AT, commitsBefore: AT }],
  audit: [{ q: "audit", now: AT, limit: 100 }],
  unhandledFailures: [{ q: "unhandledFailures", now: AT, limit: 100 }],
  page: (["logs", "artifacts", "outboxEvents", "jobs"] as const).flatMap((of) =>
    [null, "1"].flatMap((after) =>
      [false, true].flatMap((descending) =>
        [{}, { bytesMax: 1_000 }, { omit: [...LONG_TEXT[of]] }].map((bounds) => ({
          q: "page" as const,
          of,
          ...run,
          after,
          descending,
          limit: 100,
          ...bounds,
        })),
      ),
    ),
  ),
  resumableJobs: [{ q: "resumableJobs", now: AT, limit: 100 }],
  waitingEvents: [{ q: "waitingEvents", limit: 100 }],
  cancelledJobs: [{ q: "cancelledJobs", ...run, commitId: COMMIT_ID }],
  staleJobs: [{ q: "staleJobs", before: AT, limit: 100 }],
  suspendedJobs: [
    { q: "suspendedJobs", now: AT, after: null },
    { q: "suspendedJobs", now: AT, after: { nextPollAt: AT, ...job } },
  ],
  aiCallTotals: [
    { q: "aiCallTotals", prefix: "topic", after: null },
    { q: "aiCallTotals", prefix: "topic", after: { topic: "topic.1", modelKey: "small" } },
    { q: "aiCallTotals", prefix: "", after: null },
    { q: "aiCallTotals", prefix: "", after: { topic: "topic.1", modelKey: "small" } },
  ],
  aiBatch: [{ q: "aiBatch", batchId: "batch" }],
};

/** The statements by their text. */
export function possibleStatements(): Map<string, Statement> {
  const all: Statement[] = Object.values(queries).flat().map(queryStatement);
  const add = (commit: Partial<Commit>) => {
    const whole = { id: COMMIT_ID, guards: [], changes: [], reads: [], ...commit };
    all.push(...commitBatch(whole).statements, ...settleStatements(whole));
  };
  for (const guard of Object.values(guards).flat()) {
    add({ guards: [guard] });
    add({ guards: [guard, guard] });
  }
  for (const change of Object.values<readonly Change[]>(CHANGES).flat()) {
    add({ changes: [change] });
    add({ changes: [change, another(change)] });
    const long = withLongTexts(change);
    add({ changes: [long] });
    add({ changes: [long, another(long)] });
  }
  return new Map(all.map((one) => [one.sql, one]));
}
