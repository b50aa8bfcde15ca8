/** Runs that wait for one slot of a concurrency key get a wake-up when it is free. */
import { beforeEach, expect, it } from "vitest";
import * as z from "zod";
import { stage, workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { consume, dispatchSettings } from "../../src/queue/index.ts";
import { runsOf } from "../../src/runner/index.ts";
import { openStore, wakerOf } from "../../src/worker/index.ts";
import { WakingStore } from "../../src/queue/waking-store.ts";
import { RecordingQueue } from "../queue/support/queue.ts";
import { toDelivery } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const VARS = { RETRY_JITTER: 0 };

it("also when the job whose slot it was goes on with another stage", async () => {
  const input = z.number();
  const slow = stage({ concurrency: { key: "few", limit: 1 }, run: () => 1 });
  const asks = workflow("asks", { input })
    .stage("ask", slow)
    .stage("next", () => 2)
    .stage("again", slow)
    .waitFor("go", { payload: z.null(), within: "1h" })
    .build();
  const queue = new RecordingQueue();
  const waker = wakerOf({ DB: env.DB, RUNS: env.RUNS, JOBS: queue, ...VARS }, true);
  if (waker === null) throw new Error("There is no queue");
  const store = new WakingStore(openStore(env, { wakes: false }), waker);
  const runs = runsOf(new Connection(store));
  const started = [];
  for (let at = 0; at < 6; at += 1) started.push(await runs.start(asks, at));
  // Nothing but the messages of the queue: no sweep comes.
  for (let sent = queue.take(); sent.length > 0; sent = queue.take()) {
    const due = sent.filter(({ delaySeconds = 0 }) => delaySeconds === 0);
    await consume(due.slice(0, 100).map(toDelivery), {
      store,
      handler: {
        embedded: true,
        handler: { handleJob: async () => ({ status: "completed" }) },
        stages: stageRunner([asks], { env: {}, now: Date.now }),
      },
      settings: dispatchSettings(VARS),
      workerId: "consumer",
      waitUntil: () => {},
    });
  }
  const outputs = await Promise.all(started.map(async (run) => run.outputOf("again")));
  expect(outputs).toEqual([1, 1, 1, 1, 1, 1]);
});
