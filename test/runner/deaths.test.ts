/** Runs whose jobs have failed for good, beside handlers and callers of the contract. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import type { FailedDelivery, JobHandler } from "../../src/contract/index.ts";
import { workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { consume, dispatchSettings } from "../../src/queue/index.ts";
import { Delivery } from "../queue/support/queue.ts";
import { emptyDatabase } from "../support/database.ts";
import { sound } from "./support/crash.ts";
import { tells } from "./support/gate.ts";
import { gated, leasesEnd, stopping } from "./support/race.ts";

const input = z.null();

beforeEach(async () => {
  await emptyDatabase();
});

describe("a run whose worker has died for good", () => {
  it("ends with the reason, and is not handed to a handler that has a jobFailed", async () => {
    const { gate, stop } = stopping();
    const once = workflow("once", { input })
      .stage("only", async () => stop(), { retry: { attempts: 1 } })
      .build();
    const { engine } = gated(once);
    const run = await engine.runs.start(once, null);
    const worker = engine.consume(1);
    await gate.reached();
    await leasesEnd(engine);
    const told: FailedDelivery[] = [];
    const handler: JobHandler = {
      handleJob: async () => ({ status: "completed" }),
      jobFailed: async (failed) => {
        told.push(failed);
      },
    };
    await consume([new Delivery({ v: 1, kind: "failures" })], {
      store: engine.store,
      handler: { embedded: true, handler, stages: stageRunner([once], { env: {}, now: () => 0 }) },
      settings: dispatchSettings({}),
      workerId: "consumer",
      waitUntil: () => {},
    });
    expect(await run.output()).toMatchObject({ status: "FAILED", reason: expect.any(String) });
    expect(told).toEqual([]);
    gate.open();
    await worker;
    expect(await sound(engine, run.id)).toEqual(["only stage:failed"]);
  });
});

describe("a caller of the contract that cancels a run", () => {
  it("is honoured: the result that comes after it is refused, and no job is left", async () => {
    const chain = workflow("chain", { input })
      .stage("first", () => 1)
      .parallel({ p1: () => 1, p2: () => 2 })
      .build();
    const { engine, store } = gated(chain);
    const run = await engine.runs.start(chain, null);
    const gate = store.before(tells("stage:completed"));
    const worker = engine.consume(1);
    await gate.reached();
    await engine.connection.persistence.updateRun(run.id, { status: "CANCELLED" });
    gate.open();
    await worker;
    await engine.settle();
    expect((await run.output()).status).toBe("CANCELLED");
    expect((await engine.rows(run.id)).map(({ eventType }) => eventType)).toEqual([
      "workflow:started",
      "stage:started",
    ]);
    const jobs = await engine.connection.jobs.getJobsByWorkflowRun(run.id);
    expect(jobs.map(({ status }) => status)).toEqual(["COMPLETED"]);
    expect(await engine.connection.audit()).toEqual([]);
  });
});
