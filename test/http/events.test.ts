import {
  abortAllDurableObjects,
  createExecutionContext,
  runInDurableObject,
} from "cloudflare:test";
import { beforeEach, describe, expect, it, vi, onTestFinished } from "vitest";
import { type OutboxRecord, watchEvents, type WatchOptions } from "../../src/client/index.ts";
import { embed } from "../../src/embed.ts";
import { app } from "../../src/http/app.ts";
import { EVENT } from "../../src/http/schemas/index.ts";
import type { HttpEnv } from "../../src/http/env.ts";
import { anEvent, upTo } from "../../src/testing/conformance/support.ts";
import { D1_FAULTS, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { eventsOf } from "../coordinator/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, API_TOKENS, secretOf, URL_OF_SERVICE } from "./support.ts";

/** Shorter than it takes an alarm to come by itself: what arrives has been told of. */
vi.setConfig({ testTimeout: 25_000 });

/** A run of its own for each test: its coordinator has no sockets yet. */
let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

/** As the platform does, it does not wait for what goes on after the answer has begun. */
async function send(request: Request, overrides: Partial<HttpEnv> = {}): Promise<Response> {
  return app.fetch(request, { ...env, API_TOKENS, ...overrides }, createExecutionContext());
}

function ask(headers: Record<string, string> = {}, query = ""): Promise<Response> {
  return send(
    new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events${query}`, {
      headers: { Authorization: `Bearer ${ADMIN}`, ...headers },
    }),
  );
}

function append(...eventTypes: readonly string[]): Promise<void> {
  const events = eventTypes.map((eventType) => anEvent(RUN, { eventType }));
  return embed(env).persistence.appendOutboxEvents(events);
}

function watch(options: Partial<WatchOptions> = {}): AsyncGenerator<OutboxRecord, void, void> {
  const fetch = (request: Request) => send(request);
  return watchEvents({ url: URL_OF_SERVICE, token: ADMIN, runId: RUN, fetch, ...options });
}

/** So many events from the watch. */
async function take(
  watching: AsyncGenerator<OutboxRecord>,
  count: number,
): Promise<OutboxRecord[]> {
  const events: OutboxRecord[] = [];
  while (events.length < count) {
    const { value, done } = await watching.next();
    if (done === true) break;
    events.push(value);
  }
  return events;
}

const sequencesOf = (events: readonly OutboxRecord[]) => events.map(({ sequence }) => sequence);

/** The stream's text, up to where it holds what is looked for. */
async function readUntil(response: Response, wanted: string): Promise<string> {
  let text = "";
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (!text.includes(wanted)) {
    const chunk = await reader?.read();
    if (chunk?.value === undefined) throw new Error(`it ended: ${text}`);
    text += chunk.value;
  }
  await reader?.cancel();
  return text;
}

describe("the stream of a run's events", () => {
  it("is server-sent events: the sequence as id, the outbox's record as data", async () => {
    await append("a", "b\nc");
    const response = await ask();
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      "x-request-id": expect.any(String) as string,
    });
    const text = await readUntil(response, "id: 2\n");
    const page = await send(
      new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/outbox-events`, {
        headers: { Authorization: `Bearer ${ADMIN}` },
      }),
    );
    const { items } = await page.json<{ items: unknown[] }>();
    const frames = items.map((item, at) => `id: ${at + 1}\ndata: ${JSON.stringify(item)}\n\n`);
    expect(text).toBe(`retry: 1000\n\n${frames.join("")}`);
  });

  it("has what there is, then what comes", async () => {
    await append("a", "b");
    const watching = watch();
    expect(sequencesOf(await take(watching, 2))).toEqual([1, 2]);
    const next = take(watching, 3);
    await append("c");
    await append("d", "e");
    expect((await next).map(({ eventType }) => eventType)).toEqual(["c", "d", "e"]);
    await watching.return();
  });

  it("goes on after Last-Event-ID, or else after the query's position", async () => {
    await append("a", "b", "c", "d");
    const first = async (headers: Record<string, string>, query = "") =>
      /id: (\d+)/.exec(await readUntil(await ask(headers, query), "data:"))?.[1];
    expect(await first({ "Last-Event-ID": "2" })).toBe("3");
    expect(await first({}, "?after=1")).toBe("2");
    expect(await first({ "Last-Event-ID": "3" }, "?after=1")).toBe("4");
    expect(await first({ "Last-Event-ID": "" })).toBe("1");
  });

  it("of a run that does not exist yet begins with its first event", async () => {
    const watching = watch();
    const first = take(watching, 1);
    await append("a");
    expect(sequencesOf(await first)).toEqual([1]);
    await watching.return();
  });

  it("of a long history is whole, beyond what one connection to the coordinator carries", async () => {
    for (const _ of upTo(3)) await append(...upTo(900).map(String));
    const watching = watch();
    const events = await take(watching, 2_700);
    expect(sequencesOf(events)).toEqual(upTo(2_700));
    await watching.return();
  });

  it("has the largest event also after small ones", async () => {
    const watching = watch();
    const payload = "x".repeat(1_800_000);
    await append("a");
    expect(sequencesOf(await take(watching, 1))).toEqual([1]);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    await append("b");
    expect(sequencesOf(await take(watching, 2))).toEqual([2, 3]);
    await watching.return();
  });

  it("waits for a slow reader, in the end with nothing left out", async () => {
    const payload = "x".repeat(1_500_000);
    const watching = watch();
    const first = take(watching, 1);
    for (const n of upTo(8)) {
      await embed(env).persistence.appendOutboxEvents([
        anEvent(RUN, { payload: `${n}${payload}` }),
      ]);
    }
    // Nobody reads until all has been written.
    const events = [...(await first), ...(await take(watching, 7))];
    expect(events.map((event) => String(event.payload).slice(0, 2))).toEqual(
      upTo(8).map((n) => `${n}x`),
    );
    await watching.return();
  });

  it("lets the coordinator go when its reader goes", async () => {
    const response = await ask();
    const reader = response.body?.getReader();
    await reader?.read();
    await append("a");
    await reader?.read();
    expect(await socketsOf()).toBe(1);
    await reader?.cancel();
    await vi.waitUntil(async () => (await socketsOf()) === 0, { timeout: 20_000 });
  });

  it("takes no position but a sequence, and says which field is wrong", async () => {
    for (const [headers, query, field] of [
      [{ "Last-Event-ID": "x" }, "", "Last-Event-ID"],
      [{ "Last-Event-ID": "1e3" }, "", "Last-Event-ID"],
      [{}, "?after=-1", "after"],
      [{}, "?after=9999999999999999", "after"],
    ] as const) {
      const response = await ask({ ...headers }, query);
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
    }
    RUN = "x".repeat(600);
    expect(await (await ask()).json()).toMatchObject({ details: { field: "runId" } });
  });

  it("needs the scope read", async () => {
    const secret = await secretOf({ token: "worker", scopes: ["work"] });
    const get = (token: string) =>
      send(
        new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events`, {
          headers: { Authorization: `Bearer ${token}` },
        }),
        { API_TOKENS: secret },
      );
    expect((await get("worker")).status).toBe(403);
    expect((await get("nobody")).status).toBe(401);
  });

  it("lets browsers in from the origins that may come", async () => {
    const request = new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events`, {
      headers: { Authorization: `Bearer ${ADMIN}`, Origin: "https://console.example" },
    });
    const response = await send(request, { CORS_ORIGINS: "https://console.example" });
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("https://console.example");
    await response.body?.cancel();
  });
});

describe("readers and writers at once", () => {
  it("ends with every reader having had 1 to n, whatever is reset or given up meanwhile", async () => {
    let connections = 0;
    const reader = async (): Promise<number[]> => {
      const got: OutboxRecord[] = [];
      while (got.at(-1)?.eventType !== "end") {
        connections += 1;
        const watching = watch({ after: got.length });
        for (let some = Math.floor(Math.random() * 20); some >= 0; some -= 1) {
          got.push(...(await take(watching, 1)));
          if (got.at(-1)?.eventType === "end") break;
        }
        await watching.return();
      }
      return sequencesOf(got);
    };
    const resets: number[] = [];
    const writer = async (): Promise<void> => {
      while (resets.length < 8) {
        await append("event");
        // Writers that never pause would keep the timers of all from firing.
        await scheduler.wait(1);
      }
    };
    const trouble = async (): Promise<void> => {
      while (resets.length < 8) {
        await scheduler.wait(60);
        await abortAllDurableObjects();
        resets.push(resets.length);
      }
    };
    const readers = upTo(5).map(reader);
    await Promise.all([...upTo(4).map(writer), trouble()]);
    await append("end");

    const written = upTo((await eventsOf(RUN)).length);
    expect(written.length).toBeGreaterThan(20);
    for (const got of await Promise.all(readers)) expect(got).toEqual(written);
    expect(connections).toBeGreaterThan(readers.length);
  });

  it("goes on in the same stream when the coordinator is reset, and its reader notices nothing", async () => {
    const response = await ask();
    const whole = readUntil(response, "id: 4\n");
    for (const type of ["a", "b", "c", "d"]) {
      await append(type);
      await abortAllDurableObjects();
    }
    const text = await whole;
    expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))).toEqual(upTo(4));
  });

  it("brings an event whose commit's answer was lost", async () => {
    const watching = watch();
    const first = take(watching, 2);
    // The coordinators are the real ones; a commit of two runs goes past them.
    const faulty = faultyD1(env.DB, ({ index }) => (index === 0 ? D1_FAULTS.lost : null));
    const { persistence } = embed({ ...env, DB: faulty.db });
    await persistence.appendOutboxEvents([anEvent(RUN), anEvent("other"), anEvent(RUN)]);
    expect(faulty.calls[0]).toMatchObject({ fault: D1_FAULTS.lost, ran: true });
    expect(sequencesOf(await first)).toEqual([1, 2]);
    await watching.return();
  });

  it("ends the stream when the coordinator stays away, for its reader to come again", async () => {
    let asked = 0;
    const away = {
      getByName: () => ({
        attempt: () => Promise.reject(new Error("away")),
        fetch: () => {
          asked += 1;
          return Promise.reject(new Error("away"));
        },
      }),
    };
    const request = new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events`, {
      headers: { Authorization: `Bearer ${ADMIN}` },
    });
    const response = await send(request, { RUNS: away });
    expect(await response.text()).toBe("retry: 1000\n\n");
    expect(asked).toBe(6);
  });
});

describe("watchEvents", () => {
  it("gives the contract's records, with dates", async () => {
    await append("a");
    const watching = watch();
    const [event] = await take(watching, 1);
    expect(event?.occurredAt).toBeInstanceOf(Date);
    expect(event).toEqual(
      (await embed(env).persistence.getUnpublishedOutboxEvents()).find(
        ({ workflowRunId }) => workflowRunId === RUN,
      ),
    );
    await watching.return();
  });

  it.each(["", ".", "..", "\ud800", "x".repeat(513)])(
    "refuses what no run can be called, and asks nobody: %j",
    async (runId) => {
      const fetch = vi.fn<(request: Request) => Promise<Response>>();
      await expect(take(watch({ runId, fetch }), 1)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        details: { field: "runId" },
      });
      expect(fetch).not.toHaveBeenCalled();
    },
  );

  it.each([
    "no JSON",
    "{}",
    JSON.stringify({ ...EVENT, occurredAt: "2026-02-30T00:00:00Z" }),
    JSON.stringify({ ...EVENT, occurredAt: "+010000-01-01T00:00:00.000Z" }),
  ])("says UNAVAILABLE of what is no event of the service's: %s", async (data) => {
    const headers = { "Content-Type": "text/event-stream" };
    const fetch = async () => new Response(`id: 1\ndata: ${data}\n\n`, { headers });
    await expect(take(watch({ fetch }), 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("gives the first and the last instant that there are", async () => {
    const instants = ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"];
    const events = instants.map((text) => anEvent(RUN, { occurredAt: new Date(text) }));
    await embed(env).persistence.appendOutboxEvents(events);
    const watching = watch();
    const seen = await take(watching, 2);
    expect(seen.map(({ occurredAt }) => occurredAt.toISOString())).toEqual(instants);
    await watching.return();
  });

  it("ends when it is aborted, before and while it waits", async () => {
    expect(await take(watch({ signal: AbortSignal.abort() }), 1)).toEqual([]);
    await append("a");
    const stopping = new AbortController();
    const watching = watch({ signal: stopping.signal });
    await take(watching, 1);
    const next = take(watching, 1);
    stopping.abort();
    expect(await next).toEqual([]);
  });

  it("throws what is refused, and tries again what is not", async () => {
    await expect(watch({ token: "wrong" }).next()).rejects.toMatchObject({
      name: "ServiceError",
      code: "UNAUTHENTICATED",
    });
    await append("a");
    const answers = [
      () => Promise.reject(new TypeError("fetch failed")),
      () => Promise.resolve(new Response("", { status: 503, headers: { "Retry-After": "0" } })),
      () => Promise.resolve(new Response("", { status: 429, headers: { "Retry-After": "0" } })),
    ];
    const watching = watch({ fetch: (request) => answers.shift()?.() ?? send(request) });
    expect(sequencesOf(await take(watching, 1))).toEqual([1]);
    expect(answers).toEqual([]);
    await watching.return();
  });

  it("follows no redirect, and says where it points", async () => {
    const asked: string[] = [];
    const fetch = async (request: Request) => {
      asked.push(request.redirect);
      return new Response("", { status: 302, headers: { Location: "https://login.example/" } });
    };
    await expect(watch({ fetch }).next()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("https://login.example/") as string,
    });
    expect(asked).toEqual(["manual"]);
  });

  it("gives up when something else answers in the service's place", async () => {
    // Pauses and deadlines pass a hundred times as fast.
    const real = globalThis.setTimeout;
    vi.stubGlobal("setTimeout", (callback: () => void, ms = 0) => real(callback, ms / 100));
    onTestFinished(() => {
      vi.unstubAllGlobals();
    });
    let asked = 0;
    const fetch = async () => {
      asked += 1;
      const headers = { "Content-Type": "text/html", "Retry-After": "0" };
      return new Response("<title>Log in</title>", { headers });
    };
    await expect(watch({ fetch }).next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(asked).toBe(10);
  });

  it("is refused what cannot be a url or a token, which is not told", async () => {
    for (const [options, field] of [
      [{ url: "engine.example" }, "url"],
      [{ token: "secret\n" }, "token"],
    ] as const) {
      const fault: unknown = await watch(options)
        .next()
        .catch((error: unknown) => error);
      expect(fault).toMatchObject({ code: "INVALID_ARGUMENT", details: { field } });
      expect(String(fault)).not.toContain("secret");
    }
  });

  it("goes on with a stream that breaks off in the middle of an event", async () => {
    await append("a", "b");
    const whole = await readUntil(await ask(), "id: 2\n");
    const half = whole.slice(0, whole.lastIndexOf("data:") + 20);
    const streams = [new Response(half, { headers: { "Content-Type": "text/event-stream" } })];
    const asked: string[] = [];
    const watching = watch({
      fetch: async (request) => {
        asked.push(new URL(request.url).search);
        return streams.shift() ?? send(request);
      },
    });
    expect(sequencesOf(await take(watching, 2))).toEqual([1, 2]);
    expect(asked).toEqual(["?after=0", "?after=1"]);
    await watching.return();
  });
});

/** Sockets that the run's coordinator has open. */
function socketsOf(): Promise<number> {
  return runInDurableObject(
    env.RUNS.getByName(RUN),
    (_, state) =>
      state.getWebSockets().filter(({ readyState }) => readyState === WebSocket.OPEN).length,
  );
}
