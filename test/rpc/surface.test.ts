import { afterEach, describe, expect, it, vi } from "vitest";
import { ServiceError } from "../../src/contract/index.ts";
import { EngineSession, WorkflowEngine } from "../../src/rpc/workflow-engine.ts";
import * as worker from "../../src/index.ts";
import type { Store } from "../../src/changes/index.ts";
import { connect, type WorkflowEngineBinding } from "../../src/client/index.ts";
import { exports as loopback } from "cloudflare:workers";
import { openStore } from "../../src/worker/index.ts";
import { env, service } from "../support/env.ts";
import { aCommit } from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** What a call over RPC comes to: "called", or the message of its error. */
async function calling(target: unknown, name: string, ...args: unknown[]): Promise<string> {
  const methods = target as Record<string, (...rest: unknown[]) => Promise<unknown>>;
  try {
    await methods[name]?.(...args);
    return "called";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A store each of whose methods fails in the same way. */
function failingWith(error: unknown): Store {
  const fail = async () => {
    throw error;
  };
  return { now: fail, read: fail, attempt: fail, settle: fail };
}

describe("the entrypoint WorkflowEngine", () => {
  it("has open and nothing else", () => {
    expect(Reflect.ownKeys(WorkflowEngine.prototype)).toEqual(["constructor", "open"]);
  });

  it.each(["attempt", "constructor", "env", "ctx", "fetch"])("has no %s to call", async (name) => {
    expect(await calling(service, name)).not.toBe("called");
  });

  it("opens a session whatever it is given", async () => {
    expect(await calling(service, "open", { admin: true })).toBe("called");
  });
});

describe("a session", () => {
  it("has now, read, attempt, whenOver and settle and nothing else", () => {
    expect(Reflect.ownKeys(EngineSession.prototype)).toEqual([
      "constructor",
      "now",
      "read",
      "attempt",
      "whenOver",
      "settle",
    ]);
  });

  it.each(["store", "#store", "open", "constructor", "__proto__"])(
    "has no %s to call",
    async (name) => {
      const session = await service.open();
      expect(await calling(session, name)).not.toBe("called");
    },
  );

  it("answers a fault of ours as it is", async () => {
    const fault = new ServiceError("OVERLOADED", "Too much at once", { field: "x", limit: 1 });
    const session = new EngineSession(() => failingWith(fault));
    expect(await session.now()).toEqual({
      ok: false,
      error: { code: "OVERLOADED", message: "Too much at once", details: { field: "x", limit: 1 } },
    });
  });

  it("tells in each answer which setting of the service is refused", async () => {
    const session = new EngineSession(() => openStore({ ...env, LEASE_MS: "" }));
    for (const answer of [session.now(), session.read([]), session.attempt(aCommit({}))]) {
      expect(await answer).toMatchObject({
        ok: false,
        error: { code: "INVALID_ARGUMENT", details: { field: "LEASE_MS" } },
      });
    }
  });

  it("tells nothing of any other fault, and logs it", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    const fault = new TypeError("cannot read the secret");
    const session = new EngineSession(() => failingWith(fault));
    expect(await session.read([])).toEqual({
      ok: false,
      error: { code: "INTERNAL", message: "Unexpected fault", details: {} },
    });
    expect(log).toHaveBeenCalledWith(expect.any(String), fault);
  });
});

describe("the entrypoints that may do less", () => {
  const named = (name: string) =>
    connect(
      (loopback as unknown as Record<string, WorkflowEngineBinding>)[name] as WorkflowEngineBinding,
    );
  const run = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };

  it("WorkflowReader reads, and writes nothing", async () => {
    const { id } = await connect(service).persistence.createRun(run);
    const { persistence, jobs } = named("WorkflowReader");
    expect(await persistence.getRun(id)).toMatchObject({ id });
    expect(await jobs.jobStats()).toMatchObject({ leased: 0 });
    const before = await persistence.getRunsByStatus("PENDING");
    for (const write of [
      () => persistence.createRun(run),
      () => persistence.withTransaction((tx) => tx.updateRun(id, { totalCost: 1 })),
      () => jobs.enqueue({ workflowRunId: id, workflowId: "w", stageId: "s" }),
      () => jobs.dequeue(),
    ]) {
      await expect((async () => write())()).rejects.toMatchObject({ code: "FORBIDDEN" });
    }
    expect(await persistence.getRunsByStatus("PENDING")).toEqual(before);
  });

  it("WorkflowWorker leases and settles jobs, and changes no run", async () => {
    const everything = connect(service);
    const { id } = await everything.persistence.createRun(run);
    const jobId = await everything.jobs.enqueue({
      workflowRunId: id,
      workflowId: "w",
      stageId: "s",
      priority: 99,
    });
    const { persistence, jobs } = named("WorkflowWorker");
    expect(await jobs.dequeue()).toMatchObject({ jobId });
    await jobs.touchJob(jobId);
    await persistence.createLog({ workflowRunId: id, level: "INFO", message: "at work" });
    const update = (async () => persistence.updateRun(id, { status: "COMPLETED" }))();
    await expect(update).rejects.toMatchObject({
      code: "FORBIDDEN",
      details: { change: "updateRun" },
    });
    await jobs.complete(jobId);
    expect(await everything.jobs.getJobsByWorkflowRun(id)).toMatchObject([{ status: "COMPLETED" }]);
  });
});

describe("the Worker", () => {
  it("offers the entrypoint, the Durable Object and its handlers", () => {
    expect(Object.keys(worker).toSorted()).toEqual([
      "RunCoordinator",
      "WorkflowEngine",
      "WorkflowReader",
      "WorkflowWorker",
      "default",
    ]);
    expect(Object.keys(worker.default)).toEqual(["fetch", "queue", "scheduled"]);
  });
});
