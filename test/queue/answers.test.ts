/** What an app in another Worker answers where it is of another version, or is written by hand. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import type { GroupAnswer, StageAnswer } from "../../src/engine/delivery.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { consume, dispatchSettings } from "../../src/queue/index.ts";
import { Engine } from "../runner/support/engine.ts";
import { sound } from "../runner/support/crash.ts";
import { emptyDatabase } from "../support/database.ts";
import { permits } from "./support/queue.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const notes = { logs: [], annotations: [], artifacts: [], aiCalls: [] };
const chain = workflow("chain", { input: z.null() })
  .stage("first", ({ ai, log, annotate, artifacts }) => {
    ai.record({ model: "m", inputTokens: 1, outputTokens: 2, cost: 3, metadata: { a: [1] } });
    log("said", { at: 1 });
    annotate("key", 1);
    artifacts.save("kept", 1, { of: "first" });
    return 1;
  })
  .stageIf(
    "skipped",
    () => false,
    () => 1,
  )
  .parallel({ left: () => 1, right: stage({ concurrency: { key: "k", limit: 1 }, run: () => 2 }) })
  .sleep("nap", "1s")
  .stage(
    "polled",
    stage({
      run: ({ suspend }) => suspend(1, { pollIn: "1s", within: "1m" }),
      poll: (_, state) => state,
    }),
  )
  .waitFor("go", { payload: z.number(), within: "1s" })
  .build();

/** A run whose app answers this for its first stage, and for the group. */
async function answering(first: unknown, group?: unknown) {
  const engine = new Engine({ workflows: [chain] });
  const stages = stageRunner([chain], { env: {}, now: () => engine.now });
  const run = await engine.runs.start(chain, null);
  const handler = {
    handleJob: async () => ({ status: "completed" }) as const,
    runStage: async (...given: Parameters<typeof stages.runStage>) =>
      given[0].stageId === "first" && first !== undefined
        ? (first as StageAnswer)
        : stages.runStage(...given),
    afterGroup: async (...given: Parameters<typeof stages.afterGroup>) =>
      group === undefined ? stages.afterGroup(...given) : (group as GroupAnswer),
  };
  const options = {
    store: engine.store,
    handler: { embedded: false, handler },
    settings: dispatchSettings({ RETRY_JITTER: 0 }),
    workerId: "consumer",
    waitUntil: () => {},
  } as const;
  for (let rounds = 0; rounds < 12; rounds += 1) {
    while ((await consume(permits(1), options)).claimed > 0);
    await engine.failures();
    engine.now += 60_000;
  }
  return { engine, run };
}

describe("an answer of an app in another Worker", () => {
  it("is taken as the engine makes it, of every kind", async () => {
    const { engine, run } = await answering(undefined);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: { received: false } });
    await sound(engine, run.id);
  });

  const finish = { kind: "finish", output: "1", skipped: [] };
  const completed = { outcome: "completed", output: "1", next: finish, notes };
  const waiting = { outcome: "waiting", for: "time", notes };
  it.each<[string, unknown, string]>([
    ["nothing", null, " must be an object"],
    ["no outcome", {}, ".outcome must be one of"],
    ["an outcome of its own", { outcome: "later", notes }, ".outcome must be one of"],
    ["no JSON", { ...completed, output: "{" }, ".output must be JSON"],
    ["no notes", { ...completed, notes: undefined }, ".notes must be an object"],
    ["no next", { ...completed, next: undefined }, ".next must be an object"],
    [
      "a group without stages",
      { ...completed, next: { kind: "group", group: 2, stages: [], skipped: [] } },
      ".next.stages must not be empty",
    ],
    ["no reason", { outcome: "failed", retryInMs: null, notes }, ".error must be a string"],
    [
      "a reason without an end",
      { outcome: "failed", error: "x".repeat(100_000), retryInMs: null, notes },
      ".error is too long",
    ],
    ["a pause without an end", { ...waiting, ms: Infinity }, ".ms must be a whole number"],
    ["a pause that is over", { ...waiting, ms: -1e15 }, ".ms must be"],
    [
      "a retry that is never",
      { outcome: "failed", error: "x", retryInMs: Number.NaN, notes },
      ".retryInMs must be a whole number",
    ],
  ])("that has %s ends the run with that reason", async (_, answer, says) => {
    const { engine, run } = await answering(answer);
    const output = await run.output();
    expect(output).toMatchObject({ status: "FAILED" });
    expect(output).toHaveProperty("reason", expect.stringContaining("The HANDLER's answer" + says));
    await sound(engine, run.id);
  });

  it("to a group, that is none, ends the run with that reason", async () => {
    const { engine, run } = await answering(undefined, { outcome: "next", next: {} });
    const reason = expect.stringContaining("The HANDLER's answer.next.kind must be one of");
    expect(await run.output()).toMatchObject({ status: "FAILED", reason });
    await sound(engine, run.id);
  });
});
