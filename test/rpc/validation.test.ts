import { RpcTarget } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  CALL_TOKENS_MAX,
  COMMIT_CHANGES_MAX,
  COMMIT_UNITS_MAX,
  COMMIT_GUARDS_MAX,
  COST_MAX,
  INSTANT_MAX,
  INSTANT_MIN,
  READ_QUERIES_MAX,
  ROW_BYTES_MAX,
} from "../../src/model/index.ts";
import { upTo } from "../../src/testing/conformance/support.ts";
import {
  aJob,
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
} from "../memory/support.ts";
import { emptyDatabase } from "../support/database.ts";
import {
  aCommit,
  aStageOf,
  breakingOff,
  openRaw,
  type RawSession,
  rowsWritten,
  withRow,
} from "./support.ts";

let session: RawSession;

beforeAll(async () => {
  session = await openRaw();
});

beforeEach(async () => {
  await emptyDatabase();
});

const run = aRun();
const update = { kind: "updateRun", id: "run", set: {}, at: 1, bump: 1 };
const event = anEvent();
const runQuery = { q: "run", id: "run" };
const present = { on: "run", id: "run", expect: { is: "present" } };

class Target extends RpcTarget {}

/** A commit that has everything in order but for some of its members. */
function odd(members: object): object {
  return { ...aCommit({ changes: [run] }), ...members };
}

const MALFORMED_COMMITS: readonly [what: string, commit: unknown, field: string][] = [
  ["nothing", undefined, "commit"],
  ["null", null, "commit"],
  ["a number", 5, "commit"],
  ["a text", "commit", "commit"],
  ["a list", [aCommit({})], "commit"],
  ["a Map", new Map(Object.entries(aCommit({}))), "commit.id"],
  ["an empty object", {}, "commit.id"],
  ["a function", () => aCommit({}), "commit"],
  ["a commit with a member too many", odd({ extra: 1 }), "commit"],
  ["a commit without an id", odd({ id: undefined }), "commit.id"],
  ["an id that is a number", odd({ id: 123_456_789_012_345_680 }), "commit.id"],
  ["an id that is too short", odd({ id: "abc" }), "commit.id"],
  ["an id that is too long", odd({ id: "a".repeat(19) }), "commit.id"],
  ["an id in capitals", odd({ id: "A".repeat(18) }), "commit.id"],
  ["an id that is SQL", odd({ id: "'; DROP TABLE runs" }), "commit.id"],
  ["changes that are none", odd({ changes: "all" }), "commit.changes"],
  ["no changes", odd({ changes: undefined }), "commit.changes"],
  ["a change that is null", odd({ changes: [null] }), "commit.changes.0"],
  ["a change that is a hole", odd({ changes: [undefined, run] }), "commit.changes.0"],
  ["a change of no kind", odd({ changes: [{}] }), "commit.changes.0.kind"],
  ["a change of an unknown kind", odd({ changes: [{ kind: "drop" }] }), "commit.changes.0.kind"],
  ["a kind of every object", odd({ changes: [{ kind: "toString" }] }), "commit.changes.0.kind"],
  ["a change with a member too many", odd({ changes: [{ ...run, also: 1 }] }), "commit.changes.0"],
  ["a second change", odd({ changes: [run, { ...update, at: "now" }] }), "commit.changes.1.at"],
  ["guards that are none", odd({ guards: { 0: present } }), "commit.guards"],
  ["a guard on nothing", odd({ guards: [{ on: "all" }] }), "commit.guards.0.on"],
  [
    "a guard that expects what its row does not have",
    odd({ guards: [{ on: "artifact", workflowRunId: "r", key: "k", expect: { is: "version" } }] }),
    "commit.guards.0.expect.is",
  ],
  [
    "a guard with a short token",
    odd({ guards: [{ ...present, expect: { is: "unchanged", token: "" } }] }),
    "commit.guards.0.expect.token",
  ],
  ["reads that are none", odd({ reads: null }), "commit.reads"],
  ["an unknown read", odd({ reads: [{ q: "everything" }] }), "commit.reads.0.q"],
];

const ODD_ROWS: readonly [what: string, change: object, field: string][] = [
  ["an id that is empty", withRow(run, { id: "" }), "id"],
  ["an id with a NUL", withRow(run, { id: "a\0b" }), "id"],
  ["an id with a lone surrogate", withRow(run, { id: "\ud83d" }), "id"],
  ["an id of 513 bytes", withRow(run, { id: "x".repeat(513) }), "id"],
  ["an id of 257 characters of two bytes", withRow(run, { id: "\u00e9".repeat(257) }), "id"],
  ["an id of one dot", withRow(run, { id: "." }), "id"],
  ["an id of two dots", withRow(run, { id: ".." }), "id"],
  ["a run of two dots", withRow(event, { workflowRunId: ".." }), "workflowRunId"],
  ["a log's run of two dots", withRow(aLog(), { workflowRunId: ".." }), "workflowRunId"],
  ["a job's stage of two dots", withRow(aJob(), { stageId: ".." }), "stageId"],
  ["an artifact's key that is empty", withRow(anArtifact(), { key: "" }), "key"],
  ["an artifact's key of two dots", withRow(anArtifact(), { key: ".." }), "key"],
  ["a batch's id of two dots", withRow(anAiCall(), { batchId: ".." }), "batchId"],
  ["a name of 1,025 bytes", withRow(run, { workflowName: "x".repeat(1_025) }), "workflowName"],
  ["a key of 2,049 bytes", withRow(anArtifact(), { key: "x".repeat(2_049) }), "key"],
  ["an ordinal with a capital", withRow(run, { ordinal: "A" }), "ordinal"],
  ["a status of its own", withRow(run, { status: "PAUSED" }), "status"],
  ["a priority that is a fraction", withRow(run, { priority: 1.5 }), "priority"],
  ["a priority that is NaN", withRow(run, { priority: Number.NaN }), "priority"],
  ["a priority that is a bigint", withRow(run, { priority: 5n }), "priority"],
  ["a priority beyond whole numbers", withRow(run, { priority: 2 ** 53 }), "priority"],
  ["a cost that is infinite", withRow(run, { totalCost: Infinity }), "totalCost"],
  ["a cost that is negative", withRow(run, { totalCost: -0.01 }), "totalCost"],
  ["a cost beyond all", withRow(run, { totalCost: COST_MAX * 2 }), "totalCost"],
  ["tokens that are negative", withRow(run, { totalTokens: -1 }), "totalTokens"],
  ["a call's cost beyond all", withRow(anAiCall(), { cost: Number.MAX_VALUE }), "cost"],
  ["a call's cost that is negative", withRow(anAiCall(), { cost: -1 }), "cost"],
  ["a call's cost that is NaN", withRow(anAiCall(), { cost: Number.NaN }), "cost"],
  [
    "a call's tokens beyond all",
    withRow(anAiCall(), { inputTokens: CALL_TOKENS_MAX + 1 }),
    "inputTokens",
  ],
  ["a call's tokens that are negative", withRow(anAiCall(), { outputTokens: -1 }), "outputTokens"],
  ["an instant after the year 9999", withRow(run, { createdAt: INSTANT_MAX + 1 }), "createdAt"],
  ["an instant before the year 1", withRow(event, { occurredAt: INSTANT_MIN - 1 }), "occurredAt"],
  ["an instant that is a Date", withRow(run, { createdAt: new Date() }), "createdAt"],
  ["an instant beyond all Dates", withRow(run, { createdAt: 8.64e15 + 1 }), "createdAt"],
  ["an input that is no text", withRow(run, { input: {} }), "input"],
  ["an input that is binary", withRow(run, { input: new Uint8Array(2) }), "input"],
  ["a column that there is not", withRow(run, { admin: true }), ""],
  ["a version of its commits", withRow(run, { commits: "x" }), ""],
  ["no config", withRow(run, { config: undefined }), "config"],
  ["a level of its own", withRow(aLog(), { level: "FATAL" }), "level"],
  ["a negative retry count", withRow(event, { retryCount: -1 }), "retryCount"],
  ["a sequence of its own", withRow(event, { sequence: 7 }), ""],
];

/** The field is that of the number in the column's JSON. */
const NOT_HELD: readonly [what: string, change: (number: string) => object, field: string][] = [
  ["a run's input", (n) => withRow(run, { input: `{"limit":${n}}` }), "input.limit"],
  ["a run's config", (n) => withRow(run, { config: n }), "config"],
  ["a run's output", (n) => ({ ...update, set: { output: `[${n}]` } }), "output[0]"],
  ["an artifact's data", (n) => withRow(anArtifact(), { data: `[[${n}]]` }), "data[0][0]"],
  ["an annotation's value", (n) => withRow(anAnnotation(), { value: n }), "value"],
  ["an event's payload", (n) => withRow(event, { payload: `{"a b":${n}}` }), 'payload["a b"]'],
  ["a job's payload", (n) => withRow(aJob(), { payload: `{"a":${n}}` }), "payload.a"],
  ["a call's metadata", (n) => withRow(anAiCall(), { metadata: `{"a":${n}}` }), "metadata.a"],
  ["a log's metadata", (n) => withRow(aLog(), { metadata: n }), "metadata"],
  ["a stage's metrics", (n) => aStageUpdate({ metrics: `{"a":${n}}` }), "metrics.a"],
];

const NOT_JSON: readonly [what: string, change: object, field: string][] = [
  ["a run's input", withRow(run, { input: "{" }), "input"],
  ["a run's input that is empty", withRow(run, { input: "" }), "input"],
  ["a run's config", withRow(run, { config: "undefined" }), "config"],
  ["a run's metadata", withRow(run, { metadata: "'a'" }), "metadata"],
  ["a run's output", { ...update, set: { output: "NaN" } }, "output"],
  ["an artifact's data", withRow(anArtifact(), { data: "{a:1}" }), "data"],
  ["an annotation's value", withRow(anAnnotation(), { value: "x" }), "value"],
  ["an annotation's payload", withRow(anAnnotation(), { payload: "[1,]" }), "payload"],
  ["an event's payload", withRow(event, { payload: "01" }), "payload"],
  ["a job's payload", withRow(aJob(), { payload: "{}{}" }), "payload"],
  ["a call's metadata", withRow(anAiCall(), { metadata: "\u0001" }), "metadata"],
  ["a log's metadata", withRow(aLog(), { metadata: "\ufeff{}" }), "metadata"],
  ["a stage's output", { ...aStageUpdate({ outputData: "{" }) }, "outputData"],
  [
    "a result",
    { kind: "completeIdempotencyKey", key: "k", commandType: "c", at: 1, result: "-" },
    "result",
  ],
  ["marked text", withRow(aLog(), { message: "\u0001no text" }), "message"],
  ["marked text of a job's error", failWith("\u0001{"), "lastError"],
  ["marked JSON that is no text", withRow(aLog(), { message: "\u0001{}" }), "message"],
  ["a marked null", aStageUpdate({ errorMessage: "\u0001null" }), "errorMessage"],
];

function aStageUpdate(set: object): object {
  return { kind: "updateStage", workflowRunId: "run", stageId: "s", set, at: 1, bump: 1 };
}

function failWith(error: string): object {
  return { kind: "failJob", workflowRunId: "run", ordinal: "o1", error, retry: null, at: 1 };
}

describe("a commit that is", () => {
  it.each(MALFORMED_COMMITS)("%s is refused", async (_, commit, field) => {
    for (const method of ["attempt", "settle"] as const) {
      const { ok, error } = await session[method](commit);
      expect(ok).toBe(false);
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    }
    expect(await rowsWritten()).toBe(0);
  });

  it("an object of the caller's Worker is refused", async () => {
    const { error } = await session.attempt(new Target());
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("a change with", () => {
  it.each(ODD_ROWS)("%s is refused", async (_, change, field) => {
    const { error } = await session.attempt(aCommit({ changes: [aRun({ id: "other" }), change] }));
    const path = ["commit.changes.1.row", field].filter((part) => part !== "").join(".");
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field: path } });
    expect(await rowsWritten()).toBe(0);
  });

  it.each(NOT_JSON)("%s that cannot be decoded is refused", async (_, change, field) => {
    const { error } = await session.attempt(aCommit({ changes: [aRun({ id: "other" }), change] }));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    expect(await rowsWritten()).toBe(0);
  });

  it.each(NOT_HELD)("a number in %s that a double cannot hold is refused", async (_, of, field) => {
    for (const number of ["1e400", "9007199254740993"]) {
      const changes = [aRun({ id: "other" }), of(number)];
      const { error } = await session.attempt(aCommit({ changes }));
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    }
    expect(await rowsWritten()).toBe(0);
  });

  it.each([
    ["another run's", "other/stage/5.o1"],
    ["another stage's", "run/other/3.o1"],
    ["nobody's", "stage"],
    ["of a run that ends elsewhere", "run/stage/7.o1"],
    ["without an ordinal", "run/stage/3."],
  ])("a stage's record id that is %s is refused", async (_, id) => {
    const create = aStageOf("run", "stage", id);
    const upsert = { kind: "upsertStage", row: create.row, set: {} };
    for (const change of [create, upsert]) {
      const { error } = await session.attempt(aCommit({ changes: [run, change] }));
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field: "id" } });
    }
    expect(await rowsWritten()).toBe(0);
  });

  it.each([
    ["run", "stage"],
    ["a/b", "c"],
    ["a", "b/c"],
    ["a/b/3.x", "c/1.y"],
  ])("a stage's record id that is its own is taken (%s, %s)", async (workflowRunId, stageId) => {
    const changes = [aRun({ id: workflowRunId }), aStageOf(workflowRunId, stageId)];
    expect(await session.attempt(aCommit({ changes }))).toMatchObject({ ok: true });
    expect(await rowsWritten()).toBe(2);
  });
});

describe("too much", () => {
  const full = "x".repeat(1_800_000);

  it.each<[what: string, commit: unknown, field: string]>([
    [
      "changes",
      aCommit({ changes: upTo(COMMIT_CHANGES_MAX + 1).map(() => event) }),
      "commit.changes",
    ],
    [
      "guards",
      aCommit({ guards: upTo(COMMIT_GUARDS_MAX + 1).map(() => present) }),
      "commit.guards",
    ],
    ["reads", aCommit({ reads: upTo(READ_QUERIES_MAX + 1).map(() => runQuery) }), "commit.reads"],
  ])("of %s is refused", async (_, commit, field) => {
    const { error } = await session.attempt(commit);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    expect(await rowsWritten()).toBe(0);
  });

  it("of text in one row is PAYLOAD_TOO_LARGE, with the field and its size", async () => {
    const [input, output] = [`"${full}"`, `"${full}"`];
    const commit = aCommit({ changes: [withRow(run, { input, output, config: "1" })] });
    for (const method of ["attempt", "settle"] as const) {
      const { error } = await session[method](commit);
      expect(error).toMatchObject({
        code: "PAYLOAD_TOO_LARGE",
        details: { field: "input", size: 2 * full.length + 5, limit: ROW_BYTES_MAX },
      });
    }
    expect(await rowsWritten()).toBe(0);
  });

  it("of text in one value is refused", async () => {
    const input = `"${"x".repeat(ROW_BYTES_MAX - 1)}"`;
    const { error } = await session.attempt(aCommit({ changes: [withRow(run, { input })] }));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await rowsWritten()).toBe(0);
  });

  it("of text in one commit is PAYLOAD_TOO_LARGE", async () => {
    const changes = upTo(10).map(() => withRow(event, { payload: `"${full}"` }));
    const { error } = await session.attempt(aCommit({ changes }));
    expect(error).toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "commit", limit: COMMIT_UNITS_MAX },
    });
    expect(await rowsWritten()).toBe(0);
  });

  it("for a row together with what it holds already is PAYLOAD_TOO_LARGE", async () => {
    const created = await session.attempt(
      aCommit({ changes: [withRow(run, { input: `"${full}"` })] }),
    );
    expect(created.ok).toBe(true);
    const { error } = await session.attempt(
      aCommit({ changes: [event, { ...update, set: { output: `"${full}"` } }] }),
    );
    expect(error).toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "output", size: full.length + 2, limit: ROW_BYTES_MAX },
    });
    expect(await rowsWritten()).toBe(1);
  });
});

function streamOf(...parts: readonly string[]): ReadableStream {
  return new Blob([...parts]).stream();
}

describe("a commit that comes as a stream", () => {
  it("is taken", async () => {
    const commit = aCommit({ changes: [run], reads: [{ q: "runStatus", id: "run" }] });
    expect(await session.attempt(streamOf(JSON.stringify(commit)))).toEqual({
      ok: true,
      value: { applied: true, results: ["PENDING"] },
    });
    expect(await session.settle(streamOf(JSON.stringify(commit)))).toEqual({
      ok: true,
      value: "applied",
    });
  });

  it.each([
    ["is empty", ""],
    ["is no JSON", "commit"],
    ["ends early", JSON.stringify(aCommit({ changes: [run] })).slice(0, -1)],
    ["goes on after its end", `${JSON.stringify(aCommit({ changes: [run] }))}{}`],
  ])("and %s is refused", async (_, text) => {
    const { error } = await session.attempt(streamOf(text));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await rowsWritten()).toBe(0);
  });

  it.each(["null", "[]", '{"id":"x"}'])("and holds %s is refused", async (text) => {
    const { error } = await session.attempt(streamOf(text));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await rowsWritten()).toBe(0);
  });

  it.each(["1e400", "9007199254740993"])("and holds the number %s is refused", async (number) => {
    const text = JSON.stringify(aCommit({ changes: [withRow(run, { duration: 1.5 })] }));
    const { error } = await session.attempt(streamOf(text.replace("1.5", number)));
    const field = "message.changes[0].row.duration";
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    expect(await rowsWritten()).toBe(0);
  });

  it("and breaks off on its way is UNAVAILABLE: it may be sent again", async () => {
    const commit = aCommit({ changes: [run] });
    const { error } = await session.attempt(breakingOff(JSON.stringify(commit).slice(0, 100)));
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
    expect(await rowsWritten()).toBe(0);
    expect(await session.attempt(commit)).toMatchObject({ ok: true });
  });

  it("and holds too much is PAYLOAD_TOO_LARGE", async () => {
    const payload = `"${"x".repeat(1_800_000)}"`;
    const changes = upTo(10).map(() => withRow(event, { payload }));
    const { error } = await session.attempt(streamOf(JSON.stringify(aCommit({ changes }))));
    expect(error).toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(await rowsWritten()).toBe(0);
  });
});

describe("queries that are", () => {
  it.each<[what: string, queries: unknown, field: string]>([
    ["missing", undefined, "queries"],
    ["no list", runQuery, "queries"],
    ["a text", "SELECT 1", "queries"],
    ["too many", upTo(READ_QUERIES_MAX + 1).map(() => runQuery), "queries"],
    ["unknown", [{ q: "all" }], "queries.0.q"],
    ["incomplete", [{ q: "run" }], "queries.0.id"],
    ["more than complete", [{ ...runQuery, sql: "1" }], "queries.0"],
    ["of the wrong type", [runQuery, { q: "run", id: 7 }], "queries.1.id"],
    ["for an empty id", [{ q: "run", id: "" }], "queries.0.id"],
    ["for too many rows", [{ q: "pendingRuns", limit: 1_001 }], "queries.0.limit"],
    ["for a negative number of rows", [{ q: "deadLetters", limit: -1 }], "queries.0.limit"],
    ["for half a row", [{ q: "unpublishedEvents", limit: 0.5 }], "queries.0.limit"],
  ])("%s are refused", async (_, queries, field) => {
    const { ok, error } = await session.read(queries);
    expect(ok).toBe(false);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
  });

  it("as many as there may be are answered", async () => {
    const queries = upTo(READ_QUERIES_MAX).map(() => runQuery);
    expect(await session.read(queries)).toEqual({ ok: true, value: queries.map(() => null) });
  });

  it("none are answered with nothing", async () => {
    expect(await session.read([])).toEqual({ ok: true, value: [] });
  });
});

describe("a session that was sent nonsense", () => {
  it("goes on", async () => {
    await session.attempt(null);
    await session.read(null);
    await session.settle(null);
    expect(await session.now("ignored")).toMatchObject({ ok: true });
    expect(await session.attempt(aCommit({ changes: [run] }))).toEqual({
      ok: true,
      value: { applied: true, results: [] },
    });
  });
});
