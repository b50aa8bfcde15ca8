import { beforeEach, describe, expect, it, vi } from "vitest";
import { openApiDocument } from "../../src/http/app.ts";
import { MIGRATION } from "../../src/http/readiness.ts";
import { SCOPES, type Scope } from "../../src/changes/scope.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, NAME_OF_ADMIN, secretOf, URL_OF_SERVICE } from "./support.ts";
import { ask, bearer, codeOf, printed, send, watch } from "./watched.ts";

watch();
beforeEach(async () => {
  await emptyDatabase();
});

const get = (path: string, headers: Record<string, string> = {}) =>
  new Request(URL_OF_SERVICE + path, { headers });

const HASH_OF_ADMIN = JSON.parse(await secretOf({ token: ADMIN, scopes: ["read"] }))[0]
  .sha256 as string;

describe("a caller without a token", () => {
  it("is turned away, and told how to ask", async () => {
    const response = await send(get("/v1/time"));
    expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
    expect(await codeOf(response)).toEqual([401, "UNAUTHENTICATED"]);
  });

  it.each([
    ["a wrong one", bearer("secret-wrong")],
    ["another scheme", { Authorization: `Basic ${ADMIN}` }],
    ["an empty one", { Authorization: "Bearer " }],
    ["one of a kilobyte", bearer(`secret-${"x".repeat(1_024)}`)],
    ["the hash instead of it", bearer(HASH_OF_ADMIN)],
    ["one in lower case that is right but for that", bearer(ADMIN.toUpperCase())],
    ["one that begins right", bearer(ADMIN.slice(0, -1))],
    ["one that goes on", bearer(`${ADMIN}x`)],
    ["two", bearer(`${ADMIN} ${ADMIN}`)],
    ["one in the query", {}],
  ])("or %s is turned away", async (_what, headers) => {
    const response = await send(get(`/v1/time?token=${ADMIN}&access_token=${ADMIN}`, headers));
    expect(await codeOf(response)).toEqual([401, "UNAUTHENTICATED"]);
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

/** What a worker may note: these need write or work. The bodies of commits are looked at more closely. */
const NOTES = ["appendAnnotations", "commit", "createLog", "logBatchResults", "logCall", "settle"];

/** What needs which scope; a token with that scope, or with one that includes it, may do it. */
const NEEDS: Readonly<Record<Scope, readonly string[]>> = {
  read: [
    "audit",
    "getJobsByWorkflowRun",
    "getRun",
    "getRunStatus",
    "getStage",
    "getStageById",
    "getStageIdForArtifact",
    "getStagesByRun",
    "getStats",
    "getStuckRuns",
    "getSuspendedJobsReadyToPoll",
    "getSuspendedStages",
    "getUnpublishedOutboxEvents",
    "hasArtifact",
    "isRecorded",
    "jobStats",
    "listAnnotations",
    "listArtifacts",
    "listLogs",
    "listLogsOfNoRun",
    "listOutboxBacklog",
    "listOutboxEvents",
    "listRuns",
    "loadArtifact",
    "query",
    "time",
    "watchRun",
  ],
  write: [
    ...NOTES,
    "acquireIdempotencyKey",
    "appendOutboxEvents",
    "cancelByRun",
    "completeIdempotencyKey",
    "createRun",
    "createStage",
    "deleteArtifact",
    "deleteStage",
    "enqueue",
    "incrementOutboxRetryCount",
    "markOutboxEventsPublished",
    "moveOutboxEventToDLQ",
    "releaseIdempotencyKey",
    "replayDLQEvents",
    "saveArtifact",
    "saveStageOutput",
    "updateRun",
    "updateStage",
    "updateStageByRunAndStageId",
    "upsertStage",
  ],
  work: [
    ...NOTES,
    "claimNextPendingRun",
    "claimPendingRun",
    "complete",
    "completeMany",
    "dequeue",
    "fail",
    "suspend",
    "touchJob",
  ],
  admin: ["releaseStaleJobs"],
};
const INCLUDED: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ["read"],
  write: ["read", "write"],
  work: ["work"],
  admin: ["read", "write", "work", "admin"],
};

function operations() {
  return Object.entries(openApiDocument().paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { operationId: string; security: unknown }>).map(
      ([method, { operationId, security }]) => ({
        method: method.toUpperCase(),
        path: path.replaceAll(/\{\w+\}/g, "x"),
        operationId,
        security,
      }),
    ),
  );
}

describe("a token", () => {
  it("works beside others while one replaces another, until the old one is taken away", async () => {
    const old = { token: "secret-old", scopes: ["read"], name: "ci" } as const;
    const next = { token: "secret-new", scopes: ["read"], name: "ci" } as const;
    const statuses = async (API_TOKENS: string) => {
      const answers = ["secret-old", "secret-new"].map((token) =>
        ask("GET", "/v1/time", bearer(token), { API_TOKENS }),
      );
      return (await Promise.all(answers)).map(({ status }) => status);
    };
    expect(await statuses(await secretOf(old))).toEqual([200, 401]);
    expect(await statuses(await secretOf(old, next))).toEqual([200, 200]);
    const past = { ...old, expires: "2020-01-01T00:00:00Z" };
    expect(await statuses(await secretOf(past, next))).toEqual([401, 200]);
    expect(await statuses(await secretOf(next))).toEqual([401, 200]);
  });

  it("ends at the instant at which it expires", async () => {
    const expires = "2026-11-25T12:00:00Z";
    const API_TOKENS = await secretOf({ token: "secret-short", scopes: ["read"], expires });
    const at = async (now: number) => {
      vi.spyOn(Date, "now").mockReturnValue(now);
      return ask("GET", "/v1/time", bearer("secret-short"), { API_TOKENS });
    };
    expect((await at(Date.parse(expires))).status).toBe(200);
    expect(await codeOf(await at(Date.parse(expires) + 1))).toEqual([401, "UNAUTHENTICATED"]);
  });

  it("may expire at an instant of any zone, and at nothing else", async () => {
    const answer = async (expires: string) => {
      const token = { token: "secret-zoned", scopes: ["read"] as const, expires };
      const overrides = { API_TOKENS: await secretOf(token) };
      return ask("GET", "/v1/time", bearer("secret-zoned"), overrides);
    };
    const later = new Date(Date.now() + 3 * 3_600_000).toISOString().slice(0, -1);
    expect((await answer(`${later}+02:00`)).status).toBe(200);
    expect(await codeOf(await answer(`${later}+04:00`))).toEqual([401, "UNAUTHENTICATED"]);
    for (const wrong of ["2099-02-30T00:00:00Z", "2099-01-01", "2099-01-01T00:00Z", later, ""]) {
      const refused = await answer(wrong);
      expect(await refused.clone().text()).toMatch(/API_TOKENS\.0\.expires: must be an instant/);
      expect(await codeOf(refused)).toEqual([503, "NOT_CONFIGURED"]);
    }
  });

  it("is compared with every known token by timingSafeEqual, whichever it is", async () => {
    const tokens = ["secret-1", "secret-2", "secret-3"];
    const API_TOKENS = await secretOf(
      ...tokens.map((token) => ({ token, scopes: ["read"] as const })),
    );
    const compare = vi.spyOn(crypto.subtle, "timingSafeEqual");
    const comparisons = async (token: string) => {
      compare.mockClear();
      await ask("GET", "/v1/time", bearer(token), { API_TOKENS });
      return compare.mock.calls.length;
    };
    // By their hashes, after all that were seen before.
    for (const token of tokens) expect(await comparisons(token)).toBe(6);
    for (const token of tokens) expect(await comparisons(token)).toBe(3);
    for (const token of ["secret-4", "secret-44"]) expect(await comparisons(token)).toBe(6);
  });

  it.each(SCOPES)(
    "with the scope %s may do what that scope is for, and nothing else",
    async (scope) => {
      const API_TOKENS = await secretOf({ token: "secret-scoped", scopes: [scope] });
      const may = new Set(INCLUDED[scope].flatMap((included) => NEEDS[included]));
      const done: string[] = [];
      for (const { method, path, operationId } of operations()) {
        const response = await ask(method, path, bearer("secret-scoped"), { API_TOKENS });
        expect(response.status, operationId).not.toBe(401);
        if (response.status === 403) {
          expect(await codeOf(response)).toEqual([403, "FORBIDDEN"]);
        } else done.push(operationId);
      }
      expect(done.toSorted()).toEqual([...may].toSorted());
    },
  );

  it("is needed for every operation, and the document names the scope", async () => {
    for (const { method, path, operationId, security } of operations()) {
      const response = await ask(method, path, {});
      expect(await codeOf(response), operationId).toEqual([401, "UNAUTHENTICATED"]);
      const scopes = SCOPES.filter((each) => NEEDS[each].includes(operationId));
      expect(security, operationId).toEqual(
        scopes.flatMap((scope) => [{ bearer: [scope] }, { access: [scope] }]),
      );
    }
  });

  it("that may write may not hide work in a commit", async () => {
    const API_TOKENS = await secretOf({ token: "secret-writer", scopes: ["write"] });
    const commit = {
      id: "0mwwqfjeva1b2c3d4e",
      guards: [],
      changes: [{ kind: "claimJobs", workerId: null, limit: 1, at: 1 }],
      reads: [],
    };
    const response = await send(
      new Request(`${URL_OF_SERVICE}/v1/commits`, {
        method: "POST",
        headers: { ...bearer("secret-writer"), "Content-Type": "application/json" },
        body: JSON.stringify(commit),
      }),
      { API_TOKENS },
    );
    expect(await codeOf(response)).toEqual([403, "FORBIDDEN"]);
  });
});

function expectProtected({ headers }: Response): void {
  expect(headers.get("X-Request-Id")).toMatch(/^[0-9a-z]{18}$/);
  expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
  expect(headers.get("X-Frame-Options")).toBe("SAMEORIGIN");
  expect(headers.get("Referrer-Policy")).toBe("no-referrer");
  expect(headers.get("Strict-Transport-Security")).toContain("max-age=");
  expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
  expect(headers.get("X-Powered-By")).toBeNull();
}

describe("an answer", () => {
  it.each<[string, string, Record<string, string>, number]>([
    ["GET", "/healthz", {}, 200],
    ["GET", "/openapi.json", {}, 200],
    ["GET", "/docs", {}, 200],
    ["GET", "/nothing", {}, 404],
    ["GET", "/v1/time", bearer(ADMIN), 200],
    ["GET", "/v1/time", {}, 401],
    ["GET", "/v1/nothing", bearer(ADMIN), 404],
    ["DELETE", "/v1/time", bearer(ADMIN), 405],
    ["POST", "/v1/jobs", bearer(ADMIN), 422],
    ["PATCH", "/v1/runs/x", { ...bearer(ADMIN), "If-Match": "x" }, 422],
  ])("to %s %s (%o) names the request and protects browsers: %i", async (...request) => {
    const [method, path, headers, status] = request;
    const response = await ask(method, path, headers);
    expect(response.status).toBe(status);
    expectProtected(response);
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
    expectProtected(response);
    // The log does, for the operator.
    expect(printed.join("\n")).toContain("secret: tables are broken");
  });

  it("says 404 for what there is not, and names the path", async () => {
    const response = await ask("GET", "/v1/nothing");
    expect(await codeOf(response)).toEqual([404, "NO_SUCH_ROUTE"]);
  });

  it("says 405 for a method that is not for it, and which are", async () => {
    const response = await ask("DELETE", "/v1/runs/x");
    expect(response.headers.get("Allow")).toBe("GET, PATCH");
    expect(await codeOf(response)).toEqual([405, "METHOD_NOT_ALLOWED"]);
  });

  it.each<[string | undefined, string, string | null]>([
    ["https://app.example", "https://app.example", "https://app.example"],
    ["https://a.example, https://app.example", "https://app.example", "https://app.example"],
    ["https://app.example", "https://evil.example", null],
    ["https://app.example", "https://app.example.evil.example", null],
    ["https://app.example", "http://app.example", null],
    ["https://app.example", "null", null],
    ["capacitor://localhost", "capacitor://localhost", "capacitor://localhost"],
    ["", "https://app.example", null],
    [undefined, "https://app.example", null],
  ])(
    "with CORS_ORIGINS %j lets a browser of %s read it as %s",
    async (configured, Origin, allowed) => {
      const overrides = configured === undefined ? {} : { CORS_ORIGINS: configured };
      const preflight = { Origin, "Access-Control-Request-Method": "POST" };
      const asked = await ask("OPTIONS", "/v1/runs", preflight, overrides);
      const answered = await ask("GET", "/v1/time", { ...bearer(ADMIN), Origin }, overrides);
      const refused = await ask("GET", "/v1/time", { Origin }, overrides);
      for (const { headers } of [asked, answered, refused]) {
        expect(headers.get("Access-Control-Allow-Origin")).toBe(allowed);
        expect(headers.get("Access-Control-Allow-Credentials")).toBeNull();
      }
      expect([answered.status, refused.status]).toEqual([200, 401]);
    },
  );

  it.each([
    "*",
    "null",
    "app.example",
    "https://app.example/",
    "https://App.example",
    "https://app.example:443",
    "https://*.example",
    "https://app.example,",
    "https://a.example https://b.example",
    ["https://app.example", 5],
  ])("is closed by a CORS_ORIGINS of %j, which lets no page in: it says so", async (list) => {
    const overrides = { CORS_ORIGINS: list } as object;
    const response = await ask("GET", "/v1/time", bearer(ADMIN), overrides);
    expect(await response.clone().text()).toMatch(/CORS_ORIGINS has .* as in https:/);
    expect(await codeOf(response)).toEqual([503, "NOT_CONFIGURED"]);
  });

  it("lets a browser read every header that the document tells of", async () => {
    const document = await (
      await send(get("/openapi.json"))
    ).json<{ components: { headers: Record<string, unknown> } }>();
    const overrides = { CORS_ORIGINS: "https://app.example" };
    const { headers } = await ask("GET", "/v1/time", bearer(ADMIN), overrides);
    expect(headers.get("Access-Control-Expose-Headers")?.split(",").toSorted()).toEqual(
      Object.keys(document.components.headers).toSorted(),
    );
  });

  it("is 429 for a token that asks too often", async () => {
    const keys: string[] = [];
    const RATE_LIMITER = {
      limit: async ({ key }: { key: string }) => (keys.push(key), { success: false }),
    };
    const response = await send(get("/v1/time", bearer(ADMIN)), { RATE_LIMITER });
    expect(response.headers.get("Retry-After")).toBe("10");
    expect(await codeOf(response)).toEqual([429, "RATE_LIMITED"]);
    expect(keys).toEqual([NAME_OF_ADMIN]);
  });
});

describe("the service", () => {
  it("is alive without a token, and ready when its tables are there", async () => {
    expect((await send(get("/healthz"))).status).toBe(200);
    expect(await (await send(get("/readyz"))).json()).toMatchObject({ ready: true });
    const newest = env.TEST_MIGRATIONS.at(-1)?.name;
    expect(newest).toBe(MIGRATION);
  });

  it.each([
    ["LEASE_MS", "x"],
    ["IDEMPOTENCY_KEYS_DAYS", ""],
  ])("is not ready with a %s of %j: it names it, to callers too", async (name, value) => {
    const ready = await send(get("/readyz"), { [name]: value });
    const told = `The setting ${name} is ${JSON.stringify(value)}: it must be`;
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      checks: { settings: expect.stringContaining(told), database: "ok" },
    });
    const called = await send(get("/v1/time", bearer(ADMIN)), { [name]: value });
    expect(await called.clone().json()).toMatchObject({ detail: expect.stringContaining(told) });
    expect(await codeOf(called)).toEqual([503, "NOT_CONFIGURED"]);
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
