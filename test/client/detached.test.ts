/** A connection's methods work wherever they are carried to: taken out of their object, and spread into another. */
import { beforeEach, describe, expect, it } from "vitest";
import { connectHttp as connectBrowser } from "../../src/client/browser.ts";
import { connect, connectHttp } from "../../src/client/index.ts";
import type { Backend } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { createMemoryBackend } from "../../src/testing/memory.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const JOB = { workflowRunId: "run", workflowId: "w", stageId: "s" };
const http = { url: URL_OF_SERVICE, token: ADMIN, fetch: (request: Request) => send(request) };

const WAYS: Readonly<Record<string, () => Backend>> = {
  embed: () => embed(env),
  binding: () => connect(service),
  http: () => connectHttp(http),
  browser: () => connectBrowser(http),
  memory: () => createMemoryBackend(),
};

/** Every function that is reached by a name, whether it is the object's own or not. */
function methodsOf(object: object): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (let at: object | null = object; at !== null && at !== Object.prototype;) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (name === "constructor" || found.has(name)) continue;
      const value: unknown = Reflect.get(object, name);
      if (typeof value === "function") found.set(name, value);
    }
    at = Object.getPrototypeOf(at) as object | null;
  }
  return found;
}

beforeEach(async () => {
  await emptyDatabase();
});

describe.each(Object.entries(WAYS))("a connection by %s", (_way, open) => {
  it("is spread with every method of every facet", () => {
    const connection = open();
    const facets = [connection, connection.persistence, connection.jobs, connection.aiCalls];
    for (const facet of facets) {
      const methods = methodsOf(facet);
      expect(methods.size).toBeGreaterThan(0);
      expect({ ...facet }).toMatchObject(Object.fromEntries(methods));
    }
  });

  it("has methods that need no object, each of them", async () => {
    const connection = open();
    const { persistence, jobs, aiCalls } = connection;
    for (const facet of [connection, persistence, jobs, aiCalls]) {
      for (const [name, method] of methodsOf(facet)) {
        if (typeof method !== "function") continue;
        // What they make of no arguments is their own affair; that they find themselves is not.
        const outcome: unknown = await (async () => Reflect.apply(method, undefined, []))().catch(
          (error: unknown) => error,
        );
        if (outcome instanceof TypeError) {
          expect(outcome.message, name).not.toMatch(/private|reading '#|receiver/i);
        }
      }
    }
  });

  it("works by them, in a transaction as well", async () => {
    const { audit, jobs, persistence, aiCalls } = { ...open() };
    const { withTransaction, getRun, updateStage } = persistence;
    const { enqueue, dequeue, complete } = jobs;
    const { logCall, flush, getStats } = aiCalls;
    await withTransaction(async ({ createRun, createStage, ...tx }) => {
      await createRun(RUN);
      const stage = { workflowRunId: "run", stageId: "s", stageName: "", stageNumber: 1 };
      const { id } = await createStage({ ...stage, executionGroup: 1 });
      await tx.updateStage(id, { status: "RUNNING" });
    });
    expect(await getRun("run")).toMatchObject({ id: "run" });
    const stage = await persistence.getStage("run", "s");
    await updateStage(stage?.id ?? "", { status: "COMPLETED" });
    await enqueue(JOB);
    const job = await dequeue();
    await complete(job?.jobId ?? "");
    logCall({
      topic: "t",
      callType: "text",
      modelKey: "m",
      modelId: "m",
      prompt: "",
      response: "",
      inputTokens: 1,
      outputTokens: 1,
      cost: 1,
    });
    await flush();
    expect(await getStats("t")).toMatchObject({ totalCalls: 1 });
    expect(await audit()).toEqual([]);
  });
});
