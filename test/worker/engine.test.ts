/** A Worker with an `engine`: all its commits wake the queue's consumer, and it has a queue or says so. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { Hono } from "hono";
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { connectHttp } from "../../src/client/index.ts";
import { runsOf, workflow } from "../../src/engine.ts";
import { engine } from "../../src/engine-worker.ts";
import { embed } from "../../src/embed.ts";
import { app } from "../../src/http/app.ts";
import type { HttpEnv } from "../../src/http/env.ts";
import { ADMIN, API_TOKENS, URL_OF_SERVICE } from "../http/support.ts";
import { RecordingQueue } from "../queue/support/queue.ts";
import { Delivery } from "../queue/support/queue.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };
const asks = workflow("asks", { input: z.null() })
  .waitFor("go", { payload: z.boolean(), within: "1d" })
  .stage("last", ({ input }) => input.received)
  .build();
const mounted = new Hono<{ Bindings: HttpEnv }>().mount("/api", app.fetch);

const workers = {
  "without a fetch of its own": { worker: engine({ workflows: [asks] }), at: URL_OF_SERVICE },
  "that mounts the HTTP API in its fetch": {
    worker: engine({ workflows: [asks], fetch: async (...given) => mounted.fetch(...given) }),
    at: `${URL_OF_SERVICE}/api`,
  },
};

beforeEach(async () => {
  await emptyDatabase();
});

describe.each(Object.entries(workers))("an engine %s", (_, { worker, at }) => {
  let queue: RecordingQueue;
  const bindings = (): HttpEnv => ({ DB: env.DB, RUNS: env.RUNS, JOBS: queue, API_TOKENS });
  beforeEach(() => {
    queue = new RecordingQueue();
  });

  async function answered(request: Request, of = bindings()): Promise<Response> {
    const ctx = createExecutionContext();
    const response = await worker.fetch(request, of, ctx);
    await waitOnExecutionContext(ctx);
    return response;
  }

  it("wakes its consumer for what is committed over HTTP: a start, a signal and a job", async () => {
    const connection = connectHttp({
      url: at,
      token: ADMIN,
      fetch: async (request) => answered(request),
    });
    const run = await runsOf(connection).start(asks, null);
    expect(queue.take()).toMatchObject([{ body: { kind: "jobs" } }]);
    await worker.queue(
      { messages: [new Delivery({ v: 1, kind: "jobs" })] },
      bindings(),
      createExecutionContext(),
    );
    queue.take();
    await run.signal("go", true);
    expect(queue.take()).toMatchObject([{ body: { kind: "jobs" } }]);
    await connection.jobs.enqueue(JOB);
    expect(queue.take()).toMatchObject([{ body: { kind: "jobs" } }]);
  });

  it("refuses everything without the queue, and names the binding and its lines", async () => {
    const { JOBS: _queue, ...without } = bindings();
    const lines = expect.stringMatching(
      /^The binding JOBS is missing.*\n\[\[queues\.producers\]\]/,
    );
    const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" };
    const job = { method: "POST", headers, body: JSON.stringify(JOB) };
    const posted = await answered(new Request(`${at}/v1/jobs`, job), without);
    expect(await posted.json()).toMatchObject({ code: "NOT_CONFIGURED", detail: lines });
    const ready = await answered(new Request(`${at}/readyz`), without);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ ready: false, checks: { queue: lines } });
    const refusal = { code: "INVALID_ARGUMENT", message: lines };
    expect(() => embed(without)).toThrow(expect.objectContaining(refusal));
    const ctx = createExecutionContext();
    await expect(worker.scheduled({}, without, ctx)).rejects.toMatchObject(refusal);
    await expect(worker.queue({ messages: [] }, without, ctx)).rejects.toMatchObject(refusal);
    expect(await embed(bindings()).jobs.jobStats()).toMatchObject({ due: 0 });
  });
});

describe("embed in a Worker with an engine", () => {
  it("wakes its consumer, unless it is told not to", async () => {
    const queue = new RecordingQueue();
    const of = { DB: env.DB, RUNS: env.RUNS, JOBS: queue };
    await embed(of).jobs.enqueue(JOB);
    expect(queue.take()).toHaveLength(1);
    await embed(of, { wakes: false }).jobs.enqueue(JOB);
    expect(queue.take()).toEqual([]);
  });
});
