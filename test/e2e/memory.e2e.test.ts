/**
 * An isolate has 128 MB, and to run out of them ends every request that is under way. Here V8 has 80 for each isolate, and bodies that
 * have come, of which there are 16 at most, are outside of its heap: 96. Whoever makes it need more kills the process, and the test with
 * it. The callers are as bad as they may be.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { type ClientRequest, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ROOT } from "../../scripts/wrangler.ts";
import { connectHttp, watchEvents } from "../../src/client/index.ts";
import { type Dev, startDev, watchBarely } from "./support.ts";

const HEAP_MB = 80;
/** Done; refused for what it is; too large; not now. */
const ANSWERS = [200, 201, 413, 422, 503];
let dev: Dev;
let runtimes: string;

beforeAll(async () => {
  const config = join(ROOT, "wrangler.toml");
  const tokens = ["bad", "good"].map((name) => ({
    name,
    sha256: createHash("sha256").update(`${name}-token`).digest("hex"),
    scopes: ["admin"],
  }));
  const options = { apiTokens: JSON.stringify(tokens), config };
  dev = await startDev({ ...options, v8Flags: [`--max-heap-size=${HEAP_MB}`] }, { app: false });
  runtimes = runtimesOf(process.pid);
  expect(runtimes).not.toBe("");
});

afterAll(async () => {
  await dev.stop();
});

/** The process ids of the runtimes that this process has started, through others. One that has died is replaced. */
function runtimesOf(root: number): string {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid=,comm="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const ours = new Set([String(root)]);
  // A set that grows while it is walked is walked to its end.
  for (const each of ours) {
    for (const [pid = "", parent] of rows) if (parent === each) ours.add(pid);
  }
  const workerd = rows.filter(
    ([pid = "", , command = ""]) => ours.has(pid) && /workerd/.test(command),
  );
  return workerd.map(([pid]) => pid).join(" ");
}

const headersOf = (name: string) => ({
  Authorization: `Bearer ${name}-token`,
  "Content-Type": "application/json",
});

/** The status; 503 for a body that was turned away while it was sent. Whether the runtime has died is asked after each storm. */
async function send(path: string, body?: string, name = "bad"): Promise<number> {
  const init = {
    headers: headersOf(name),
    ...(body === undefined ? {} : { method: "POST", body }),
  };
  try {
    const response = await fetch(dev.processes.serviceUrl + path, init);
    const text = await response.text();
    // The words of wrangler's own proxy, where the service answers before it has the whole body.
    return text === "Error: Network connection lost." ? 503 : response.status;
  } catch (error) {
    if (error instanceof TypeError) return 503;
    throw error;
  }
}

async function storm(count: number, ask: (n: number) => Promise<number>): Promise<void> {
  const statuses = await Promise.all(Array.from({ length: count }, async (_, n) => ask(n)));
  for (const status of statuses) expect(ANSWERS).toContain(status);
  expect(await send("/v1/time", undefined, "good")).toBe(200);
  expect(runtimesOf(process.pid)).toBe(runtimes);
}

const list = (each: string, bytes: number) =>
  `[${Array.from({ length: Math.floor(bytes / (each.length + 1)) }, () => each).join(",")}]`;
const run = (id: string, input: string) =>
  `{"id":"${id}","workflowId":"w","workflowName":"","workflowType":"","input":${input}}`;
const members = (count: number) =>
  `{${Array.from({ length: count }, (_, n) => `"k${n.toString(36)}":0`).join(",")}}`;
const nested = `${"[".repeat(900)}${"]".repeat(900)}`;

it.each<[string, string, (n: number) => string]>([
  ["queries of nothing", "/v1/queries", () => `{"queries":${list("{}", 990_000)}}`],
  ["queries of numbers", "/v1/queries", () => `{"queries":${list("0", 39_000)}}`],
  ["rows of nothing", "/v1/annotations", () => `{"annotations":${list("{}", 590_000)}}`],
  ["tiny objects", "/v1/runs", (n) => run(`objects-${n}`, list("{}", 590_000))],
  ["tiny lists", "/v1/runs", (n) => run(`lists-${n}`, list("[]", 590_000))],
  ["deep lists", "/v1/runs", (n) => run(`deep-${n}`, list(nested, 350_000))],
  ["a huge number of keys", "/v1/runs", (n) => run(`keys-${n}`, members(60_000))],
  ["unknown keys", "/v1/runs", () => members(150_000)],
  ["equal keys", "/v1/runs", () => `{${list('"id":"x"', 1_500_000).slice(1, -1)}}`],
  ["escaped text", "/v1/runs", (n) => run(`escaped-${n}`, `"${"\\u0001".repeat(600_000)}"`)],
])("%s, four bodies at once, do no harm", async (_what, path, body) => {
  await storm(4, async (n) => send(path, body(n)));
});

const artifact = (key: string, data: string) => ({
  kind: "saveArtifact",
  row: {
    workflowRunId: "big",
    key,
    ordinal: key,
    createdAt: 1,
    updatedAt: 1,
    workflowStageId: null,
    type: "ARTIFACT",
    data: JSON.stringify(data),
    size: 1,
    metadata: null,
  },
  replaceStage: false,
  replaceMetadata: false,
  linkStageId: null,
});

it.each([
  ["narrow", "x".repeat(1_560_000)],
  ["of three bytes a character", "\u4e00".repeat(520_000)],
  ["mixed", `${"x".repeat(780_000)}\u4e00`],
])("the largest commits, their text %s, do no harm", async (what, text) => {
  if (what === "narrow") expect(await send("/v1/runs", run("big", "0"))).toBe(201);
  await storm(3, async (n) => {
    const keys = Array.from({ length: 8 }, (_, row) => `${what.slice(0, 2)}${row}`);
    const changes = keys.map((key) => artifact(key, text));
    const id = `0mwwqfje${what.slice(0, 2)}0000000${n}`;
    return send("/v1/commits", JSON.stringify({ id, guards: [], changes, reads: [] }));
  });
});

it("large answers, many at once, do no harm", async () => {
  const one = { q: "artifact", workflowRunId: "big", key: "na0" };
  const all = { q: "artifacts", workflowRunId: "big" };
  const ask = (...queries: object[]) => send("/v1/queries", JSON.stringify({ queries }));
  expect(await ask(one)).toBe(200);
  await storm(4, async () => ask(one, one, one, one));
  await storm(4, async () => ask(all));
  await storm(4, async () => ask(...Array.from({ length: 100 }, () => one)));
  await storm(6, async () => send("/v1/runs/big/artifacts?limit=1000"));
  await storm(6, async () => send("/v1/runs?limit=1000"));
});

it("jobs whose payloads are many objects, leased a hundred at a time, do no harm", async () => {
  const payload = `{"list":${list("{}", 590_000)}}`;
  await storm(8, async (n) => {
    const job = `{"workflowRunId":"big","workflowId":"w","stageId":"s${n}","payload":${payload}}`;
    return send("/v1/jobs", `{"jobs":[${job}]}`);
  });
  await storm(2, async () => send("/v1/jobs/dequeue", `{"count":100}`));
});

/** A request that goes on until it is ended. */
function open(path: string, size: number): ClientRequest {
  const headers = { ...headersOf("bad"), "Content-Length": String(size) };
  const opened = request(dev.processes.serviceUrl + path, { method: "POST", headers });
  // Turned away, or ended by us.
  opened.on("error", () => {});
  return opened;
}

it("bodies that stop in the middle, and answers that nobody reads, leave room for others", async () => {
  const slow = Array.from({ length: 20 }, () => {
    const opened = open("/v1/runs", 3_900_000);
    opened.write(`{"input":"${"x".repeat(1_900_000)}`);
    return opened;
  });
  const one = { q: "artifact", workflowRunId: "big", key: "na0" };
  const query = JSON.stringify({ queries: [one, one, one, one] });
  const unread = Array.from({ length: 4 }, () => {
    const opened = open("/v1/queries", query.length);
    opened.on("response", (response) => response.pause());
    opened.end(query);
    return opened;
  });
  try {
    for (let n = 0; n < 5; n += 1) {
      expect(await send("/v1/runs", run(`good-${n}`, "1"), "good")).toBe(201);
    }
  } finally {
    for (const opened of [...slow, ...unread]) opened.destroy();
  }
  await storm(1, async () => send("/v1/queries", query, "good"));
});

it.each([
  ["WebSockets", "nobody reads"],
  ["WebSockets", "all read"],
  ["streams", "nobody reads"],
  ["streams", "all read"],
])("two hundred %s on which a run is watched, of which %s, do no harm", async (what, who) => {
  const runId = `${what}-${who}`.replace(" ", "-");
  const token = "bad-token";
  const sockets = await Promise.all(
    Array.from({ length: 200 }, async () =>
      watchBarely(dev.processes, runId, { token, webSocket: what === "WebSockets" }),
    ),
  );
  try {
    if (who === "all read") for (const socket of sockets) socket.resume();
    const url = dev.processes.serviceUrl;
    const { persistence } = connectHttp({ url, token: "good-token" });
    const watching = watchEvents({ url, token: "good-token", runId });
    for (let sequence = 1; sequence <= 4; sequence += 1) {
      const payload = "x".repeat(1_000_000);
      const event = { workflowRunId: runId, eventType: "e", payload, causationId: "c" };
      await persistence.appendOutboxEvents([{ ...event, occurredAt: new Date() }]);
      expect((await watching.next()).value?.sequence).toBe(sequence);
    }
    await watching.return();
    await storm(1, async () => send("/v1/runs", run(`${runId}-good`, "1"), "good"));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
