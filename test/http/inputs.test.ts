/** What a request may say, and only that: numbers, ids, parameters and what clears. */
import { beforeEach, describe, expect, it } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { app } from "../../src/http/app.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { operations, theDocument } from "./document.ts";
import { ADMIN, call, send, URL_OF_SERVICE } from "./support.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const RUN = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const STAGE = { stageName: "", stageNumber: 1, executionGroup: 1 };
const AI_CALL = {
  topic: "t",
  callType: "c",
  modelKey: "m",
  modelId: "m",
  prompt: "",
  response: "",
};

async function refusal(response: Response): Promise<{ status: number; field: unknown }> {
  const { details } = await response.json<{ details?: { field?: unknown } }>();
  return { status: response.status, field: details?.field };
}

async function sendText(method: string, path: string, body: string): Promise<Response> {
  const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" };
  return send(new Request(URL_OF_SERVICE + path, { method, headers, body }));
}

/** A commit whose column `input` is this text. */
function commitOf(input: string) {
  const row = {
    id: "run",
    ordinal: "0",
    createdAt: 0,
    updatedAt: 0,
    version: 1,
    ...RUN,
    input,
    status: "PENDING",
    startedAt: null,
    completedAt: null,
    duration: null,
    output: null,
    config: "{}",
    totalCost: 0,
    totalTokens: 0,
    priority: 5,
    metadata: null,
  };
  const changes = [{ kind: "createRun", row }];
  return { id: newCommitId(Date.now()), guards: [], changes, reads: [] };
}

describe("a number that a double cannot hold", () => {
  const BODIES: readonly [method: string, path: string, body: unknown, field: string][] = [
    ["POST", "/v1/runs", { ...RUN, input: { limit: "#" } }, "input.limit"],
    ["POST", "/v1/runs", { ...RUN, config: ["#"] }, "config[0]"],
    ["POST", "/v1/runs", { ...RUN, metadata: { a: "#" } }, "metadata.a"],
    ["POST", "/v1/runs", { ...RUN, priority: "#" }, "priority"],
    ["PATCH", "/v1/runs/run", { output: "#" }, "output"],
    ["PATCH", "/v1/runs/run", { totalTokens: "#" }, "totalTokens"],
    ["POST", "/v1/runs/run/stages", { stageId: "s", ...STAGE, inputData: "#" }, "inputData"],
    ["PUT", "/v1/runs/run/stages/s", { create: STAGE, update: { metrics: "#" } }, "update.metrics"],
    ["PATCH", "/v1/runs/run/stages/s", { suspendedState: { x: "#" } }, "suspendedState.x"],
    ["PUT", "/v1/runs/run/artifacts/k", { type: "ARTIFACT", data: "#", size: 1 }, "data"],
    ["PUT", "/v1/runs/run/stages/s/output", { workflowType: "w", output: "#" }, "output"],
    [
      "POST",
      "/v1/annotations",
      { annotations: [{ workflowRunId: "run", scope: "run", key: "k", value: "#" }] },
      "annotations[0].value",
    ],
    [
      "POST",
      "/v1/outbox-events",
      { events: [{ workflowRunId: "run", payload: { "a b": "#" } }] },
      'events[0].payload["a b"]',
    ],
    ["POST", "/v1/logs", { level: "INFO", message: "", metadata: "#" }, "metadata"],
    ["POST", "/v1/jobs", { jobs: [{ payload: { x: "#" } }] }, "jobs[0].payload.x"],
    ["POST", "/v1/ai-calls", { ...AI_CALL, cost: "#" }, "cost"],
    ["PUT", "/v1/ai-batches/b", { results: [{ metadata: "#" }] }, "results[0].metadata"],
    [
      "POST",
      "/v1/idempotency-keys/complete",
      { key: "k", commandType: "c", result: "#" },
      "result",
    ],
    ["POST", "/v1/queries", { queries: [{ q: "pendingRuns", limit: "#" }] }, "queries[0].limit"],
    ["POST", "/v1/commits", { ...commitOf("1"), reads: ["#"] }, "reads[0]"],
    ["POST", "/v1/settlements", { ...commitOf("1"), guards: ["#"] }, "guards[0]"],
  ];

  it.each(BODIES)(
    "is refused in the body of %s %s, by its path: %j",
    async (method, path, body, field) => {
      const before = await everything();
      for (const number of ["1e400", "-1e400", "9007199254740993", "1e-400"]) {
        const text = JSON.stringify(body).replace('"#"', number);
        expect(await refusal(await sendText(method, path, text))).toEqual({ status: 422, field });
      }
      expect(await everything()).toBe(before);
    },
  );

  it("is refused in the JSON text of a commit's column, by its path", async () => {
    for (const number of ["1e400", "9007199254740993"]) {
      const response = await call("POST", "/v1/commits", commitOf(`{"limit":[${number}]}`));
      expect(await refusal(response)).toEqual({ status: 422, field: "input.limit[0]" });
    }
    expect((await call("POST", "/v1/commits", commitOf('{"limit":1e300}'))).status).toBe(200);
  });

  it("is refused as the value of an annotation that is looked for", async () => {
    for (const value of ["1e400", '{"a":9007199254740993}']) {
      const query = new URLSearchParams({ annotationKey: "k", annotationValue: value });
      const { status, field } = await refusal(await call("GET", `/v1/runs?${query.toString()}`));
      expect([status, String(field).split(".")[0]]).toEqual([422, "annotationValue"]);
    }
  });
});

describe("a row", () => {
  const ODD = [
    "...",
    " ",
    "a ",
    "a/b",
    "%2e%2e",
    "exists",
    "output",
    "jobs",
    "events",
    "next",
    "\u0001",
    "é?#",
  ];

  it.each(ODD)("is reached by its Location: %j", async (id) => {
    const created = await call("POST", "/v1/runs", { ...RUN, id });
    const run = created.headers.get("Location") ?? "";
    expect(await (await call("GET", run)).json()).toMatchObject({ id });
    const staged = await call("POST", `${run}/stages`, { stageId: id, ...STAGE });
    const stage = await call("GET", staged.headers.get("Location") ?? "");
    expect(await stage.json()).toMatchObject({ workflowRunId: id, stageId: id });
    const artifact = `${run}/artifacts/${encodeURIComponent(id)}`;
    await call("PUT", artifact, { type: "ARTIFACT", data: id, size: 1 });
    expect(await (await call("GET", artifact)).json()).toEqual({ data: id });
    const batch = `/v1/ai-batches/${encodeURIComponent(id)}`;
    const results = [{ ...AI_CALL, inputTokens: 1, outputTokens: 1, cost: 1 }];
    await call("PUT", batch, { results });
    expect(await (await call("GET", batch)).json()).toEqual({ recorded: true });
  });

  it.each(["stuck", "claim"])(
    "may have the name of a list or an action: the run %s",
    async (id) => {
      await call("POST", "/v1/runs", { ...RUN, id });
      expect(await (await call("GET", `/v1/runs/${id}`)).json()).toMatchObject({ id });
      expect((await call("PATCH", `/v1/runs/${id}`, {})).status).toBe(204);
      expect(await (await call("POST", `/v1/runs/${id}/claim`)).json()).toEqual({ claimed: true });
    },
  );

  it("is not met by the name of anything else: where an id stands, no route has a word", () => {
    const routes = app.routes.filter(
      ({ method, path }) => method !== "ALL" && path.startsWith("/v1/"),
    );
    const clashes = routes.flatMap(({ method, path }) => {
      const parts = path.split("/");
      return routes
        .filter((other) => other.method === method && other.path !== path)
        .map((other) => ({ path, other: other.path, others: other.path.split("/") }))
        .filter(({ others }) => others.length === parts.length)
        .filter(({ others }) => {
          const at = parts.findIndex((part, index) => part !== others[index]);
          // Ids that the service makes have a slash in them, and no word has.
          const chosen = [":runId", ":stageId", ":key", ":batchId"].includes(parts[at] ?? "");
          const same = parts.every((part, index) => index === at || part === others[index]);
          return chosen && same;
        })
        .map(({ other }) => `${method} ${path} and ${other}`);
    });
    expect(clashes).toEqual([]);
  });

  it.each([".", ".."])("is not made under a name that no path carries: %s", async (id) => {
    await embed(env).persistence.createRun({ id: "run", ...RUN });
    const before = await everything();
    const event = { workflowRunId: id, eventType: "", payload: 0, causationId: "" };
    const REQUESTS: readonly [path: string, body: unknown][] = [
      ["/v1/runs", { ...RUN, id }],
      ["/v1/runs/run/stages", { ...STAGE, stageId: id }],
      ["/v1/jobs", { jobs: [{ workflowRunId: id, workflowId: "w", stageId: "s" }] }],
      ["/v1/jobs", { jobs: [{ workflowRunId: "run", workflowId: "w", stageId: id }] }],
      ["/v1/outbox-events", { events: [{ ...event, occurredAt: "2026-01-01T00:00:00Z" }] }],
      ["/v1/logs", { workflowRunId: id, level: "INFO", message: "" }],
      ["/v1/annotations", { annotations: [{ workflowRunId: id, scope: "", key: "", value: 0 }] }],
    ];
    for (const [path, body] of REQUESTS) {
      expect([path, (await call("POST", path, body)).status]).toEqual([path, 422]);
    }
    const commit = commitOf("1");
    const [change] = commit.changes;
    const changes = [{ ...change, row: { ...change?.row, id } }];
    expect((await call("POST", "/v1/commits", { ...commit, changes })).status).toBe(422);
    expect(await everything()).toBe(before);
  });
});

describe("parameters of a query", async () => {
  const all = operations(await theDocument());
  const path = (template: string) => template.replace(/\{\w+\}/g, "run");
  const lists = all.flatMap((operation) =>
    operation.parameters
      .filter((parameter) => parameter.in === "query")
      .map((parameter) => ({ ...operation, parameter })),
  );
  /** Of those that must be there, some that are right. */
  const needed = (operation: (typeof all)[number], but: string) =>
    operation.parameters
      .filter(({ in: place, name, required }) => place === "query" && required && name !== but)
      .map(({ name }) => `${name}=2026-01-01T00:00:00Z&`)
      .join("");

  it("are looked at in every operation", () => {
    expect(lists.length).toBeGreaterThan(60);
    expect(
      lists.filter(({ parameter }) => parameter.schema["type"] === "integer").length,
    ).toBeGreaterThan(10);
  });

  it("that are whole numbers are their decimal digits and nothing else", async () => {
    const numbers = lists.filter(({ parameter }) => parameter.schema["type"] === "integer");
    for (const operation of numbers) {
      const { name } = operation.parameter;
      const url = `${path(operation.path)}?${needed(operation, name)}${name}=`;
      for (const text of [
        "",
        "%20",
        "%201",
        "1%20",
        "1%0A",
        "+1",
        "%2B1",
        "01",
        "00",
        "-0",
        "0x1",
        "1e2",
        "1.0",
        "1_0",
        "1n",
        "NaN",
        "Infinity",
        "true",
        "null",
        "%D9%A1",
        "9007199254740993",
        "1,2",
      ]) {
        const answer = await refusal(await call("GET", url + text));
        expect({ url: url + text, ...answer }).toEqual({
          url: url + text,
          status: 422,
          field: name,
        });
      }
      const response = await call("GET", `${url}1`);
      expect([`${url}1`, response.status]).toEqual([`${url}1`, 200]);
    }
  });

  it("that are one of some words are one of these", async () => {
    const words = lists.filter(({ parameter }) => parameter.schema["enum"] !== undefined);
    expect(words.length).toBeGreaterThan(5);
    for (const operation of words) {
      const { name, schema } = operation.parameter;
      const [word = ""] = schema["enum"] as string[];
      for (const text of [
        "",
        word.toUpperCase() === word ? word.toLowerCase() : word.toUpperCase(),
        `${word}%20`,
        `%20${word}`,
      ]) {
        const url = `${path(operation.path)}?${needed(operation, name)}${name}=${text}`;
        expect({ url, ...(await refusal(await call("GET", url))) }).toEqual({
          url,
          status: 422,
          field: name,
        });
      }
    }
  });

  it("that are instants follow the one rule", async () => {
    const instants = lists.filter(({ parameter }) => parameter.schema["format"] === "date-time");
    expect(instants.length).toBeGreaterThan(5);
    for (const operation of instants) {
      const { name } = operation.parameter;
      for (const text of [
        "",
        "2026-07-01",
        "2026-07-01T12:00:00",
        "2026-02-30T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "1782864000000",
      ]) {
        const url = `${path(operation.path)}?${needed(operation, name)}${name}=${text}`;
        expect({ url, ...(await refusal(await call("GET", url))) }).toEqual({
          url,
          status: 422,
          field: name,
        });
      }
    }
  });

  it("are given once", async () => {
    for (const operation of lists) {
      const { name } = operation.parameter;
      const url = `${path(operation.path)}?${needed(operation, name)}${name}=1&${name}=1`;
      const response = await call("GET", url);
      expect(await response.clone().text()).toContain("is given more than once");
      expect({ url, ...(await refusal(response)) }).toEqual({ url, status: 422, field: name });
    }
  });

  it("that there are not are refused by every operation", async () => {
    for (const operation of all) {
      const url = `${path(operation.path)}?${needed(operation, "")}surprise=1`;
      const response = await call(operation.method, url, operation.body?.example);
      const answer = { url, method: operation.method, ...(await refusal(response)) };
      expect(answer).toEqual({ url, method: operation.method, status: 422, field: "surprise" });
    }
  });

  it.each(["id, status", "id,", ",id", "", "ID", "id;status"])(
    "that are fields are their names, separated by commas: not %j",
    async (fields) => {
      const answer = await call("GET", `/v1/runs?${new URLSearchParams({ fields }).toString()}`);
      expect(await refusal(answer)).toEqual({ status: 422, field: "fields" });
    },
  );

  it.each(["01", "+1", "-1", "1.0", "1 ", "0x1", "x"])(
    "and the header Last-Event-ID are sequences: not %j",
    async (id) => {
      const query = `/v1/runs/run/events?after=${encodeURIComponent(id)}`;
      expect(await refusal(await call("GET", query))).toEqual({ status: 422, field: "after" });
      if (id.trim() !== id) return;
      const header = await call("GET", "/v1/runs/run/events", undefined, { "Last-Event-ID": id });
      expect(await refusal(header)).toEqual({ status: 422, field: "Last-Event-ID" });
    },
  );
});

describe("null in an update", () => {
  const INSTANT = "2026-01-01T00:00:00.000Z";
  const times = { startedAt: INSTANT, completedAt: INSTANT, duration: 1 };
  const stageUpdate = {
    ...times,
    outputData: 1,
    config: 1,
    suspendedState: 1,
    resumeData: 1,
    nextPollAt: INSTANT,
    pollInterval: 1,
    maxWaitUntil: INSTANT,
    metrics: 1,
    embeddingInfo: 1,
    errorMessage: "no",
  };
  const none = (update: object) =>
    Object.fromEntries(Object.keys(update).map((name) => [name, null]));

  it("clears every value that a run or a stage may lack", async () => {
    const run = "/v1/runs/run";
    const stage = `${run}/stages/s`;
    await call("POST", "/v1/runs", { ...RUN, id: "run" });
    await call("POST", `${run}/stages`, { stageId: "s", ...STAGE });
    const runUpdate = { ...times, output: 1 };
    for (const update of [runUpdate, none(runUpdate)]) {
      expect((await call("PATCH", run, update)).status).toBe(204);
      expect(await (await call("GET", run)).json()).toMatchObject(update);
    }
    const stored = await (await call("GET", stage)).json<{ id: string }>();
    const byId = `/v1/stages/${encodeURIComponent(stored.id)}`;
    for (const path of [stage, byId]) {
      for (const update of [stageUpdate, none(stageUpdate)]) {
        expect((await call("PATCH", path, update)).status).toBe(204);
        expect(await (await call("GET", stage)).json()).toMatchObject(update);
      }
    }
    for (const update of [stageUpdate, none(stageUpdate)]) {
      const upserted = await call("PUT", stage, { create: STAGE, update });
      expect([upserted.status, await upserted.json()]).toMatchObject([200, update]);
    }
  });

  it("takes an artifact from its stage, and is no payload of a job", async () => {
    await call("POST", "/v1/runs", { ...RUN, id: "run" });
    const created = await call("POST", "/v1/runs/run/stages", { stageId: "s", ...STAGE });
    const { id } = await created.json<{ id: string }>();
    const artifact = { type: "ARTIFACT", data: 1, size: 1 };
    for (const workflowStageId of [id, null]) {
      await call("PUT", "/v1/runs/run/artifacts/k", { ...artifact, workflowStageId });
      const listed = await call("GET", "/v1/runs/run/artifacts");
      expect(await listed.json()).toMatchObject({ items: [{ workflowStageId }] });
    }
    const job = { workflowRunId: "run", workflowId: "w", stageId: "s", payload: null };
    expect((await call("POST", "/v1/jobs", { jobs: [job] })).status).toBe(201);
    const jobs = await call("GET", "/v1/runs/run/jobs");
    expect(await jobs.json()).toMatchObject({ items: [{ payload: {} }] });
  });
});
