/** Random queries of every kind. */
import { PARKED_FROM, UNPOLLED_MS } from "../../src/model/index.ts";
import fc from "fast-check";
import type { Query, QueryOf } from "../../src/queries/index.ts";
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
  shortText,
  signalName,
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

/** As {@link asking}; half of the time without what pages and lists may do without. */
function optionally<Q extends Query["q"], T extends object>(
  name: Q,
  members: { [M in keyof T]: fc.Arbitrary<T[M]> },
): fc.Arbitrary<QueryOf<Q>> {
  const optional = new Set(OPTIONAL[name]);
  return fc.tuple(asking(name, members), fc.boolean()).map(([query, paged]) => {
    const entries = Object.entries(query).filter(([member]) => paged || !optional.has(member));
    return Object.fromEntries(entries) as unknown as QueryOf<Q>;
  });
}

const OPTIONAL: { readonly [Q in Query["q"]]?: readonly string[] } = {
  unpublishedEvents: ["bytesMax"],
  runs: ["omit", "bytesMax"],
  stuckRuns: ["after", "limit"],
  stages: ["after", "omit", "bytesMax"],
  suspendedStages: ["limit"],
  annotations: ["after", "omit", "bytesMax"],
  page: ["omit", "bytesMax"],
  deadLetters: ["after"],
  suspendedJobs: ["limit"],
  jobStates: ["cancelledOf"],
};

const bytesMax = of(1, 3, 5, 1_000_000);
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

const runFilters = fc.record(
  {
    status,
    workflowId: of("w", "w2"),
    workflowType: of("t", ""),
    nameContains: of("w", "W", "ä", "Ä", "_", "%"),
    annotation: fc.record({ key, value: shortText }),
    createdFrom: instant,
    createdBefore: instant,
  },
  { requiredKeys: [] },
);

const oneRunFilter = fc.oneof(
  fc.record({ status }),
  fc.record({ workflowId: of("w", "w2") }),
  fc.record({ workflowType: of("t", "") }),
  fc.record({ nameContains: of("w", "W", "_") }),
  fc.record({ annotation: fc.record({ key, value: shortText }) }),
  fc.record({ createdFrom: instant }),
);
/** A place to go on from would leave most lists, which are short, empty. */
const sometimes = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 1 });

export const QUERIES: { readonly [Q in Query["q"]]: fc.Arbitrary<QueryOf<Q>> } = {
  run: asking("run", { id: workflowRunId }),
  runStatus: asking("runStatus", { id: workflowRunId }),
  runs: optionally("runs", {
    filters: fc.oneof(of({}), oneRunFilter, oneRunFilter, runFilters),
    after: sometimes(fc.record({ createdAt: instant, ordinal })),
    descending: fc.boolean(),
    limit: of(1, 2, 5, 100),
    omit: of<["input", "output"][]>(["input", "output"]),
    bytesMax,
  }),
  pendingRuns: asking("pendingRuns", { limit }),
  stuckRuns: optionally("stuckRuns", {
    since: of(10, 20, 50, 100),
    now: instant,
    after: nullable(fc.record({ updatedAt: instant, ordinal })),
    limit,
  }),
  stage: asking("stage", { workflowRunId, stageId }),
  stages: optionally("stages", {
    workflowRunId,
    status: nullable(status),
    beforeGroup: nullable(whole),
    withoutNextPoll: fc.boolean(),
    descending: fc.boolean(),
    limit: nullable(limit),
    after: nullable(fc.record({ executionGroup: whole, stageNumber: whole, stageId })),
    omit: of<["inputData", "errorMessage"][]>(["inputData", "errorMessage"]),
    bytesMax,
  }),
  suspendedStages: optionally("suspendedStages", {
    before: of(10, 50, 100),
    after: nullable(fc.record({ nextPollAt: instant, workflowRunId, stageId })),
    limit,
  }),
  stageInputs: asking("stageInputs", { workflowRunId, stageId }),
  stageOutputs: asking("stageOutputs", {
    workflowRunId,
    stageIds: fc.uniqueArray(stageId, { maxLength: 3 }),
  }),
  stageAttempts: asking("stageAttempts", {
    workflowRunId,
    after: of("", "", "r/a/1.1", "r/a", "\u{1f600}"),
    limit: of(1, 2, 5, 100),
  }),
  nextSignal: asking("nextSignal", { workflowRunId, name: signalName }),
  artifact: asking("artifact", { workflowRunId, key }),
  hasArtifact: asking("hasArtifact", { workflowRunId, key }),
  artifacts: asking("artifacts", { workflowRunId }),
  annotations: optionally("annotations", {
    workflowRunId,
    filters: fc.oneof(fc.record({ keyPrefix, limit }), filters),
    after: nullable(fc.record({ createdAt: instant, ordinal })),
    omit: of<["value"][]>(["value"]),
    bytesMax,
  }),
  outboxEvent: asking("outboxEvent", event),
  outboxTail: asking("outboxTail", { workflowRunId }),
  unpublishedEvents: optionally("unpublishedEvents", { limit, bytesMax: of(1, 5, 20) }),
  outboxBacklog: asking("outboxBacklog", { after: sometimes(fc.record(event)), limit }),
  deadLetters: optionally("deadLetters", {
    after: nullable(fc.record({ ...event, dlqAt: instant })),
    limit,
  }),
  idempotencyKey: asking("idempotencyKey", idempotencyKey),
  job: asking("job", jobKey),
  jobs: asking("jobs", { workflowRunId }),
  liveJob: asking("liveJob", { dedupeKey: of(...DEDUPE_KEYS, "") }),
  jobStates: optionally("jobStates", {
    keys: fc.array(fc.oneof(fc.record(jobKey), fc.record({ ...jobKey, freed: of("c", "none") })), {
      maxLength: 6,
    }),
    now: instant,
    wakingOnly: fc.boolean(),
    cancelledOf: workflowRunId,
  }),
  unwrittenJobs: asking("unwrittenJobs", {
    keys: fc.array(fc.record(jobKey), { maxLength: 6 }),
    commitId: of(CURRENT, commitId(2)),
  }),
  jobStats: asking("jobStats", { now: instant, failedSince: instant }),
  claimedJobs: asking("claimedJobs", { since: instant, commitId: of(CURRENT) }),
  overdueJobs: fc.oneof(
    asking("overdueJobs", { before: instant, limit }),
    // Which jobs are looked at first is left open.
    asking("overdueJobs", { before: instant, limit: of(1_000), stagesOnly: of(true) }),
  ),
  unattendedStages: asking("unattendedStages", {
    now: of(10, 50, 100, 10 + UNPOLLED_MS, 100 + UNPOLLED_MS),
    limit,
  }),
  waitingRuns: asking("waitingRuns", { before: of(10, 50, 100), limit }),
  expired: asking("expired", { keysBefore: of(10, 50, 100), commitsBefore: of(-5) }),
  audit: asking("audit", { now: of(100, 600_050, 700_000), limit: of(1_000) }),
  unhandledFailures: asking("unhandledFailures", { now: of(-5, 10, 50, 100), limit }),
  resumableJobs: asking("resumableJobs", { now: instant, limit }),
  strayParkedJobs: asking("strayParkedJobs", {
    from: of(PARKED_FROM, PARKED_FROM + 50, PARKED_FROM + 100),
    limit,
  }),
  waitingEvents: asking("waitingEvents", { limit }),
  cancelledJobs: asking("cancelledJobs", { workflowRunId, commitId: of(CURRENT, commitId(2)) }),
  staleJobs: asking("staleJobs", { before: instant, limit }),
  suspendedJobs: optionally("suspendedJobs", {
    now: of(10, 50, 100),
    after: nullable(fc.record({ nextPollAt: instant, workflowRunId, ordinal })),
    limit,
  }),
  aiCallTotals: asking("aiCallTotals", {
    prefix: of("", "a", "a.", "A", "\u{1f600}", "\ufffd", "\u{10ffff}"),
    after: nullable(fc.record({ topic: of("a", "a.b", "\ufffd"), modelKey: of("m", "n") })),
  }),
  aiBatch: asking("aiBatch", { batchId: of("", "b") }),
  page: fc.oneof(
    optionally("page", {
      of: of("logs", "jobs"),
      workflowRunId,
      after: nullable(jobKey.ordinal),
      descending: fc.boolean(),
      limit,
      omit: of<["payload", "metadata"][]>(["payload", "metadata"]),
      bytesMax,
    }),
    optionally("page", {
      of: of("artifacts"),
      workflowRunId,
      after: nullable(key),
      descending: fc.boolean(),
      limit,
      omit: of<["payload", "metadata"][]>(["payload", "metadata"]),
      bytesMax,
    }),
    optionally("page", {
      of: of("outboxEvents"),
      workflowRunId,
      after: nullable(of("0", "1", "2", "10")),
      descending: fc.boolean(),
      limit,
      omit: of<["payload", "metadata"][]>(["payload", "metadata"]),
      bytesMax,
    }),
  ),
  stageById: fc.oneof(
    asking("stageById", { workflowRunId, stageId, id: recordId }),
    asking("stageById", { workflowRunId: of("r"), stageId: of("a"), id: recordId }),
  ),
};
