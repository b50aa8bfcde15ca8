/** What the HTTP client makes of answers: of the service's own door, of what stands in between, and of none. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { connectHttp, type HttpConnectionOptions } from "../../src/client/index.ts";
import type { ErrorCode } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import type { HttpEnv } from "../../src/http/support.ts";
import { ADMIN, secretOf, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };

type Answering = (request: Request, count: number) => Response | null | Promise<Response | null>;

/** A connection whose requests of `path` are answered by `answering`, if it does, and all others by the service. */
function connectVia(
  path: string,
  answering: Answering,
  options: Partial<HttpConnectionOptions> = {},
) {
  const asked: Request[] = [];
  const fetch = async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname !== path) return send(request);
    asked.push(request);
    return (await answering(request, asked.length)) ?? send(request);
  };
  const backend = connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch, ...options });
  return { ...backend, asked };
}

const page = (status: number, headers: Record<string, string> = {}) =>
  new Response("<html><h1>Bad day</h1></html>", {
    status,
    headers: { "Content-Type": "text/html", ...headers },
  });

const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  Response.json(
    { code, detail: "as it is", details: { field: "f" }, status, title: "", type: "" },
    { status, headers: { "Content-Type": "application/problem+json", ...headers } },
  );

/** What the first of these promises that settles came to, and how long that took. */
async function timed<T>(promise: Promise<T>): Promise<{ fault: unknown; ms: number }> {
  const started = Date.now();
  const fault: unknown = await promise.then(() => null).catch((error: unknown) => error);
  return { fault, ms: Date.now() - started };
}

beforeEach(async () => {
  await emptyDatabase();
});

describe("the service's own refusals", () => {
  const connectTo = (overrides: Partial<HttpEnv>, token = ADMIN) => {
    let requests = 0;
    const fetch = async (request: Request) => {
      requests += 1;
      return send(request, overrides);
    };
    return { ...connectHttp({ url: URL_OF_SERVICE, token, fetch }), requests: () => requests };
  };

  it("are UNAUTHENTICATED for a token that it does not know, after one request", async () => {
    const { persistence, requests } = connectTo({}, "wrong");
    await expect(persistence.createRun(RUN)).rejects.toMatchObject({
      name: "ServiceError",
      code: "UNAUTHENTICATED",
      message: "The token is not known",
    });
    expect(requests()).toBe(1);
  });

  it("are FORBIDDEN for a token that lacks the scope, which is named", async () => {
    const API_TOKENS = await secretOf({ token: "reader", scopes: ["read"] });
    const { persistence } = connectTo({ API_TOKENS }, "reader");
    expect(await persistence.getRun("run")).toBeNull();
    await expect(persistence.createRun(RUN)).rejects.toMatchObject({
      code: "FORBIDDEN",
      details: { scope: "write or work" },
    });
  });

  it("are UNAUTHENTICATED, not UNAVAILABLE, where no tokens are configured", async () => {
    const { persistence, requests } = connectTo({ API_TOKENS: "" });
    const { fault, ms } = await timed(persistence.createRun(RUN));
    expect(fault).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(String(fault)).toContain("wrangler secret put API_TOKENS");
    expect(requests()).toBe(1);
    expect(ms).toBeLessThan(1_000);
  });

  it("are repeated when it is asked too often, and OVERLOADED when that goes on", async () => {
    let left = 2;
    const RATE_LIMITER = { limit: async () => ({ success: (left -= 1) < 0 }) };
    // The service asks for ten seconds.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const patient = connectTo({ RATE_LIMITER });
      const run = patient.persistence.createRun(RUN);
      await vi.waitUntil(async () => {
        await vi.advanceTimersByTimeAsync(13_000);
        return left < 0;
      });
      expect(await run).toMatchObject({ id: "run" });
      left = Number.POSITIVE_INFINITY;
      const { persistence, requests } = connectTo({ RATE_LIMITER });
      const turnedAway = persistence.getRun("run").catch((error: unknown) => error);
      await vi.waitUntil(async () => {
        await vi.advanceTimersByTimeAsync(13_000);
        return requests() === 4;
      });
      expect(await turnedAway).toMatchObject({ code: "OVERLOADED" });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a code of the door", () => {
  it.each<[number, string, ErrorCode]>([
    [404, "NO_SUCH_ROUTE", "INVALID_ARGUMENT"],
    [405, "METHOD_NOT_ALLOWED", "INVALID_ARGUMENT"],
    [400, "MALFORMED", "INTERNAL"],
    [415, "UNSUPPORTED_MEDIA_TYPE", "INTERNAL"],
    [409, "IDEMPOTENCY_KEY_IN_USE", "INTERNAL"],
    [503, "NOT_CONFIGURED", "UNAUTHENTICATED"],
    [409, "CONFLICT", "CONFLICT"],
    [413, "PAYLOAD_TOO_LARGE", "PAYLOAD_TOO_LARGE"],
    [500, "INTERNAL", "INTERNAL"],
    // Newer than this client.
    [451, "SOMETHING_NEW", "INVALID_ARGUMENT"],
  ])("%i %s is %s, after one request", async (status, code, expected) => {
    const { persistence, asked } = connectVia("/v1/commits", () => problem(status, code));
    const { fault } = await timed(persistence.createRun(RUN));
    expect(fault).toMatchObject({ name: "ServiceError", code: expected });
    expect(asked).toHaveLength(1);
    expect(await embed(env).persistence.getRun("run")).toBeNull();
  });
});

describe("an answer that is not the service's", () => {
  it.each([{}, { guard: "0" }, { guard: 0 }, { guard: null, actual: null }])(
    "but a guard that failed without saying which (%j) is no refusal of a guard",
    async (details) => {
      const { persistence } = connectVia("/v1/commits", () =>
        Response.json({ code: "GUARD_FAILED", detail: "no", details }, { status: 412 }),
      );
      const { fault } = await timed(persistence.createRun(RUN));
      expect(fault).toMatchObject({ name: "ServiceError", code: "INVALID_ARGUMENT" });
    },
  );

  it.each<[number, ErrorCode]>([
    [401, "UNAUTHENTICATED"],
    [403, "FORBIDDEN"],
    [404, "INVALID_ARGUMENT"],
    [413, "PAYLOAD_TOO_LARGE"],
  ])("but a page with %i is %s, and says that it is a page", async (status, code) => {
    const { persistence, asked } = connectVia("/v1/queries", () => page(status));
    const { fault } = await timed(persistence.getRun("run"));
    expect(fault).toMatchObject({ code });
    expect(String(fault)).toContain(`Not an answer of the service: ${status}`);
    expect(String(fault)).toContain("text/html");
    expect(String(fault)).not.toContain("Bad day");
    expect(asked).toHaveLength(1);
  });

  it.each<[string, () => Response]>([
    ["a page with 502", () => page(502)],
    ["a page with 504", () => page(504)],
    ["a page with 408", () => page(408)],
    ["a page with 200", () => page(200)],
    ["JSON that breaks off", () => new Response('{"results":[{"id":"ru')],
    ["JSON of something else", () => Response.json({ ok: true })],
    ["JSON with an answer too few", () => Response.json({ results: [] })],
    ["null", () => Response.json(null)],
  ])("but %s is settled after a commit, and the read is repeated", async (_what, answer) => {
    const committed = connectVia("/v1/commits", async (request, count) => {
      if (count > 1) return null;
      await send(request);
      return answer();
    });
    expect(await committed.persistence.createRun(RUN)).toMatchObject({ id: "run", version: 1 });
    expect(committed.asked).toHaveLength(1);
    const read = connectVia("/v1/queries", (_request, count) => (count === 1 ? answer() : null));
    expect(await read.persistence.getRun("run")).toMatchObject({ id: "run" });
    expect(read.asked).toHaveLength(2);
  });

  it("but a body that breaks in the middle is settled after a commit", async () => {
    const { persistence } = connectVia("/v1/commits", async (request, count) => {
      if (count > 1) return null;
      await send(request);
      let parts = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          parts += 1;
          if (parts > 1) controller.error(new Error("connection reset"));
          else controller.enqueue(new TextEncoder().encode('{"results":'));
        },
      });
      return new Response(body);
    });
    expect(await persistence.createRun(RUN)).toMatchObject({ id: "run", version: 1 });
    expect(await embed(env).persistence.getRunsByStatus("PENDING")).toHaveLength(1);
  });

  it.each<[string, Response]>([
    ["the token has expired", problem(401, "UNAUTHENTICATED")],
    ["somebody else answers", page(404)],
  ])("but none leaves the outcome unknown when it is looked for and %s", async (_why, refusal) => {
    const fetch = async (request: Request): Promise<Response> => {
      const { pathname } = new URL(request.url);
      if (pathname === "/v1/settlements") return refusal.clone();
      if (pathname !== "/v1/commits") return send(request);
      await send(request);
      throw new Error("connection lost");
    };
    const { persistence } = connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch });
    await expect(persistence.createRun(RUN)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await embed(env).persistence.getRun("run")).not.toBeNull();
  });
});

describe("what was turned away", () => {
  it.each<[string, Response]>([
    ["429 of a proxy", page(429, { "Retry-After": "1" })],
    ["429 of the service", problem(429, "RATE_LIMITED", { "Retry-After": "1" })],
    ["503 OVERLOADED", problem(503, "OVERLOADED", { "Retry-After": "1" })],
  ])("by %s is sent again after the pause that it asks for", async (_what, refusal) => {
    const { persistence, asked } = connectVia("/v1/commits", (_request, count) =>
      count === 1 ? refusal.clone() : null,
    );
    const { fault, ms } = await timed(persistence.createRun(RUN));
    expect(fault).toBeNull();
    expect(asked).toHaveLength(2);
    expect(ms).toBeGreaterThanOrEqual(950);
    expect(await embed(env).persistence.getRun("run")).toMatchObject({ version: 1 });
  });

  const nowDate = new Date().toUTCString();
  const inTwoSeconds = new Date(Date.parse(nowDate) + 2_000).toUTCString();
  it.each<[string, Record<string, string>, number, number]>([
    [
      "an instant, by the other's clock",
      { Date: nowDate, "Retry-After": inTwoSeconds },
      1_950,
      4_000,
    ],
    ["an instant that is past", { Date: inTwoSeconds, "Retry-After": nowDate }, 0, 900],
    ["at once", { "Retry-After": "0" }, 0, 400],
    ["nonsense", { "Retry-After": "-5 soon" }, 450, 1_500],
    ["nothing", {}, 450, 1_500],
  ])("until %s is sent again then", async (_what, headers, least, most) => {
    const { persistence } = connectVia("/v1/queries", (_request, count) =>
      count === 1 ? page(429, headers) : null,
    );
    const { fault, ms } = await timed(persistence.getRun("run"));
    expect(fault).toBeNull();
    expect(ms).toBeGreaterThanOrEqual(least);
    expect(ms).toBeLessThan(most);
  });

  it("four times is OVERLOADED", async () => {
    const refusal = problem(503, "OVERLOADED", { "Retry-After": "0" });
    const { persistence, asked } = connectVia("/v1/commits", () => refusal.clone());
    await expect(persistence.createRun(RUN)).rejects.toMatchObject({
      code: "OVERLOADED",
      message: "as it is",
      details: { field: "f" },
    });
    expect(asked).toHaveLength(4);
  });

  it("by 503 UNAVAILABLE was not: it is settled, not sent again", async () => {
    const { persistence, asked } = connectVia("/v1/commits", async (request, count) => {
      if (count > 1) return null;
      await send(request);
      return problem(503, "UNAVAILABLE", { "Retry-After": "1" });
    });
    expect(await persistence.createRun(RUN)).toMatchObject({ version: 1 });
    expect(asked).toHaveLength(1);
  });
});

describe("a signal", () => {
  const REASON = new Error("enough");
  const endless = () =>
    new Response(new ReadableStream({ pull: () => new Promise<void>(() => {}) }));

  it.each<[string, Answering]>([
    ["in a pause", () => page(429, { "Retry-After": "30" })],
    ["while nothing answers", () => new Promise<Response>(() => {})],
    ["in the middle of a body", endless],
  ])("stops a call %s, at once, and aborts the request", async (_when, answering) => {
    const controller = new AbortController();
    const { signal } = controller;
    const { persistence, asked } = connectVia("/v1/queries", answering, { signal });
    const call = timed(persistence.getRun("run"));
    await vi.waitUntil(() => asked.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    controller.abort(REASON);
    const { fault, ms } = await call;
    expect(fault).toBe(REASON);
    expect(ms).toBeLessThan(1_000);
    await expect(persistence.getRun("run")).rejects.toBe(REASON);
    expect(asked).toHaveLength(1);
  });

  it("aborts the request that is under way", async () => {
    const controller = new AbortController();
    const requests: Request[] = [];
    const fetch = (request: Request) => {
      requests.push(request);
      return new Promise<Response>(() => {});
    };
    const { signal } = controller;
    const { persistence } = connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch, signal });
    const call = timed(persistence.getRun("run"));
    await vi.waitUntil(() => requests.length > 0);
    expect(requests[0]?.signal.aborted).toBe(false);
    controller.abort(REASON);
    expect((await call).fault).toBe(REASON);
    expect(requests[0]?.signal.aborted).toBe(true);
  });

  it("that lives long has no listener left of the calls that are over", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    let most = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      most = Math.max(most, listeners);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    const { persistence } = connectVia(
      "/v1/queries",
      (_request, count) => (count % 2 === 1 ? page(429, { "Retry-After": "0" }) : null),
      { signal },
    );
    for (let n = 0; n < 3; n += 1) await persistence.getRun("run");
    expect(most).toBeGreaterThan(0);
    expect(listeners).toBe(0);
  });
});

describe("a redirect", () => {
  it.each([301, 302, 303, 307, 308])(
    "with %i is not followed, and the place is named",
    async (status) => {
      const { persistence, asked } = connectVia("/v1/queries", () =>
        page(status, { Location: "https://elsewhere.example/v1/queries" }),
      );
      const { fault } = await timed(persistence.getRun("run"));
      expect(fault).toMatchObject({ code: "INVALID_ARGUMENT", details: { field: "url" } });
      expect(String(fault)).toContain("https://elsewhere.example/v1/queries");
      expect(asked.map(({ redirect }) => redirect)).toEqual(["manual"]);
    },
  );
});

describe("a url", () => {
  it.each([
    ["https://engine.example", "https://engine.example/v1/time"],
    ["https://engine.example///", "https://engine.example/v1/time"],
    ["http://127.0.0.1:8787/", "http://127.0.0.1:8787/v1/time"],
    ["https://proxy.example/team/engine", "https://proxy.example/team/engine/v1/time"],
    ["https://proxy.example/team/engine/", "https://proxy.example/team/engine/v1/time"],
    ["HTTPS://Engine.example:443", "https://engine.example/v1/time"],
  ])("%s is asked at %s", async (url, expected) => {
    const urls: string[] = [];
    const fetch = async (request: Request) => {
      urls.push(request.url);
      return Response.json({ now: 1 });
    };
    await connectHttp({ url, token: ADMIN, fetch })
      .persistence.createRun(RUN)
      .catch(() => null);
    expect(urls[0]).toBe(expected);
  });

  it.each<[string, unknown]>([
    ["nothing", ""],
    ["undefined", undefined],
    ["a host alone", "engine.example"],
    ["a host with a port", "localhost:8787"],
    ["a path", "/engine"],
    ["another protocol", "ftp://engine.example"],
    ["credentials", "https://user:secret@engine.example"],
    ["a query", "https://engine.example?x=1"],
    ["a fragment", "https://engine.example#x"],
  ])("that is %s is refused when it is given", (_what, url) => {
    expect(() => connectHttp({ url: url as string, token: ADMIN })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", details: { field: "url" } }),
    );
  });

  it.each<[string, unknown]>([
    ["empty", ""],
    ["undefined", undefined],
    ["of two lines", "se\ncret"],
    ["not ASCII", "secrét"],
  ])("with a token that is %s is refused, and the token is not told", (_what, token) => {
    const connecting = () => connectHttp({ url: URL_OF_SERVICE, token: token as string });
    expect(connecting).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", details: { field: "token" } }),
    );
    expect(connecting).not.toThrow(/se\ncret|secrét/);
  });
});
