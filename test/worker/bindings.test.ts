/** Bindings that are missing are told before anything is written, with the lines that bind them. */
import { createExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import { runsIn } from "../../src/engine-worker.ts";
import { embed } from "../../src/embed.ts";
import worker from "../../src/index.ts";
import { EngineSession } from "../../src/rpc/workflow-engine.ts";
import { dispatcher, openStore, type WorkflowEngineEnv } from "../../src/worker/index.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { RecordingQueue } from "../queue/support/queue.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };
const hello = workflow("hello", { input: z.null() })
  .stage("greet", () => "hi", { timeout: "5s" })
  .build();

beforeEach(async () => {
  await emptyDatabase();
});

type Bindings = Partial<Record<"DB" | "RUNS" | "JOBS", unknown>>;

/** The bindings of a Worker whose wrangler.toml is not as it should be. */
function withBindings(more: Bindings): WorkflowEngineEnv {
  const bound: Bindings = { DB: env.DB, RUNS: env.RUNS, JOBS: new RecordingQueue(), ...more };
  return bound as unknown as WorkflowEngineEnv;
}

const ctx = () => createExecutionContext();
const doors: readonly [string, (of: WorkflowEngineEnv) => unknown][] = [
  ["embed", (of) => embed(of)],
  ["runsIn", (of) => runsIn(of, ctx())],
  ["the cron", async (of) => worker.scheduled({}, of, ctx())],
  ["the queue's consumer", async (of) => worker.queue({ messages: [] }, of, ctx())],
];

async function thrownBy(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return null;
}

describe.each([
  ["DB", "a D1 database", "[[d1_databases]]"],
  ["RUNS", "the namespace of the Durable Object class RunCoordinator", "[[migrations]]"],
] as const)("without the binding %s", (name, kind, lines) => {
  const told = {
    code: "INVALID_ARGUMENT",
    details: { field: name },
    message: expect.stringMatching(
      new RegExp(`^The binding ${name} is missing: it must be ${kind}\\. wrangler\\.toml needs:\n`),
    ),
  };

  it.each(doors)("%s refuses, and names it, its kind and its lines", async (_, open) => {
    const error = await thrownBy(() => open(withBindings({ [name]: undefined })));
    expect(error).toMatchObject(told);
    expect(String(error)).toContain(lines);
  });

  it("so do all calls over RPC", async () => {
    const session = new EngineSession(() => openStore(withBindings({ [name]: undefined })));
    expect(await session.now()).toMatchObject({ ok: false, error: told });
  });

  it("so do all calls over HTTP, and /readyz tells it", async () => {
    const overrides = withBindings({ [name]: undefined });
    const headers = { Authorization: `Bearer ${ADMIN}` };
    const time = new Request(`${URL_OF_SERVICE}/v1/time`, { headers });
    const answer = await send(time, overrides);
    expect(await answer.json()).toMatchObject({ code: "NOT_CONFIGURED", detail: told.message });
    const ready = await send(new Request(`${URL_OF_SERVICE}/readyz`), overrides);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      ready: false,
      checks: { [name === "DB" ? "database" : "coordinators"]: told.message },
    });
  });
});

describe("a binding of another kind", () => {
  it.each(["DB", "RUNS"])("is refused as %s", async (name) => {
    expect(await thrownBy(() => embed(withBindings({ [name]: { get() {} } })))).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(`The binding ${name} is of another kind: it must be`),
    });
  });
});

describe("without the binding JOBS", () => {
  const told = {
    code: "INVALID_ARGUMENT",
    details: { field: "JOBS" },
    message: expect.stringContaining('[[queues.producers]]\nbinding = "JOBS"'),
  };

  it.each<[string, (of: WorkflowEngineEnv) => unknown]>([
    ["runsIn", async (of) => runsIn(of, ctx()).start(hello, null)],
    ["embed that is to wake", async (of) => embed(of, { wakes: true }).jobs.enqueue(JOB)],
    [
      "the cron of a Worker with a handler",
      async (of) =>
        dispatcher({
          handler: () => ({ handleJob: async () => ({ status: "completed" }) }),
        }).scheduled({}, of, ctx()),
    ],
  ])("%s refuses, and nothing is written", async (_, act) => {
    expect(await thrownBy(() => act(withBindings({ JOBS: undefined })))).toMatchObject(told);
    const { persistence, jobs } = embed(env);
    expect(await persistence.getRunsByStatus("RUNNING")).toEqual([]);
    expect(await jobs.jobStats()).toMatchObject({ due: 0 });
  });

  it("a Worker that keeps runs and works none is as it should be", async () => {
    const plain = withBindings({ JOBS: undefined });
    const id = await embed(plain).jobs.enqueue(JOB);
    await worker.scheduled({}, plain, ctx());
    expect(await embed(plain).jobs.dequeue()).toMatchObject({ jobId: id });
    const ready = await send(new Request(`${URL_OF_SERVICE}/readyz`), plain);
    expect(await ready.json()).toMatchObject({ ready: true, checks: { queue: "ok" } });
  });

  it.each<[string, Partial<WorkflowEngineEnv>]>([
    ["a HANDLER", { HANDLER: { handleJob: async () => ({ status: "completed" }) } }],
    ["WAKE_UPS", { WAKE_UPS: "on" }],
  ])("/readyz of a service with %s tells it", async (_, more) => {
    const overrides = { ...withBindings({ JOBS: undefined }), ...more };
    const ready = await send(new Request(`${URL_OF_SERVICE}/readyz`), overrides);
    expect(await ready.json()).toMatchObject({ ready: false, checks: { queue: told.message } });
  });
});
