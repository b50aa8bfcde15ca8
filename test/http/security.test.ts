import { describe, expect, it } from "vitest";
import { MIGRATION } from "../../src/http/readiness.ts";
import { env } from "../support/env.ts";
import { ADMIN, call, secretOf, send, URL_OF_SERVICE } from "./support.ts";

const get = (path: string, headers: Record<string, string> = {}) =>
  new Request(URL_OF_SERVICE + path, { headers });
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

async function codeOf(response: Response): Promise<[number, unknown]> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  const problem = await response.json<{ code: string; status: number }>();
  expect(problem.status).toBe(response.status);
  return [response.status, problem.code];
}

describe("who has no token", () => {
  it("is turned away, and told how to ask", async () => {
    const response = await send(get("/v1/time"));
    expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
    expect(await codeOf(response)).toEqual([401, "UNAUTHENTICATED"]);
  });

  it.each([
    ["a wrong one", bearer("wrong")],
    ["another scheme", { Authorization: `Basic ${ADMIN}` }],
    ["an empty one", { Authorization: "Bearer " }],
    ["one of a kilobyte", bearer("x".repeat(1_024))],
    ["the hash instead of it", bearer("0".repeat(64))],
  ])("or %s is turned away", async (_what, headers) => {
    expect(await codeOf(await send(get("/v1/time", headers)))).toEqual([401, "UNAUTHENTICATED"]);
  });

  it("cannot come in where none is configured, and the operator is told what to do", async () => {
    for (const API_TOKENS of ["", "not json", "[]", '[{"name":"x"}]']) {
      const response = await send(get("/v1/time", bearer(ADMIN)), { API_TOKENS });
      const text = await response.clone().text();
      expect(await codeOf(response)).toEqual([503, "NOT_CONFIGURED"]);
      expect(text).toContain("wrangler secret put API_TOKENS");
    }
  });
});

describe("a token", () => {
  it("works beside others, while one replaces another", async () => {
    const API_TOKENS = await secretOf(
      { token: "old", scopes: ["read"] },
      { token: "new", scopes: ["read"] },
    );
    for (const token of ["old", "new"]) {
      expect((await send(get("/v1/time", bearer(token)), { API_TOKENS })).status).toBe(200);
    }
  });

  it("ends when it expires", async () => {
    const API_TOKENS = await secretOf(
      { token: "past", scopes: ["read"], expires: "2020-01-01T00:00:00Z" },
      { token: "future", scopes: ["read"], expires: "2120-01-01T00:00:00Z" },
    );
    const past = await send(get("/v1/time", bearer("past")), { API_TOKENS });
    expect(await codeOf(past)).toEqual([401, "UNAUTHENTICATED"]);
    expect((await send(get("/v1/time", bearer("future")), { API_TOKENS })).status).toBe(200);
  });

  it.each<[string, string, string, boolean]>([
    ["read", "GET", "/v1/runs/stuck?since=2026-01-01T00:00:00Z", true],
    ["read", "POST", "/v1/runs/claim", false],
    ["write", "GET", "/v1/jobs/stats", true],
    ["write", "POST", "/v1/runs/claim", false],
    ["work", "POST", "/v1/runs/claim", true],
    ["work", "GET", "/v1/jobs/stats", false],
    ["work", "POST", "/v1/jobs/release-stale", false],
    ["admin", "POST", "/v1/runs/claim", true],
  ])("with the scope %s may not do more than that: %s %s", async (scope, method, path, may) => {
    const API_TOKENS = await secretOf({ token: "t", scopes: [scope as "read"] });
    const response = await send(
      new Request(URL_OF_SERVICE + path, { method, headers: bearer("t") }),
      { API_TOKENS },
    );
    if (may) expect(response.status).toBe(200);
    else expect(await codeOf(response)).toEqual([403, "FORBIDDEN"]);
  });

  it("that may write may not hide work in a commit", async () => {
    const API_TOKENS = await secretOf({ token: "w", scopes: ["write"] });
    const commit = {
      id: "0mwwqfjeva1b2c3d4e",
      guards: [],
      changes: [{ kind: "claimJobs", workerId: null, limit: 1, at: 1 }],
      reads: [],
    };
    const response = await send(
      new Request(`${URL_OF_SERVICE}/v1/commits`, {
        method: "POST",
        headers: { ...bearer("w"), "Content-Type": "application/json" },
        body: JSON.stringify(commit),
      }),
      { API_TOKENS },
    );
    expect(await codeOf(response)).toEqual([403, "FORBIDDEN"]);
  });
});

describe("a body", () => {
  const raw = async (
    body: BodyInit,
    headers: Record<string, string> = { "Content-Type": "application/json" },
  ) =>
    send(
      new Request(`${URL_OF_SERVICE}/v1/runs`, {
        method: "POST",
        headers: { ...bearer(ADMIN), ...headers },
        body,
      }),
    );

  it.each<[string, BodyInit, Record<string, string> | undefined, number, string]>([
    ["that is no JSON", "{", undefined, 400, "MALFORMED"],
    ["that is not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), undefined, 400, "MALFORMED"],
    ["of another type", "a=1", { "Content-Type": "text/plain" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
    ["of no type", new Uint8Array([0x7b, 0x7d]), {}, 415, "UNSUPPORTED_MEDIA_TYPE"],
    [
      "nested too deep",
      `{"input":${"[".repeat(5_000)}${"]".repeat(5_000)}}`,
      undefined,
      422,
      "INVALID_ARGUMENT",
    ],
    [
      "of five megabytes",
      JSON.stringify({ input: "x".repeat(5_000_000) }),
      undefined,
      413,
      "PAYLOAD_TOO_LARGE",
    ],
    [
      "with a field too many",
      JSON.stringify({
        workflowId: "w",
        workflowName: "",
        workflowType: "",
        input: 1,
        admin: true,
      }),
      undefined,
      422,
      "INVALID_ARGUMENT",
    ],
    ["without a field", "{}", undefined, 422, "INVALID_ARGUMENT"],
    ["that is a list", "[]", undefined, 422, "INVALID_ARGUMENT"],
  ])("%s is refused", async (_what, body, headers, status, code) => {
    expect(await codeOf(await raw(body, headers))).toEqual([status, code]);
  });

  it("that arrives bit by bit is measured all the same", async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    expect(await codeOf(await raw(endless))).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    expect(sent).toBeLessThan(5_000_000);
  });

  it("with keys that pollute prototypes is data like any other", async () => {
    const input = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
    const response = await raw(
      `{"workflowId":"w","workflowName":"","workflowType":"","input":${input}}`,
    );
    expect(response.status).toBe(201);
    expect(await response.text()).toContain(`"input":${input}`);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("an id in a path", () => {
  it.each([
    "../../etc/passwd",
    "a/b",
    "%",
    "' OR 1=1 --",
    "a\r\nSet-Cookie: x=1",
    "\u{1f600}",
    "a?b#c",
  ])("may be %j, and is only an id", async (id) => {
    const path = `/v1/runs/${encodeURIComponent(id)}`;
    expect(await codeOf(await call("GET", path))).toEqual([404, "NOT_FOUND"]);
    const run = { id, workflowId: "w", workflowName: "", workflowType: "", input: 0 };
    const created = await call("POST", "/v1/runs", run);
    expect(created.status).toBe(201);
    expect(created.headers.get("Location")).toBe(path);
    expect(created.headers.get("Set-Cookie")).toBeNull();
    const found = await call("GET", path);
    expect(await found.json()).toMatchObject({ id });
  });

  it("that cannot be one is refused", async () => {
    expect(await codeOf(await call("GET", "/v1/runs/%00"))).toEqual([422, "INVALID_ARGUMENT"]);
    expect(await codeOf(await call("GET", `/v1/runs/${"x".repeat(600)}`))).toEqual([
      422,
      "INVALID_ARGUMENT",
    ]);
  });
});

describe("an answer", () => {
  it("names the request, and carries the headers that protect browsers", async () => {
    const response = await call("GET", "/v1/time");
    expect(response.headers.get("X-Request-Id")).toMatch(/^[0-9a-z]{18}$/);
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(response.headers.get("Access-Control-Allow-Origin")).toBeNull();
  });

  it("tells nothing of what went wrong inside", async () => {
    const broken = {
      prepare: () => {
        throw new Error("secret: tables are broken");
      },
    };
    const response = await send(get("/v1/jobs/stats", bearer(ADMIN)), {
      DB: broken as unknown as D1Database,
    });
    const text = await response.text();
    expect([500, 503]).toContain(response.status);
    expect(text).not.toMatch(/secret|tables|\.ts|node_modules/);
  });

  it("says 404 for what there is not, and names the path", async () => {
    const response = await call("GET", "/v1/nothing");
    expect(await codeOf(response)).toEqual([404, "NO_SUCH_ROUTE"]);
  });

  it("says 405 for a method that is not for it, and which are", async () => {
    const response = await call("DELETE", "/v1/runs/x");
    expect(response.headers.get("Allow")).toBe("GET, PATCH");
    expect(await codeOf(response)).toEqual([405, "METHOD_NOT_ALLOWED"]);
  });

  it("lets browsers of configured origins in, and no others", async () => {
    const preflight = (origin: string) =>
      send(
        new Request(`${URL_OF_SERVICE}/v1/runs`, {
          method: "OPTIONS",
          headers: { Origin: origin, "Access-Control-Request-Method": "POST" },
        }),
        { CORS_ORIGINS: "https://app.example" },
      );
    const allowed = await preflight("https://app.example");
    expect(allowed.headers.get("Access-Control-Allow-Origin")).toBe("https://app.example");
    const other = await preflight("https://evil.example");
    expect(other.headers.get("Access-Control-Allow-Origin")).toBeNull();
  });

  it("is 429 for a token that asks too often", async () => {
    const keys: string[] = [];
    const RATE_LIMITER = {
      limit: async ({ key }: { key: string }) => (keys.push(key), { success: false }),
    };
    const response = await send(get("/v1/time", bearer(ADMIN)), { RATE_LIMITER });
    expect(response.headers.get("Retry-After")).toBe("10");
    expect(await codeOf(response)).toEqual([429, "RATE_LIMITED"]);
    expect(keys).toEqual([ADMIN]);
  });
});

describe("the service", () => {
  it("is alive without a token, and ready when its tables are there", async () => {
    expect((await send(get("/healthz"))).status).toBe(200);
    expect(await (await send(get("/readyz"))).json()).toMatchObject({ ready: true });
    const newest = env.TEST_MIGRATIONS.at(-1)?.name;
    expect(newest).toBe(MIGRATION);
  });

  it("is not ready without its tables", async () => {
    const DB = {
      prepare: () => ({
        bind: () => ({ first: () => Promise.reject(new Error("no such table")) }),
      }),
    };
    const response = await send(get("/readyz"), { DB: DB as unknown as D1Database });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      ready: false,
      checks: { migrations: "unknown" },
    });
  });
});
