/** Every POST of the OpenAPI document, sent again with its `Idempotency-Key`. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { embed } from "../../src/embed.ts";
import { openApiDocument } from "../../src/http/app.ts";
import { digestOf } from "../../src/http/digest.ts";
import { D1_FAULTS, type D1FaultPlan, faultyD1 } from "../../src/testing/index.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, NAME_OF_ADMIN, secretOf, send, URL_OF_SERVICE } from "./support.ts";

const KEY = "once";
const OTHER = "other-token";
const TWO_TOKENS = await secretOf(
  { token: ADMIN, scopes: ["admin"] },
  { token: OTHER, scopes: ["admin"] },
);
const RUN = { workflowId: "w", workflowName: "W", workflowType: "w", input: {} };
const AI_CALL = {
  topic: "t",
  callType: "text",
  modelKey: "m",
  modelId: "m-1",
  prompt: "?",
  response: "!",
  inputTokens: 1,
  outputTokens: 2,
  cost: 0.5,
  metadata: ["kept", "as", "it", "is"],
};
const event = (eventType: string) => ({
  workflowRunId: "run",
  eventType,
  payload: 0,
  causationId: "",
  occurredAt: new Date(0),
});
const job = (stageId: string) => ({ workflowRunId: "run", workflowId: "w", stageId });

/** A run with a leased job, one that waits, an event that waits and one in the DLQ. Answers the leased job. */
async function world(): Promise<string> {
  await emptyDatabase();
  const { persistence, jobs } = embed(env);
  await persistence.createRun({ id: "run", ...RUN });
  await jobs.enqueueParallel([job("leased"), job("waiting")]);
  await persistence.appendOutboxEvents([event("waiting"), event("dead")]);
  await persistence.moveOutboxEventToDLQ("run/2");
  await persistence.acquireIdempotencyKey("held", "c");
  const leased = await jobs.dequeue();
  return leased?.jobId ?? "";
}

/** A body for every POST, given the leased job; undefined: it has none. */
const BODIES: Readonly<Record<string, (jobId: string) => unknown>> = {
  acquireIdempotencyKey: () => ({ key: "k", commandType: "c" }),
  appendAnnotations: () => ({
    annotations: [{ workflowRunId: "run", scope: "run", key: "k", value: 1 }],
  }),
  appendOutboxEvents: () => ({ events: [event("new")] }),
  cancelByRun: () => undefined,
  claimNextPendingRun: () => undefined,
  claimPendingRun: () => undefined,
  commit: () => ({
    id: newCommitId(Date.now()),
    guards: [{ on: "run", id: "run", expect: { is: "version", version: 1 } }],
    changes: [{ kind: "updateRun", id: "run", set: { totalCost: 1 }, at: 5, bump: 1 }],
    reads: [{ q: "runStatus", id: "run" }],
  }),
  complete: () => ({ attempt: 1 }),
  completeIdempotencyKey: () => ({ key: "held", commandType: "c", result: 1 }),
  completeMany: (jobId) => ({ jobs: [{ jobId, attempt: 1 }] }),
  createLog: () => ({ workflowRunId: "run", level: "INFO", message: "m" }),
  createRun: () => RUN,
  createStage: () => ({ stageId: "s", stageName: "S", stageNumber: 1, executionGroup: 1 }),
  dequeue: () => ({ count: 1 }),
  enqueue: () => ({ jobs: [job("new")] }),
  fail: () => ({ error: "e", shouldRetry: true, attempt: 1 }),
  incrementOutboxRetryCount: () => undefined,
  logCall: () => AI_CALL,
  markOutboxEventsPublished: () => ({ ids: ["run/1"] }),
  moveOutboxEventToDLQ: () => undefined,
  releaseIdempotencyKey: () => ({ key: "held", commandType: "c" }),
  releaseStaleJobs: () => ({ staleThresholdMs: 0 }),
  replayDLQEvents: () => ({ maxEvents: 5 }),
  suspend: () => ({ nextPollAt: "2027-01-01T00:00:00Z", attempt: 1 }),
  touchJob: () => ({ attempt: 1 }),
};
/** POSTs that change nothing, so that there is nothing to do once. */
const WITHOUT_EFFECT = ["query", "settle"];

interface Post {
  readonly path: string;
  readonly operationId: string;
}

function posts(): Post[] {
  return Object.entries(openApiDocument().paths)
    .map(([path, methods]) => ({ path, operationId: methods["post"]?.operationId ?? "" }))
    .filter(({ operationId }) => operationId !== "" && !WITHOUT_EFFECT.includes(operationId));
}

function place(path: string, jobId: string): string {
  return path
    .replace("{runId}", "run")
    .replace("{jobId}", encodeURIComponent(jobId))
    .replace("{id}", encodeURIComponent("run/1"));
}

interface Sending {
  readonly key?: string;
  readonly token?: string;
  readonly tokens?: string;
  readonly DB?: D1Database;
}

async function post(path: string, body: string | undefined, options: Sending = {}) {
  const { key = KEY, token = ADMIN, tokens = TWO_TOKENS, DB = env.DB } = options;
  const headers: Record<string, string> = {
    Authorization: `Bearer ${token}`,
    "Idempotency-Key": key,
  };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const init = { method: "POST", headers, ...(body === undefined ? {} : { body }) };
  const response = await send(new Request(URL_OF_SERVICE + path, init), { API_TOKENS: tokens, DB });
  const text = await response.text();
  const replayed = response.headers.get("Idempotent-Replayed");
  const kept = ["Content-Type", "ETag", "Location"].map((name) => response.headers.get(name));
  return { status: response.status, text, replayed, kept };
}

async function prepared(operationId: string, path: string) {
  const jobId = await world();
  const value = BODIES[operationId]?.(jobId);
  const body = value === undefined ? undefined : JSON.stringify(value);
  // A lease is stale only when it is older than now.
  if (operationId === "releaseStaleJobs") await scheduler.wait(2);
  return { target: place(path, jobId), body };
}

beforeEach(() => {
  vi.restoreAllMocks();
});

describe.each(posts())("$operationId with an Idempotency-Key", ({ path, operationId }) => {
  it("has a body in this test", () => {
    expect(Object.keys(BODIES)).toContain(operationId);
  });

  it("takes effect once, and answers the same again", async () => {
    const { target, body } = await prepared(operationId, path);
    const before = await everything();
    const first = await post(target, body);
    expect([first.status < 300, first.replayed], first.text).toEqual([true, null]);
    const after = await everything();
    expect(withoutKeys(after)).not.toBe(withoutKeys(before));
    const again = await post(target, body);
    expect(again).toEqual({ ...first, replayed: "true" });
    expect(await everything()).toBe(after);
  });

  it("is refused with another body, and changes nothing", async () => {
    const { target, body } = await prepared(operationId, path);
    await post(target, body);
    const after = await everything();
    const other = await post(target, body === undefined ? "{}" : `${body} `);
    expect([other.status, JSON.parse(other.text)]).toMatchObject([
      422,
      { code: "INVALID_ARGUMENT", details: { field: "Idempotency-Key" } },
    ]);
    expect(await everything()).toBe(after);
  });

  it("is another request with another token", async () => {
    const { target, body } = await prepared(operationId, path);
    await post(target, body);
    expect((await post(target, body, { token: OTHER })).replayed).toBeNull();
  });
});

function withoutKeys(rows: string): string {
  const { idempotency_keys: _, ...others } = JSON.parse(rows) as Record<string, unknown>;
  // Keys that the request itself is about count, too.
  const own = (JSON.parse(rows) as { idempotency_keys: { key: string }[] }).idempotency_keys;
  return JSON.stringify([others, own.filter(({ key }) => key === "held" || key === "k")]);
}

describe("an Idempotency-Key", () => {
  it.each<[string, string, number]>([
    ["that is empty", "", 422],
    ["of a space", " ", 422],
    ["with a letter beyond ASCII", "k\u00e9", 422],
    ["of 2,100 characters", "x".repeat(2_100), 422],
    ["of 2,000 characters", "x".repeat(2_000), 201],
    ["with all sorts of signs", `a "quoted" key / with #%&`, 201],
  ])("%s is answered as it should be", async (_what, key, status) => {
    await emptyDatabase();
    const answer = await post("/v1/runs", JSON.stringify(RUN), { key });
    expect(answer.status).toBe(status);
    const runs = await embed(env).persistence.getRunsByStatus("PENDING");
    expect(runs).toHaveLength(status === 201 ? 1 : 0);
  });

  it("of one caller is never another's, whatever they are called", async () => {
    await emptyDatabase();
    const tokens = await secretOf(
      { token: "a", name: "a", scopes: ["write"] },
      { token: "a/b", name: "a/b", scopes: ["write"] },
    );
    const body = JSON.stringify(RUN);
    const one = await post("/v1/runs", body, { tokens, token: "a", key: "b/c" });
    const other = await post("/v1/runs", body, { tokens, token: "a/b", key: "c" });
    expect([other.status, other.replayed]).toEqual([201, null]);
    expect(other.text).not.toBe(one.text);
  });

  it("answers no caller without the scope, not even one with the name of the first caller", async () => {
    await world();
    const tokens = await secretOf(
      { token: "worker", name: "same", scopes: ["work"] },
      { token: "reader", name: "same", scopes: ["read"] },
    );
    const path = "/v1/jobs/dequeue";
    expect((await post(path, "{}", { tokens, token: "worker" })).status).toBe(200);
    const replay = await post(path, "{}", { tokens, token: "reader" });
    expect([replay.status, JSON.parse(replay.text)]).toMatchObject([403, { code: "FORBIDDEN" }]);
  });

  it.each([
    [200, { "Set-Cookie": "a=b" }, "{}"],
    [200, { ETag: "a\r\nSet-Cookie: a=b" }, "{}"],
    [200, { "not a name": "" }, "{}"],
    [204, {}, "{}"],
    [302, { Location: "https://evil.example" }, null],
    [101, {}, null],
    [999, {}, null],
  ])(
    "is not answered with what is no answer of ours: %j, %j, %j",
    async (status, headers, kept) => {
      await emptyDatabase();
      const body = JSON.stringify(RUN);
      const stored = { request: await digestOf(body), status, headers, body: kept };
      const key = `${NAME_OF_ADMIN}/${KEY}`;
      await embed(env).persistence.completeIdempotencyKey(key, "POST /v1/runs", stored);
      const answer = await post("/v1/runs", body);
      expect([answer.status, JSON.parse(answer.text)]).toMatchObject([
        422,
        { details: { field: "Idempotency-Key" } },
      ]);
    },
  );

  it("under which somebody has kept something else is refused", async () => {
    await emptyDatabase();
    const key = `${NAME_OF_ADMIN}/${KEY}`;
    for (const path of ["/v1/runs", "/v1/jobs/dequeue", "/v1/ai-calls", "/v1/jobs/release-stale"]) {
      await embed(env).persistence.completeIdempotencyKey(key, `POST ${path}`, { other: true });
      const answer = await post(path, path === "/v1/runs" ? JSON.stringify(RUN) : "{}");
      expect([422, 409], path).toContain(answer.status);
    }
  });
});

/** D1 answers until the commit that takes the key along has run, and is away from then on. */
function awayAfterActing(): D1FaultPlan {
  let acted = false;
  return ({ statements }) => {
    if (acted) return D1_FAULTS.before;
    acted = statements.some((sql) => sql.startsWith('INSERT INTO "idempotency_keys"'));
    return acted ? D1_FAULTS.lost : null;
  };
}

/** The commit that acts is answered; the one that keeps the answer never comes to be. */
function awayAfterAnswer(): D1FaultPlan {
  let writes = 0;
  return ({ statements }) => {
    if (statements.some((sql) => sql.startsWith('INSERT INTO "idempotency_keys"'))) writes += 1;
    return writes > 1 ? D1_FAULTS.before : null;
  };
}

describe.each<[string, number]>([
  ["dequeue", 200],
  ["commit", 200],
  ["logCall", 204],
  ["createRun", 201],
])("%s when D1 goes away in between", (operationId, status) => {
  const path = posts().find((each) => each.operationId === operationId)?.path ?? "";

  it("and nobody knows has acted once all the same, and a repeat answers what it did", async () => {
    const reported = vi.spyOn(console, "error").mockImplementation(() => {});
    const { target, body } = await prepared(operationId, path);
    const d1 = faultyD1(env.DB);
    d1.restart(awayAfterActing());
    const lost = await post(target, body, { DB: d1.db });
    expect(JSON.parse(lost.text)).toMatchObject({ status: 503, code: "UNAVAILABLE" });
    expect(reported).toHaveBeenCalled();
    const acted = withoutKeys(await everything());
    const again = await post(target, body);
    expect([again.status, again.replayed]).toEqual([status, "true"]);
    const third = await post(target, body);
    expect(third).toEqual(again);
    expect(withoutKeys(await everything())).toBe(acted);
  });

  it("and turned it away has not acted, and a repeat acts", async () => {
    const { target, body } = await prepared(operationId, path);
    const d1 = faultyD1(env.DB);
    d1.restart(({ statements }) =>
      statements.some((sql) => sql.startsWith('INSERT INTO "idempotency_keys"'))
        ? D1_FAULTS.overloaded
        : null,
    );
    vi.spyOn(console, "error").mockImplementation(() => {});
    const before = await everything();
    const turnedAway = await post(target, body, { DB: d1.db });
    expect(JSON.parse(turnedAway.text)).toMatchObject({ status: 503, code: "OVERLOADED" });
    expect(await everything()).toBe(before);
    expect((await post(target, body)).replayed).toBeNull();
    expect(await everything()).not.toBe(before);
  });

  it("by many at once is done once", async () => {
    const { target, body } = await prepared(operationId, path);
    const one = async () => {
      for (let tries = 0; tries < 500; tries += 1) {
        const answer = await post(target, body);
        if (answer.status !== 409) return answer;
      }
      throw new Error("The key stays in use");
    };
    const answers = await Promise.all(Array.from({ length: 5 }, one));
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.text}`)).size).toBe(1);
    expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1);
    const { persistence, jobs, aiCalls } = embed(env);
    const runs = await persistence.getRunsByStatus("PENDING");
    expect(runs).toHaveLength(operationId === "createRun" ? 2 : 1);
    const leased = (await jobs.getJobsByWorkflowRun("run")).filter(
      (each) => each.status === "RUNNING",
    );
    expect(leased).toHaveLength(operationId === "dequeue" ? 2 : 1);
    expect((await aiCalls.getStats("")).totalCalls).toBe(operationId === "logCall" ? 1 : 0);
  });
});

// The answer to an AI call is known before, so one commit does all.
describe.each(["dequeue", "commit"])("%s whose answer was given but not kept", (operationId) => {
  const path = posts().find((each) => each.operationId === operationId)?.path ?? "";

  it("is answered the same when it is sent again, and not with another body", async () => {
    const reported = vi.spyOn(console, "error").mockImplementation(() => {});
    const { target, body } = await prepared(operationId, path);
    const d1 = faultyD1(env.DB);
    d1.restart(awayAfterAnswer());
    const first = await post(target, body, { DB: d1.db });
    expect([first.status, first.replayed]).toEqual([200, null]);
    expect(reported).toHaveBeenCalledWith("wfe-answer-not-kept", expect.anything());
    const other = await post(target, operationId === "commit" ? commitOf("x") : "{} ");
    expect([409, 422]).toContain(other.status);
    expect(await post(target, body)).toMatchObject({ text: first.text, replayed: "true" });
  });
});

function commitOf(id: string): string {
  const changes = [{ kind: "updateRun", id, set: { totalCost: 1 }, at: 5, bump: 1 }];
  return JSON.stringify({ id: newCommitId(Date.now()), guards: [], changes, reads: [] });
}

describe("an answer that another request with the key has kept first", () => {
  it("is given instead, to browsers as well", async () => {
    const { target, body = "" } = await prepared("dequeue", "/v1/jobs/dequeue");
    const headers = {
      Authorization: `Bearer ${ADMIN}`,
      "Content-Type": "application/json",
      "Idempotency-Key": KEY,
      Origin: "https://app.example",
    };
    const d1 = faultyD1(env.DB);
    let writes = 0;
    d1.restart(({ statements }) => {
      if (statements.some((sql) => sql.startsWith('INSERT INTO "idempotency_keys"'))) writes += 1;
      return writes > 1 ? D1_FAULTS.stall : null;
    });
    const first = send(new Request(URL_OF_SERVICE + target, { method: "POST", headers, body }), {
      API_TOKENS: TWO_TOKENS,
      CORS_ORIGINS: "https://app.example",
      DB: d1.db,
    });
    await vi.waitUntil(() => writes > 1);
    const second = await post(target, body);
    d1.restart();
    await d1.release();
    const answer = await first;
    expect([await answer.text(), second.replayed]).toEqual([second.text, "true"]);
    expect(answer.headers.get("Idempotent-Replayed")).toBe("true");
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("https://app.example");
  });
});

describe("what a dequeue with a key has leased", () => {
  it("is told again only as far as it is still leased, when the answer was not kept", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { target, body } = await prepared("dequeue", "/v1/jobs/dequeue");
    const d1 = faultyD1(env.DB);
    d1.restart(awayAfterActing());
    await post(target, body, { DB: d1.db });
    await embed(env).jobs.releaseStaleJobs(-1);
    const again = await post(target, body);
    expect([again.replayed, again.text]).toEqual(["true", '{"jobs":[]}']);
  });
});

describe("an AI call with a key", () => {
  it("is recorded before the answer, as it is, and its faults are told", async () => {
    await emptyDatabase();
    expect((await post("/v1/ai-calls", JSON.stringify(AI_CALL))).status).toBe(204);
    const rows = await env.DB.prepare(`SELECT "batch_id", "metadata" FROM "ai_calls"`).all();
    expect(rows.results).toEqual([{ batch_id: "", metadata: JSON.stringify(AI_CALL.metadata) }]);
    const large = { ...AI_CALL, prompt: "x".repeat(1_000_000), response: "x".repeat(1_000_000) };
    const refused = await post("/v1/ai-calls", JSON.stringify(large), { key: "large" });
    expect(refused.status).toBe(413);
    expect((await embed(env).aiCalls.getStats("")).totalCalls).toBe(1);
  });
});
