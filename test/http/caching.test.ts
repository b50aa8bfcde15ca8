/** What shared caches may keep: nothing but the files of the page. */
import { beforeEach, describe, expect, it } from "vitest";
import type { HttpEnv } from "../../src/http/env.ts";
import { emptyDatabase } from "../support/database.ts";
import { ADMIN, send, URL_OF_SERVICE } from "./support.ts";

beforeEach(() => emptyDatabase());

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const JSON_BODY = { "Content-Type": "application/json" };
const PREFLIGHT = { Origin: "https://page.example", "Access-Control-Request-Method": "GET" };
const CORS = { CORS_ORIGINS: "https://page.example" };
const limiter = (limit: () => Promise<RateLimitOutcome>) => ({ RATE_LIMITER: { limit } });
const FULL = limiter(async () => ({ success: false }));
const BROKEN = limiter(async () => {
  throw new Error("secret");
});

const ANSWERS: readonly [status: number, path: string, asked: Asked, env?: Partial<HttpEnv>][] = [
  [200, "/v1/time", {}],
  [200, "/v1/time", { method: "HEAD" }],
  [200, "/v1/runs/run/events", {}],
  [201, "/v1/jobs", { method: "POST", headers: JSON_BODY, body: '{"jobs":[]}' }],
  [204, "/v1/time", { method: "OPTIONS", headers: PREFLIGHT }, CORS],
  [400, "/v1/queries", { method: "POST", headers: JSON_BODY, body: "{" }],
  [401, "/v1/time", { headers: { Authorization: "" } }],
  [401, "/v1/runs/run/events", { headers: { Authorization: "", Upgrade: "websocket" } }],
  [404, "/v1/nothing", {}],
  [405, "/v1/time", { method: "OPTIONS" }],
  [413, "/v1/queries", { method: "POST", headers: JSON_BODY, body: " ".repeat(1_000_001) }],
  [415, "/v1/queries", { method: "POST", headers: { "Content-Type": "text/plain" }, body: "x" }],
  [422, "/v1/runs/%ff", {}],
  [429, "/v1/time", {}, FULL],
  [500, "/v1/time", {}, BROKEN],
  [503, "/v1/time", {}, { API_TOKENS: "" }],
  [200, "/healthz", {}],
  [405, "/healthz", { method: "POST" }],
  [200, "/readyz", {}],
  [200, "/docs", {}],
  [200, "/openapi.json", {}],
  [302, "/", {}],
  [404, "/docs/nothing.js", {}],
  [404, "/nothing", {}],
];

describe("an answer that is not to be stored", () => {
  it.each(ANSWERS)("is %i of %s to %j", async (status, path, { headers, ...init }, env = {}) => {
    const request = new Request(URL_OF_SERVICE + path, {
      ...init,
      headers: { Authorization: `Bearer ${ADMIN}`, ...headers },
    });
    const answer = await send(request, env);
    expect([answer.status, answer.headers.get("Cache-Control")]).toEqual([status, "no-store"]);
    await answer.body?.cancel();
  });
});
