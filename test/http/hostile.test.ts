/** Paths, ids, prefixes and headers that are meant to do harm. */
import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, NAME_OF_ADMIN } from "./support.ts";
import { accessLog, ask, bearer, codeOf, post, printed, watch } from "./watched.ts";

watch();
beforeEach(async () => {
  await emptyDatabase();
});

const RUN = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };

describe("an id in a path", () => {
  it.each([
    "../../etc/passwd",
    "...",
    "stuck",
    "claim",
    "stages",
    " a ",
    "a/b",
    "a\\b",
    "%",
    "%2e%2e%2f",
    "%2e%2e",
    "%ff",
    "%00",
    "' OR 1=1 --",
    `"; DROP TABLE runs; --`,
    "a\r\nSet-Cookie: x=1",
    "\u2028{}",
    "\u{1f600}",
    "a?b#c",
    ":runId",
    "*",
    "__proto__",
    "x".repeat(512),
  ])("may be any text, and is only an id (%#)", async (id) => {
    const path = `/v1/runs/${encodeURIComponent(id)}`;
    expect(await codeOf(await ask("GET", path))).toEqual([404, "NOT_FOUND"]);
    const created = await post("/v1/runs", JSON.stringify({ ...RUN, id }));
    expect(created.status).toBe(201);
    expect(created.headers.get("Location")).toBe(path);
    expect(created.headers.get("Set-Cookie")).toBeNull();
    expect(created.headers.get("ETag")).toBe('"v1"');
    expect(await (await ask("GET", path)).json()).toMatchObject({ id });
  });

  it.each(["", ".", ".."])("is none that no path carries: %j", async (id) => {
    const created = await post("/v1/runs", JSON.stringify({ ...RUN, id }));
    expect(await codeOf(created)).toEqual([422, "INVALID_ARGUMENT"]);
  });

  it.each([
    "%00",
    "a%00b",
    "x".repeat(513),
    "x".repeat(10_000),
    encodeURIComponent("\u{1f600}".repeat(129)),
  ])("that cannot be one is refused (%#)", async (id) => {
    expect(await codeOf(await ask("GET", `/v1/runs/${id}`))).toEqual([422, "INVALID_ARGUMENT"]);
  });

  it.each(["%", "%zz", "%ff", "%c3%28", "%ed%a0%80"])(
    "that is badly encoded is not another spelling of one: %s",
    async (id) => {
      await embed(env).persistence.createRun({ id, ...RUN });
      for (const path of [`/v1/runs/${id}`, `/v1/runs?workflowId=${id}`, `/v1/${id}`]) {
        expect(await codeOf(await ask("GET", path))).toEqual([422, "INVALID_ARGUMENT"]);
      }
    },
  );
});

describe("a way around", () => {
  const PATHS = [
    "/v1/../v1/time",
    "/v1/%2e%2e/v1/time",
    "/healthz/../v1/time",
    "/healthz/..%2fv1/time",
    "/healthz%2f..%2fv1/time",
    "//v1/time",
    "/v1//time",
    "/./v1/time",
    "/%76%31/time",
    "/V1/time",
    "/v1/time/",
    "/v1/time%00",
    "/v1/time%20",
    "/v1/time;x=1",
    "/v1%2ftime",
    "/v1\\time",
    "/v1/runs/..%2ftime",
  ];

  it.each(PATHS)("%s gets nobody past the token", async (path) => {
    const response = await ask("GET", path, {});
    expect([401, 404]).toContain(response.status);
    expect(await response.text()).not.toContain('"now"');
  });

  it.each(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])(
    "with the method %s is none",
    async (method) => {
      expect((await ask(method, "/v1/runs/x", {})).status).toBe(401);
      const override = { ...bearer(ADMIN), "X-HTTP-Method-Override": "DELETE" };
      const reads = method === "GET" || method === "HEAD";
      expect((await ask(method, "/v1/time", override)).status).toBe(reads ? 200 : 405);
      expect((await ask(method, "/v1/time?_method=DELETE")).status).toBe(reads ? 422 : 405);
    },
  );

  it("by HEAD answers what GET does, without a body; by OPTIONS nothing unless CORS is on", async () => {
    const head = await ask("HEAD", "/v1/time");
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const options = await ask("OPTIONS", "/v1/time");
    expect(await codeOf(options)).toEqual([405, "METHOD_NOT_ALLOWED"]);
    expect(options.headers.get("Allow")).toBe("GET");
  });

  it("by headers of proxies is none", async () => {
    const headers = {
      "X-Forwarded-Host": "evil.example",
      "X-Original-URL": "/v1/time",
      "X-Rewrite-URL": "/v1/time",
      "X-Forwarded-For": "127.0.0.1",
      "X-Request-Id": "chosen",
      "Cf-Access-Authenticated-User-Email": "root@example.com",
    };
    const response = await ask("GET", "/v1/time", headers);
    expect(response.status).toBe(401);
    expect(response.headers.get("X-Request-Id")).toMatch(/^[0-9a-z]{18}$/);
    expect(JSON.stringify([...response.headers])).not.toMatch(/evil|chosen/);
  });
});

describe("the access log", () => {
  it.each([
    '/v1/x%0a{"event":"wfe-http","status":200}',
    "/v1/x%0d%0aINFO forged",
    "/v1/x%1b[2J",
    "/v1/x%7f%c2%85%c2%9b",
    "/v1/x%e2%80%a8forged%e2%80%a9",
    "/v1/%e2%80%aeforged",
    '/v1/x","caller":"root',
    `/v1/${"x".repeat(8_000)}`,
  ])("has one line for any path (%#)", async (path) => {
    const response = await ask("GET", path);
    expect(response.status).toBe(404);
    const lines = accessLog();
    expect(lines).toMatchObject([{ event: "wfe-http", status: 404, caller: NAME_OF_ADMIN }]);
    expect(lines[0]?.["requestId"]).toBe(response.headers.get("X-Request-Id"));
    expect(printed.join("\n").length).toBeLessThan(1_500);
  });

  it("names the caller, or nobody, and neither query nor headers", async () => {
    await ask("GET", "/v1/ai-stats?topicPrefix=private");
    await ask("GET", "/v1/time", { ...bearer("secret-wrong"), "User-Agent": "private" });
    expect(accessLog()).toMatchObject([
      { path: "/v1/ai-stats", caller: NAME_OF_ADMIN, status: 200 },
      { path: "/v1/time", caller: null, status: 401 },
    ]);
    expect(printed.join("\n")).not.toContain("private");
  });
});

describe("what is a wildcard in SQL", () => {
  const NAMES = ["a%b", "a_b", "axb", "a'b", 'a"b', "a\\b", "a*b", "a?b", "a[x]b", "A%b"];

  it.each(NAMES)("is a letter in the prefix of annotations' keys: %s", async (name) => {
    await embed(env).persistence.createRun({ id: "run", ...RUN });
    await embed(env).persistence.appendAnnotations(
      NAMES.map((key) => ({
        workflowRunId: "run",
        scope: "run" as const,
        key: `${key}.1`,
        value: 0,
      })),
    );
    const query = `keyPrefix=${encodeURIComponent(name)}`;
    const listed = await ask("GET", `/v1/runs/run/annotations?${query}`);
    expect(await listed.json()).toMatchObject({ items: [{ key: `${name}.1` }] });
  });

  it.each(NAMES)("is a letter in the prefix of topics: %s", async (name) => {
    const call = {
      callType: "c",
      modelKey: "m",
      modelId: "m",
      prompt: "",
      response: "",
      inputTokens: 1,
      outputTokens: 1,
      cost: 1,
    };
    const calls = NAMES.map((topic) => ({ ...call, topic: `${topic}.1` }));
    await embed(env).aiCalls.logBatchResults("b", calls);
    const stats = await ask("GET", `/v1/ai-stats?topicPrefix=${encodeURIComponent(name)}`);
    expect(await stats.json()).toMatchObject({ totalCalls: 1 });
  });

  it.each(["%", "_", "'", '"', "%' --"])("finds no run by the id %s but its own", async (id) => {
    await embed(env).persistence.createRun({ id: "other", ...RUN });
    const path = `/v1/runs/${encodeURIComponent(id)}`;
    expect((await ask("GET", path)).status).toBe(404);
    expect(await (await ask("GET", `${path}/stages`)).json()).toEqual({
      items: [],
      nextCursor: null,
    });
    expect(await (await ask("GET", `${path}/logs`)).json()).toMatchObject({ items: [] });
  });
});
