/** Progress is told while its stage runs: before the event of its outcome, and not after it. */
import { beforeEach, expect, it } from "vitest";
import * as z from "zod";
import type { StageRunner, StageTools } from "../../src/engine/delivery.ts";
import { workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import { drive } from "../../src/runner/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { sound } from "./support/crash.ts";
import { Engine } from "./support/engine.ts";
import { tells } from "./support/gate.ts";
import { gated, leasesEnd, stopping } from "./support/race.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();
const chain = workflow("chain", { input })
  .stage("first", ({ progress }) => {
    progress(1, 2);
  })
  .stage("second", () => 2)
  .build();

it("is stored before the result of a stage that does not wait for it", async () => {
  const { engine, store } = gated(chain);
  const telling = store.before(tells("stage:progress"));
  const run = await engine.runs.start(chain, null);
  const worker = engine.consume(1);
  await telling.reached();
  telling.open();
  await worker;
  expect((await engine.events(run.id)).slice(1, 4)).toEqual([
    "stage:started first",
    "stage:progress first",
    "stage:completed first",
  ]);
  await sound(engine, run.id);
});

it("is not told by code that goes on after its stage", async () => {
  const engine = new Engine({ workflows: [chain] });
  const run = await engine.runs.start(chain, null);
  const connection = new Connection(engine.store);
  const [job] = await connection.jobs.dequeueMany(1);
  if (job === undefined) throw new Error("There is no job");
  const { jobId, workflowRunId, stageId, attempt } = job;
  const ordinal = jobId.slice(workflowRunId.length + 1);
  const stages = stageRunner([chain], { env: {}, now: () => 0 });
  let first: StageTools | null = null;
  const runner: StageRunner = {
    ...stages,
    async runStage(delivery, tools) {
      engine.now += 60_000;
      await first?.progress(2, 2);
      first ??= tools;
      return stages.runStage(delivery, tools);
    },
  };
  const options = { unit: unitOf(connection), runner, signal: new AbortController().signal };
  await drive({ workflowRunId, ordinal, stageId, attempt }, options);
  const events = await engine.events(run.id);
  expect(events.filter((event) => event === "stage:progress first")).toHaveLength(1);
  await sound(engine, run.id);
});

it("is not told by the last stage of a group, while what comes after the group is decided", async () => {
  const engine = new Engine({ workflows: [] });
  let late: ((done: number) => void) | undefined;
  const pair = workflow("pair", { input })
    .parallel({
      one: () => 1,
      two: ({ progress }) => {
        late = progress;
        return 2;
      },
    })
    .stageIf(
      "after",
      async () => {
        // Its job still stands at the stage, so the lease alone would let it pass.
        late?.(1);
        for (let reads = 0; reads < 3; reads += 1) await engine.connection.audit();
        return true;
      },
      () => 3,
    )
    .build();
  engine.workflows = [pair];
  const run = await engine.runs.start(pair, null);
  await engine.settle();
  expect(late).toBeDefined();
  const events = await engine.events(run.id);
  expect(events.filter((event) => event.startsWith("stage:progress"))).toEqual([]);
  await sound(engine, run.id);
});

it("is not told by a worker that has lost its lease", async () => {
  const { gate, stop } = stopping();
  const asks = workflow("asks", { input })
    .stage("ask", async ({ progress }) => {
      const call = await stop();
      progress(call);
      return call;
    })
    .build();
  const { engine } = gated(asks);
  const run = await engine.runs.start(asks, null);
  const zombie = engine.consume(1);
  await gate.reached();
  await leasesEnd(engine);
  engine.now += 60_000;
  await engine.settle();
  gate.open();
  await zombie;
  const events = await engine.events(run.id);
  expect(events.filter((event) => event === "stage:progress ask")).toHaveLength(1);
  await sound(engine, run.id);
});
