/** The HTTP API of a real `wrangler dev`: the tour of docs/http.md, command by command, and the client over the network. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { connectHttp, watchEvents } from "../../src/client/index.ts";
import { type Dev, startDev, watchBarely } from "./support.ts";

const TOKEN = "tour-token";
const READER = "reader-token";
let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  // As the page starts it: without a handler, which would take the jobs.
  const config = join(ROOT, "wrangler.toml");
  const reader = apiTokensOf(READER).replace('"admin"', '"read"').replace('"dev"', '"reader"');
  const apiTokens = `${apiTokensOf(TOKEN).slice(0, -1)},${reader.slice(1)}`;
  dev = await startDev({ apiTokens, config }, { app: false });
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

describe("the tour of docs/http.md", () => {
  it("answers what the page says", async () => {
    const page = await readFile(join(ROOT, "docs", "http.md"), "utf8");
    const steps = [...page.matchAll(/```sh\n(.*?)```\n\n(?:[^`]*?)(?:```json\n(.*?)```)/gs)];
    expect(steps.length).toBeGreaterThan(4);
    for (const [, command = "", answer = ""] of steps) {
      const { stdout, status } = spawnSync("bash", ["-euc", command], {
        encoding: "utf8",
        env: { ...process.env, URL: processes.serviceUrl, TOKEN },
      });
      expect(status, command).toBe(0);
      // A step of two commands is about what the last one answers.
      const last = stdout.slice(Math.max(0, stdout.lastIndexOf("}{") + 1));
      expect(JSON.parse(last), command).toMatchObject(JSON.parse(answer) as object);
    }
  });
});

describe("the client over the network", () => {
  it("has real transactions, and tells a wrong token from a lost answer", async () => {
    const { persistence, jobs } = connectHttp({ url: processes.serviceUrl, token: TOKEN });
    const failed = persistence.withTransaction(async (tx) => {
      await tx.createRun({
        id: "gone",
        workflowId: "w",
        workflowName: "",
        workflowType: "",
        input: 0,
      });
      await jobs.enqueue({ workflowRunId: "gone", workflowId: "w", stageId: "s" });
      throw new RangeError("no");
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(await persistence.getRun("gone")).toBeNull();
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const dequeue = `${processes.serviceUrl}/v1/jobs/dequeue`;
    const nothing = await fetch(dequeue, { method: "POST", headers });
    expect([nothing.status, await nothing.json()]).toEqual([200, { jobs: [] }]);
    const stranger = connectHttp({ url: processes.serviceUrl, token: "wrong" });
    await expect(stranger.persistence.getRun("x")).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
    });
    const nobody = connectHttp({ url: "http://127.0.0.1:9", token: TOKEN });
    await expect(nobody.persistence.getRun("x")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const signal = AbortSignal.abort(new Error("enough"));
    const aborted = connectHttp({ url: processes.serviceUrl, token: TOKEN, signal });
    await expect(aborted.persistence.getRun("x")).rejects.toThrow("enough");
  });
});

describe("a run's events over the network", () => {
  const append = (runId: string, payload: unknown) =>
    connectHttp({ url: processes.serviceUrl, token: TOKEN }).persistence.appendOutboxEvents([
      { workflowRunId: runId, eventType: "e", payload, causationId: "c", occurredAt: new Date() },
    ]);

  it("come over a WebSocket, which gets its token as a browser can send it, the largest too", async () => {
    const token = Buffer.from(TOKEN).toString("base64url");
    const events: { sequence: number; payload: string }[] = [];
    const codes: number[] = [];
    const protocols = new Set<string>();
    /** Until the connection ends, or three events have come. */
    const connection = async () => {
      const after = events.at(-1)?.sequence ?? 0;
      const url = `${processes.serviceUrl.replace("http", "ws")}/v1/runs/socket/events?after=${after}`;
      const socket = new WebSocket(url, ["workflow-engine", `bearer.${token}`]);
      const ended = Promise.withResolvers<void>();
      socket.addEventListener("message", ({ data }) => {
        events.push(JSON.parse(String(data)) as (typeof events)[number]);
        protocols.add(socket.protocol);
        if (events.length === 3) socket.close(1000);
      });
      socket.addEventListener("close", ({ code }) => {
        codes.push(code);
        ended.resolve();
      });
      await ended.promise;
    };
    const reading = (async () => {
      while (events.length < 3) await connection();
    })();
    await append("socket", "small");
    await append("socket", "x".repeat(1_800_000));
    await append("socket", "small");
    await reading;
    expect(events.map(({ sequence, payload }) => [sequence, payload.length])).toEqual([
      [1, 5],
      [2, 1_800_000],
      [3, 5],
    ]);
    expect([...protocols]).toEqual(["workflow-engine"]);
    // Each time before an event with which a connection would carry more than 1 MiB.
    expect(codes).toEqual([4000, 4000, 1000]);
  });

  it("leave claims alone, whatever their readers say on a WebSocket, which ends it", async () => {
    const { persistence } = connectHttp({ url: processes.serviceUrl, token: TOKEN });
    const ids = Array.from({ length: 20 }, (_, n) => `frames-${n}`);
    for (const id of ids) {
      await persistence.createRun({
        id,
        workflowId: "w",
        workflowName: "",
        workflowType: "",
        input: 0,
      });
    }
    const options = { token: READER, webSocket: true };
    const sockets = await Promise.all(ids.map(async (id) => watchBarely(processes, id, options)));
    // A masked text frame of four letters.
    const frame = Buffer.from([0x81, 0x84, 0, 0, 0, 0, ...Buffer.from("noes")]);
    const frames = Buffer.concat(Array.from({ length: 1_000 }, () => frame));
    const ended = sockets.map(async (socket) => {
      const said: Buffer[] = [];
      socket.on("data", (data: Buffer) => said.push(data));
      socket.resume();
      socket.write(frames);
      await once(socket, "close");
      return Buffer.concat(said);
    });
    expect(await Promise.all(ids.map(async (id) => persistence.claimPendingRun(id)))).toEqual(
      ids.map(() => true),
    );
    // A close frame with 1008.
    for (const said of await Promise.all(ended)) {
      expect([said[0], said.readUInt16BE(2)]).toEqual([0x88, 1_008]);
    }
  });

  it("go on after the service was stopped and started again, as a deployment does, with no gap", async () => {
    const watching = watchEvents({ url: processes.serviceUrl, token: TOKEN, runId: "stream" });
    const next = async () => (await watching.next()).value?.sequence;
    await append("stream", 1);
    await append("stream", 2);
    expect([await next(), await next()]).toEqual([1, 2]);
    const third = next();
    await processes.stopService();
    await processes.startService();
    for (const n of [3, 4, 5]) await append("stream", n);
    expect([await third, await next(), await next()]).toEqual([3, 4, 5]);
    await watching.return();
  });
});
