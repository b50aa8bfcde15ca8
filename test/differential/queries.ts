/** Random queries of every kind. */
import fc from "fast-check";
import type { Query, QueryOf } from "../../src/changes/index.ts";
import {
  commitId,
  CURRENT,
  DEDUPE_KEYS,
  event,
  idempotencyKey,
  instant,
  jobKey,
  key,
  nullable,
  of,
  ordinal,
  recordId,
  stageId,
  status,
  whole,
  workflowRunId,
} from "./rows.ts";

function asking<Q extends Query["q"], T extends object>(
  name: Q,
  members: { [M in keyof T]: fc.Arbitrary<T[M]> },
): fc.Arbitrary<T & { q: Q }> {
  return fc.record(members).map((values) => ({ ...(values as T), q: name }));
}

const limit = of(0, 1, 2, 5, 100);
const keyPrefix = of("", "k", "K", "%", "\u{1f600}");
const filters = fc.record(
  {
    key,
    keyPrefix,
    scope: of("run", "stage"),
    scopeId: nullable(of("", "x")),
    actorId: of("i", "j"),
    actorKind: of("agent", ""),
    attempt: of(0, 1),
    since: instant,
    until: instant,
    limit,
  },
  { requiredKeys: ["limit"] },
);

export const QUERIES: { readonly [Q in Query["q"]]: fc.Arbitrary<QueryOf<Q>> } = {
  run: asking("run", { id: workflowRunId }),
  runStatus: asking("runStatus", { id: workflowRunId }),
  runsByStatus: asking("runsByStatus", {
    status,
    after: nullable(fc.record({ priority: of(1, 5, 9), ordinal })),
  }),
  pendingRuns: asking("pendingRuns", { limit }),
  stuckRuns: asking("stuckRuns", { since: of(10, 20, 50, 100), now: instant }),
  stage: asking("stage", { workflowRunId, stageId }),
  stages: asking("stages", {
    workflowRunId,
    status: nullable(status),
    beforeGroup: nullable(whole),
    withoutNextPoll: fc.boolean(),
    descending: fc.boolean(),
    limit: nullable(limit),
  }),
  suspendedStages: asking("suspendedStages", {
    before: of(10, 50, 100),
    after: nullable(fc.record({ nextPollAt: instant, workflowRunId, stageId })),
  }),
  artifact: asking("artifact", { workflowRunId, key }),
  hasArtifact: asking("hasArtifact", { workflowRunId, key }),
  artifacts: asking("artifacts", { workflowRunId }),
  annotations: asking("annotations", {
    workflowRunId,
    filters: fc.oneof(fc.record({ keyPrefix, limit }), filters),
  }),
  outboxEvent: asking("outboxEvent", event),
  outboxTail: asking("outboxTail", { workflowRunId }),
  unpublishedEvents: asking("unpublishedEvents", { limit }),
  deadLetters: asking("deadLetters", { limit }),
  idempotencyKey: asking("idempotencyKey", idempotencyKey),
  job: asking("job", jobKey),
  jobs: asking("jobs", { workflowRunId }),
  liveJob: asking("liveJob", { dedupeKey: of(...DEDUPE_KEYS, "") }),
  jobStates: asking("jobStates", {
    keys: fc.array(fc.record(jobKey), { maxLength: 6 }),
    now: instant,
  }),
  jobStats: asking("jobStats", { now: instant, failedSince: instant }),
  claimedJobs: asking("claimedJobs", { at: instant, commitId: of(CURRENT) }),
  overdueJobs: asking("overdueJobs", { before: instant, limit }),
  unattendedStages: asking("unattendedStages", { before: of(10, 50, 100), limit }),
  waitingRuns: asking("waitingRuns", { before: of(10, 50, 100), limit }),
  expired: asking("expired", { keysBefore: of(10, 50, 100), commitsBefore: of(-5) }),
  audit: asking("audit", { now: of(100, 600_050, 700_000), limit: of(1_000) }),
  unhandledFailures: asking("unhandledFailures", { since: of(-5, 10, 50), limit }),
  resumableJobs: asking("resumableJobs", { now: instant, limit }),
  waitingEvents: asking("waitingEvents", { limit }),
  cancelledJobs: asking("cancelledJobs", { workflowRunId, commitId: of(CURRENT, commitId(2)) }),
  staleJobs: asking("staleJobs", { before: instant, limit }),
  suspendedJobs: asking("suspendedJobs", {
    now: of(10, 50, 100),
    after: nullable(fc.record({ nextPollAt: instant, workflowRunId, ordinal })),
  }),
  aiCallTotals: asking("aiCallTotals", {
    prefix: of("", "a", "a.", "A", "\u{1f600}", "\ufffd", "\u{10ffff}"),
    after: nullable(fc.record({ topic: of("a", "a.b", "\ufffd"), modelKey: of("m", "n") })),
  }),
  aiBatch: asking("aiBatch", { batchId: of("", "b") }),
  page: fc.oneof(
    asking("page", {
      of: of("logs", "jobs"),
      workflowRunId,
      after: nullable(jobKey.ordinal),
      descending: fc.boolean(),
      limit,
    }),
    asking("page", {
      of: of("artifacts"),
      workflowRunId,
      after: nullable(key),
      descending: fc.boolean(),
      limit,
    }),
    asking("page", {
      of: of("outboxEvents"),
      workflowRunId,
      after: nullable(of("0", "1", "2", "10")),
      descending: fc.boolean(),
      limit,
    }),
  ),
  stageById: fc.oneof(
    asking("stageById", { workflowRunId, stageId, id: recordId }),
    asking("stageById", { workflowRunId: of("r"), stageId: of("a"), id: recordId }),
  ),
};
