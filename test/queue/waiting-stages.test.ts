/** Stages of typed workflows that wait for a HANDLER that is not bound are told of in the log. */
import { createExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { connect } from "../../src/client/index.ts";
import type { BoundJobHandler } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { runsOf, workflow } from "../../src/engine.ts";
import worker from "../../src/index.ts";
import { dispatcher, type WorkflowEngineEnv } from "../../src/worker/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";
import { permits, RecordingQueue } from "./support/queue.ts";
import { MINUTE_MS } from "./support/world.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };
const hello = workflow("hello", { input: z.null() })
  .parallel({ left: () => 1, right: () => 2 })
  .build();
const DUE = "Stages of typed workflows are due, and no HANDLER is bound that works them";
const HANDLER: BoundJobHandler = { handleJob: async () => ({ status: "completed" }) };

function bindings(more: Partial<WorkflowEngineEnv> = {}): WorkflowEngineEnv {
  return { DB: env.DB, RUNS: env.RUNS, JOBS: new RecordingQueue(), ...more };
}

let warned: ReturnType<typeof vi.spyOn>;
beforeEach(async () => {
  await emptyDatabase();
  vi.restoreAllMocks();
  vi.spyOn(console, "log").mockImplementation(() => {});
  warned = vi.spyOn(console, "warn").mockImplementation(() => {});
});

/** A tick of the sweep, a minute later. */
async function tick(of: WorkflowEngineEnv): Promise<void> {
  const { scheduled } = dispatcher({ now: () => Date.now() + MINUTE_MS });
  await scheduled({}, of, createExecutionContext());
}

async function deliver(count: number, of: WorkflowEngineEnv): Promise<number> {
  const messages = permits(count);
  await worker.queue({ messages }, of, createExecutionContext());
  return messages.filter(({ acked }) => acked === 1).length;
}

describe("stages that wait, with no HANDLER bound", () => {
  beforeEach(async () => {
    await runsOf(embed(env, { wakes: false })).start(hello, null);
    await embed(env).jobs.enqueue(JOB);
    warned.mockClear();
  });

  it("are told of once a tick of the sweep", async () => {
    await tick(bindings());
    await tick(bindings());
    const line = ["wfe-stages-wait", 2, DUE];
    expect(warned.mock.calls).toEqual([line, line]);
  });

  it("are told of once a delivery of the consumer, which acks it", async () => {
    expect(await deliver(3, bindings({ WAKE_UPS: "on" }))).toBe(3);
    expect(warned.mock.calls).toEqual([["wfe-stages-wait", 2, DUE]]);
  });

  it("are not told of where a HANDLER is bound", async () => {
    await tick(bindings({ HANDLER }));
    expect(warned.mock.calls).toEqual([]);
  });
});

describe("jobs of the contract, with no HANDLER bound", () => {
  it("wait for callers that poll, and nothing is told of them", async () => {
    const id = await embed(env).jobs.enqueue({ ...JOB, payload: { stage: 1 } });
    expect(await deliver(1, bindings())).toBe(1);
    await tick(bindings());
    expect(warned.mock.calls).toEqual([]);
    expect(await embed(env).jobs.dequeue()).toMatchObject({ jobId: id });
  });
});

describe("a run that is started where nothing is woken", () => {
  const line = (id: string) => ["wfe-no-wake-up", id, expect.stringContaining("as HANDLER")];

  it("is told of at once, by the service too", async () => {
    const run = await runsOf(embed(bindings())).start(hello, null);
    expect(warned.mock.calls).toEqual([line(run.id)]);
    const other = await runsOf(connect(service)).start(hello, null);
    expect(warned.mock.calls).toEqual([line(run.id), line(other.id)]);
  });

  it("is not told of where a wake-up is sent, nor is a job of the contract", async () => {
    await runsOf(embed(bindings({ HANDLER }))).start(hello, null);
    await embed(bindings()).jobs.enqueue(JOB);
    expect(warned.mock.calls).toEqual([]);
  });
});
