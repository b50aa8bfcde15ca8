/** Counts that a commit may set, and that grow from there. */
import { beforeEach, expect, it } from "vitest";
import { newCommitId, stageRecordId, TALLY_MAX } from "../../src/model/index.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { call } from "./support.ts";

const key = { workflowRunId: "run", stageId: "s" };
const born = { createdAt: 0, updatedAt: 0 };
const times = { startedAt: null, completedAt: null };
const columns = {
  createRun: {
    id: "new",
    ordinal: "0",
    ...born,
    ...times,
    version: 1,
    status: "PENDING",
    priority: 5,
    workflowId: "w",
    workflowName: "",
    workflowType: "",
    input: "0",
    config: "{}",
    duration: null,
    output: null,
    totalCost: 0,
    totalTokens: 0,
    metadata: null,
  },
  createStage: {
    ...key,
    id: stageRecordId("run", "s", "0"),
    ...born,
    ...times,
    version: 1,
    stageName: "",
    stageNumber: 1,
    executionGroup: 1,
    attempt: 0,
    status: "PENDING",
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
  },
  appendOutboxEvent: {
    workflowRunId: "run",
    eventType: "",
    payload: "0",
    causationId: "",
    occurredAt: 0,
    publishedAt: null,
    retryCount: 0,
    dlqAt: null,
  },
  enqueueJob: {
    ...key,
    ordinal: "0",
    ...born,
    ...times,
    workflowId: "w",
    status: "PENDING",
    priority: 5,
    workerId: null,
    lockedAt: null,
    attempt: 0,
    maxAttempts: 3,
    failures: 0,
    undelivered: 0,
    unanswered: 0,
    lastError: null,
    nextPollAt: null,
    payload: "{}",
    dedupeKey: null,
    concurrencyKey: null,
    concurrencyLimit: null,
  },
} as const;

const made = (kind: keyof typeof columns) => (name: string, value: number) => ({
  kind,
  row: { ...columns[kind], [name]: value },
});
const updated = (kind: string, of: object) => (name: string, value: number) => ({
  kind,
  ...of,
  set: {},
  at: 1,
  [name]: value,
});
const COUNTS = [
  ["version", made("createRun")],
  ["bump", updated("updateRun", { id: "run" })],
  ["version", made("createStage")],
  ["bump", updated("updateStage", key)],
  ["retryCount", made("appendOutboxEvent")],
  ["attempt", made("enqueueJob")],
  ["maxAttempts", made("enqueueJob")],
  ["failures", made("enqueueJob")],
  ["undelivered", made("enqueueJob")],
  ["unanswered", made("enqueueJob")],
] as const;

const commit = (change: object) =>
  call("POST", "/v1/commits", {
    id: newCommitId(Date.now()),
    guards: [],
    reads: [],
    changes: [change],
  });

beforeEach(async () => {
  await emptyDatabase();
  const run = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };
  await embed(env).persistence.createRun(run);
});

it.each(COUNTS)("%s has room to grow (%#)", async (name, change) => {
  const before = await everything();
  for (const value of [TALLY_MAX + 1, Number.MAX_SAFE_INTEGER, -1, 0.5]) {
    const answer = await commit(change(name, value));
    expect([answer.status, await answer.json()]).toMatchObject([
      422,
      { details: { field: expect.stringMatching(`\\.${name}$`) as string } },
    ]);
  }
  expect(await everything()).toBe(before);
  expect((await commit(change(name, TALLY_MAX))).status).toBe(200);
});

it("a count at its limit grows, and is exact", async () => {
  await commit(made("appendOutboxEvent")("retryCount", TALLY_MAX));
  const counted = await call("POST", "/v1/outbox-events/run%2F1/retry-count");
  expect(await counted.json()).toEqual({ retryCount: TALLY_MAX + 1 });
  await commit(updated("updateRun", { id: "run" })("bump", TALLY_MAX));
  expect((await call("GET", "/v1/runs/run")).headers.get("ETag")).toBe(`"v${TALLY_MAX + 1}"`);
});
