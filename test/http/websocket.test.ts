import { createExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { embed } from "../../src/embed.ts";
import { app } from "../../src/http/app.ts";
import { RunCoordinator } from "../../src/coordinator/index.ts";
import { anEvent, upTo } from "../../src/testing/conformance/support.ts";
import { Watching } from "../coordinator/watching.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, NAME_OF_ADMIN, API_TOKENS, URL_OF_SERVICE } from "./support.ts";

/** Shorter than it takes an alarm to come by itself: what arrives has been told of. */
vi.setConfig({ testTimeout: 25_000 });

/** A run of its own for each test: its coordinator has no sockets yet. */
let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

const BEARER = { Authorization: `Bearer ${ADMIN}` };

async function open(headers: Record<string, string>, query = ""): Promise<Response> {
  const request = new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events${query}`, {
    headers: { Upgrade: "websocket", ...headers },
  });
  const bindings = { ...env, API_TOKENS, CORS_ORIGINS: "https://console.example" };
  return app.fetch(request, bindings, createExecutionContext());
}

async function watching(headers: Record<string, string>, query = ""): Promise<Watching> {
  const { webSocket } = await open(headers, query);
  if (webSocket === null) throw new Error("no WebSocket");
  return new Watching(webSocket);
}

const A_RUN = { workflowId: "w", workflowName: "W", workflowType: "t", input: null };

const append = (...types: readonly string[]) =>
  embed(env).persistence.appendOutboxEvents(types.map((eventType) => anEvent(RUN, { eventType })));

function base64Url(text: string): string {
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

describe("a run's events over a WebSocket", () => {
  it("are what the list of them has, those that there are and those that come", async () => {
    await append("a", "b");
    const watch = await watching(BEARER);
    await watch.untilEvents(2);
    await append("c");
    await watch.untilEvents(3);
    const page = await app.fetch(
      new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/outbox-events`, { headers: BEARER }),
      { ...env, API_TOKENS },
      createExecutionContext(),
    );
    const { items } = await page.json<{ items: unknown[] }>();
    expect(watch.texts).toEqual(items.map((item) => JSON.stringify(item)));
  });

  it("come when they are large, also after small ones", async () => {
    const watch = await watching(BEARER);
    await append("a");
    await watch.untilEvents(1);
    const payload = "x".repeat(900_000);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    await append("b");
    await watch.untilEvents(3);
    expect(watch.sequences).toEqual([1, 2, 3]);
  });

  it("go on after the position that the query or the header names", async () => {
    await append("a", "b", "c");
    for (const [headers, query, first] of [
      [{}, "?after=1", 2],
      [{ "Last-Event-ID": "2" }, "", 3],
    ] as const) {
      const watch = await watching({ ...BEARER, ...headers }, query);
      await watch.untilEvents(1);
      expect(watch.sequences[0]).toBe(first);
    }
  });

  it("need no header: the token may come as a subprotocol, and is not what is answered", async () => {
    await append("a");
    const protocols = `workflow-engine, bearer.${base64Url(ADMIN)}`;
    const response = await open({ "Sec-WebSocket-Protocol": protocols });
    expect(response.status).toBe(101);
    expect(response.headers.get("Sec-WebSocket-Protocol")).toBe("workflow-engine");
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    if (response.webSocket === null) throw new Error("no WebSocket");
    const watch = new Watching(response.webSocket);
    await watch.untilEvents(1);
    expect(watch.sequences).toEqual([1]);
  });

  it("need a token", async () => {
    for (const protocol of [
      "workflow-engine",
      `bearer.${base64Url("wrong")}`,
      "bearer.%",
      "bearer.",
    ]) {
      expect((await open({ "Sec-WebSocket-Protocol": protocol })).status).toBe(401);
    }
    // Where a header can be sent, a subprotocol says nothing.
    const protocol = `bearer.${base64Url(ADMIN)}`;
    const request = new Request(`${URL_OF_SERVICE}/v1/time`, {
      headers: { "Sec-WebSocket-Protocol": protocol },
    });
    const response = await app.fetch(request, { ...env, API_TOKENS }, createExecutionContext());
    expect(response.status).toBe(401);
  });

  it("are not for pages of other origins", async () => {
    const from = async (Origin: string) => (await open({ ...BEARER, Origin })).status;
    expect(await from("https://elsewhere.example")).toBe(403);
    expect(await from("null")).toBe(403);
    expect(await from("https://console.example")).toBe(101);
    expect(await from(URL_OF_SERVICE)).toBe(101);
  });

  it("need a position that is a sequence", async () => {
    const response = await open(BEARER, "?after=x");
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ details: { field: "after" } });
  });

  it("are refused, to come again, when the coordinator is away", async () => {
    const fault = vi.spyOn(console, "error").mockReturnValue();
    const away = { getByName: () => ({ attempt: () => Promise.reject(new Error("away")) }) };
    const response = await app.fetch(
      new Request(`${URL_OF_SERVICE}/v1/runs/${RUN}/events`, {
        headers: { Upgrade: "websocket", ...BEARER },
      }),
      { ...env, API_TOKENS, RUNS: away },
      createExecutionContext(),
    );
    fault.mockRestore();
    expect(response.status).toBe(503);
    expect(response.headers.get("Retry-After")).not.toBeNull();
  });

  it("are logged without the token, with one line", async () => {
    const log = vi.spyOn(console, "log").mockReturnValue();
    await open({ "Sec-WebSocket-Protocol": `workflow-engine, bearer.${base64Url(ADMIN)}` });
    const lines = log.mock.calls.map(([line]) => String(line));
    log.mockRestore();
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ status: 101, caller: NAME_OF_ADMIN });
    expect(lines[0]).not.toContain(base64Url(ADMIN));
  });

  it("are answered pong to a ping, and end with anything else, which nobody handles", async () => {
    const watch = await watching(BEARER);
    watch.socket.send("ping");
    await watch.until(({ texts }) => texts.length > 0);
    expect(watch.texts).toEqual(["pong"]);
    watch.socket.send("let me in");
    watch.socket.send("ping");
    await watch.until(({ closed }) => closed !== null);
    expect([watch.closed, watch.texts]).toEqual([1008, ["pong"]]);
  });

  it("keep no claim waiting: what a reader says does not reach the run's coordinator", async () => {
    const { persistence } = embed(env);
    await persistence.createRun({ ...A_RUN, id: RUN });
    const watch = await watching(BEARER);
    const heard = vi.spyOn(RunCoordinator.prototype, "webSocketMessage");
    for (const n of upTo(20_000)) watch.socket.send(String(n));
    expect(await persistence.claimPendingRun(RUN)).toBe(true);
    await watch.until(({ closed }) => closed !== null);
    expect([watch.closed, heard.mock.calls.length]).toEqual([1008, 0]);
    heard.mockRestore();
  });

  it("are a thousand, or 1 MiB, on one connection; a reader that connects again goes on with the next", async () => {
    await append(...upTo(600).map(String));
    await append(...upTo(430).map(String));
    const first = await watching(BEARER);
    await first.until(({ closed }) => closed !== null);
    expect([first.closed, first.sequences]).toEqual([4000, upTo(1_000)]);
    const second = await watching(BEARER, "?after=1000");
    await second.untilEvents(30);
    expect(second.sequences).toEqual(upTo(1_030).slice(1_000));
    const payload = "x".repeat(400_000);
    for (const _ of upTo(4))
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    const third = await watching(BEARER, "?after=1030");
    await third.until(({ closed }) => closed !== null);
    expect([third.closed, third.sequences]).toEqual([4000, [1_031, 1_032]]);
  });

  it("come to many at once, each of them in order", async () => {
    const all = await Promise.all(upTo(8).map(() => watching(BEARER)));
    await Promise.all(upTo(30).map((n) => append(String(n))));
    await Promise.all(all.map((one) => one.untilEvents(30)));
    for (const one of all) expect(one.sequences).toEqual(upTo(30));
  });
});
