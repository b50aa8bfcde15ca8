/** What one request may take: of its body, and of the answer. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { embed } from "../../src/embed.ts";
import { openApiDocument } from "../../src/http/app.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, call, connectInProcess, secretOf, send, URL_OF_SERVICE } from "./support.ts";

beforeEach(() => emptyDatabase());

const LARGE = "x".repeat(1_800_000);
const aRun = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const problemOf = async (response: Response) => {
  const { code, details } = await response.json<{ code: string; details: object }>();
  return { status: response.status, code, details };
};

/** The status of an answer that is read to its end, so that the next large one need not wait for it. */
async function statusOf(answer: Promise<Response>): Promise<number> {
  const response = await answer;
  await response.arrayBuffer();
  return response.status;
}

interface Operation {
  readonly operationId: string;
  readonly requestBody?: {
    readonly content: { readonly "application/json": { readonly schema: unknown } };
  };
}

/** Every operation that has a body. */
function operations() {
  return Object.entries(openApiDocument().paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>)
      .filter(([method]) => ["post", "put", "patch"].includes(method))
      .map(([method, operation]) => ({
        method: method.toUpperCase(),
        path: path.replaceAll(/\{\w+\}/g, "x"),
        operation,
      })),
  );
}

/** A body that tells whether anybody has read of it. */
function observed() {
  const pull = vi.fn<(controller: ReadableStreamDefaultController<Uint8Array>) => void>(
    (controller) => {
      controller.enqueue(new Uint8Array(65_536).fill(0x20));
    },
  );
  return { pull, body: new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 }) };
}

describe("a body", () => {
  it("of a caller without the scope is not read, whatever the route", async () => {
    const API_TOKENS = await secretOf({ token: "secret-reader", scopes: ["read"] });
    const headers = { Authorization: "Bearer secret-reader", "Content-Type": "application/json" };
    for (const { method, path, operation } of operations()) {
      if (operation.operationId === "query") continue;
      const { pull, body } = observed();
      const request = new Request(URL_OF_SERVICE + path, { method, headers, body });
      expect((await send(request, { API_TOKENS })).status, operation.operationId).toBe(403);
      expect(pull, operation.operationId).not.toHaveBeenCalled();
    }
  });

  it("for no operation is not read", async () => {
    const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" };
    const { pull, body } = observed();
    const request = new Request(`${URL_OF_SERVICE}/v1/nothing`, { method: "POST", headers, body });
    expect((await send(request)).status).toBe(404);
    expect(pull).not.toHaveBeenCalled();
  });

  it("has a limit that fits what its route does", async () => {
    const limits = new Map<number, string[]>();
    for (const { method, path, operation } of operations()) {
      const headers = { "Content-Length": "1000000000" };
      const { details } = await problemOf(await call(method, path, "", headers));
      const { limit } = details as { limit: number };
      limits.set(limit, [...(limits.get(limit) ?? []), operation.operationId]);
    }
    expect(limits.get(13_000_000)).toEqual(["commit", "settle"]);
    expect(limits.get(1_000_000)).toEqual(["query"]);
    expect([...limits.keys()].toSorted((a, b) => a - b)).toEqual([
      64_000, 1_000_000, 4_000_000, 13_000_000,
    ]);
    expect(limits.get(64_000)).toEqual(
      expect.arrayContaining(["dequeue", "complete", "claimPendingRun", "releaseStaleJobs"]),
    );
  });

  it.each([
    ["objects", "{}"],
    ["lists", "[]"],
    ["numbers", "0"],
    ["members", '{"a":0}'],
  ])(
    "with too many %s is refused before it is parsed, and nothing is written",
    async (_what, each) => {
      const before = await everything();
      const parse = vi.spyOn(JSON, "parse");
      const many = `[${Array.from({ length: 200_000 }, () => each).join(",")}]`;
      const body = `{"workflowId":"w","workflowName":"","workflowType":"","input":${many}}`;
      const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" };
      const response = await send(
        new Request(`${URL_OF_SERVICE}/v1/runs`, { method: "POST", headers, body }),
      );
      expect(parse.mock.calls.some(([text]) => text.length > 100_000)).toBe(false);
      parse.mockRestore();
      expect(await problemOf(response)).toEqual({
        status: 422,
        code: "INVALID_ARGUMENT",
        details: { field: "body", limit: 200_000 },
      });
      expect(await everything()).toBe(before);
    },
  );

  it("may have as many values as are allowed, those in its texts not counted", async () => {
    const input = [...Array.from({ length: 199_000 }, () => 0), "[{},{},{}]".repeat(50_000)];
    expect(await statusOf(call("POST", "/v1/runs", { ...aRun, id: "many", input }))).toBe(201);
    expect((await embed(env).persistence.getRun("many"))?.input).toHaveLength(199_001);
  });

  it("has a maximum for each of its lists, which is met before their members are looked at", async () => {
    const lists: string[] = [];
    for (const { method, path, operation } of operations()) {
      const schema = operation.requestBody?.content["application/json"].schema;
      const text = JSON.stringify(schema ?? {});
      const name = /"#\/components\/schemas\/(\w+)"/.exec(text)?.[1];
      const shape = (name === undefined ? schema : componentOf(name)) as {
        properties?: Record<string, { type?: string; maxItems?: number }>;
      };
      for (const [member, { type, maxItems }] of Object.entries(shape?.properties ?? {})) {
        if (type !== "array") continue;
        lists.push(`${operation.operationId}.${member}`);
        const limit = maxItems ?? -1;
        const body = { [member]: Array.from({ length: limit + 1 }, () => 0) };
        expect(await problemOf(await call(method, path, body)), lists.at(-1)).toEqual({
          status: 422,
          code: "INVALID_ARGUMENT",
          details: { field: member, limit },
        });
      }
    }
    expect(lists.length).toBeGreaterThanOrEqual(10);
  });

  it("of a commit holds no more values in the JSON of its rows than outside of them", async () => {
    const data = `[${Array.from({ length: 150_000 }, () => "{}").join(",")}]`;
    const artifact = (key: string) => ({
      kind: "saveArtifact",
      row: {
        workflowRunId: "run",
        key,
        ordinal: key,
        createdAt: 1,
        updatedAt: 1,
        workflowStageId: null,
        type: "ARTIFACT",
        data,
        size: 1,
        metadata: null,
      },
      replaceStage: false,
      replaceMetadata: false,
      linkStageId: null,
    });
    const changes = [artifact("1"), artifact("2")];
    const commit = { id: newCommitId(Date.now()), guards: [], changes, reads: [] };
    expect(await problemOf(await call("POST", "/v1/commits", commit))).toEqual({
      status: 422,
      code: "INVALID_ARGUMENT",
      details: { field: "changes", limit: 200_000 },
    });
  });

  it("whose text takes twice the memory may be half as long", async () => {
    const commit = (data: string) => ({ id: data, guards: [], changes: [], reads: [] });
    const narrow = await problemOf(
      await call("POST", "/v1/commits", commit("x".repeat(7_000_000))),
    );
    expect(narrow.code).toBe("INVALID_ARGUMENT");
    const wide = commit(`${"x".repeat(7_000_000)}\u4e00`);
    expect(await problemOf(await call("POST", "/v1/commits", wide))).toMatchObject({
      status: 413,
      code: "PAYLOAD_TOO_LARGE",
    });
  });
});

function componentOf(name: string): unknown {
  return openApiDocument().components.schemas[name];
}

describe("an answer", () => {
  const six = ["1", "2", "3", "4", "5", "6"];

  async function addArtifacts(): Promise<void> {
    const { persistence } = embed(env);
    await persistence.createRun({ ...aRun, id: "run" });
    for (const key of six) {
      const artifact = { workflowRunId: "run", key, type: "ARTIFACT" as const, size: 1 };
      await persistence.saveArtifact({ ...artifact, data: LARGE });
    }
  }

  it("of queries has a limit, however they are asked; a large row fits", async () => {
    await addArtifacts();
    const one = { q: "artifact", workflowRunId: "run", key: "1" };
    const ask = async (queries: unknown[]) => call("POST", "/v1/queries", { queries });
    expect((await (await ask([one])).text()).length).toBeGreaterThan(1_800_000);
    expect((await (await ask([one, one, one, one])).text()).length).toBeGreaterThan(7_200_000);
    const tooLarge = {
      status: 413,
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "answer", limit: 8_000_000 },
    };
    expect(await problemOf(await ask([{ q: "artifacts", workflowRunId: "run" }]))).toEqual(
      tooLarge,
    );
    const many = Array.from({ length: 100 }, () => one);
    expect(await problemOf(await ask(many))).toEqual(tooLarge);
    // Without a bound there is none.
    expect(await embed(env).persistence.listArtifacts("run")).toHaveLength(6);
  });

  it("that is too large keeps its commit from landing", async () => {
    await addArtifacts();
    const commit = (reads: unknown[]) => ({
      id: newCommitId(Date.now()),
      guards: [],
      changes: [{ kind: "updateRun", id: "run", set: { status: "FAILED" }, at: 1, bump: 1 }],
      reads,
    });
    const status = async () => embed(env).persistence.getRunStatus("run");
    const all = await call(
      "POST",
      "/v1/commits",
      commit([{ q: "artifacts", workflowRunId: "run" }]),
    );
    expect(await problemOf(all)).toMatchObject({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    expect(await status()).toBe("PENDING");
    const one = commit([{ q: "artifact", workflowRunId: "run", key: "1" }]);
    expect(await statusOf(call("POST", "/v1/commits", one))).toBe(200);
    expect(await status()).toBe("FAILED");
    expect((await embed(env).persistence.getRun("run"))?.version).toBe(2);
  });

  it("of a dequeue holds as many jobs as fit; the others wait for the next one", async () => {
    const { persistence, jobs } = embed(env);
    await persistence.createRun({ ...aRun, id: "run" });
    for (const stageId of six) {
      const job = { workflowRunId: "run", workflowId: "w", stageId, payload: { LARGE } };
      await jobs.enqueue(job);
    }
    const over = connectInProcess();
    const first = await over.jobs.dequeueMany(100);
    expect(first.length).toBeGreaterThan(1);
    const path = "/v1/jobs/dequeue";
    const { jobs: second } = await (
      await call("POST", path, { count: 100 })
    ).json<{
      jobs: object[];
    }>();
    expect(second.length).toBeGreaterThan(0);
    const stored = await jobs.getJobsByWorkflowRun("run");
    const leased = stored.filter(({ status }) => status === "RUNNING");
    expect([stored.length, leased.length]).toEqual([6, first.length + second.length]);
  });

  it("keeps no large event in the DLQ: they are put back a page at a time", async () => {
    const { persistence } = embed(env);
    const event = { eventType: "e", causationId: "c", occurredAt: new Date(0) };
    for (const workflowRunId of six) {
      await persistence.appendOutboxEvents([{ ...event, workflowRunId, payload: LARGE }]);
      await persistence.moveOutboxEventToDLQ(`${workflowRunId}/1`);
    }
    const answer = await call("POST", "/v1/outbox-events/replay", { maxEvents: 1_000 });
    expect([answer.status, await answer.json()]).toEqual([200, { replayed: 6 }]);
    const waiting = await persistence.getUnpublishedOutboxEvents(10);
    expect(waiting.map(({ workflowRunId }) => workflowRunId)).toEqual([...six]);
  });

  it("of a claim is one run, however large the others are that wait", async () => {
    const { persistence } = embed(env);
    for (const id of six) await persistence.createRun({ ...aRun, id, input: LARGE });
    const claimed = await call("POST", "/v1/runs/claim");
    const { run } = await claimed.json<{ run: { id: string } }>();
    const over = connectInProcess().persistence;
    const second = await over.claimNextPendingRun();
    const third = await over.withTransaction(async (tx) => tx.claimNextPendingRun());
    expect([run.id, second?.id, third?.id]).toEqual(["1", "2", "3"]);
  });
});
