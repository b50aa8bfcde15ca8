/** What the AI calls of stages cost their runs. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { type StageAICall, workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const call = { model: "m", inputTokens: 2, outputTokens: 3, cost: 1.5 };

/** Records the calls in each of three tries, the last of which succeeds. */
function recording(...calls: readonly StageAICall[]) {
  return workflow("recording", { input: z.null() })
    .stage(
      "s",
      ({ ai, attempt }) => {
        for (const each of calls) ai.record(each);
        if (attempt < 3) throw new Error("not yet");
        return attempt;
      },
      { retry: { attempts: 3, backoff: 0 } },
    )
    .build();
}

describe.each(["D1", "maps"] as const)("AI calls over %s", (over) => {
  async function costOf(...calls: readonly StageAICall[]) {
    const flow = recording(...calls);
    const engine = new Engine({ workflows: [flow], over });
    const run = await engine.runs.start(flow, null);
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 3 });
    const row = await engine.connection.persistence.getRun(run.id);
    const stats = await engine.connection.aiCalls.getStats(`workflow.${run.id}`);
    expect(stats).toMatchObject({ totalCost: row?.totalCost });
    return { calls: stats.totalCalls, cost: row?.totalCost, tokens: row?.totalTokens };
  }

  it("count in each try, where they name no request of a batch", async () => {
    expect(await costOf(call)).toEqual({ calls: 3, cost: 4.5, tokens: 15 });
    expect(await costOf({ ...call, batchId: "b" })).toEqual({ calls: 3, cost: 4.5, tokens: 15 });
    expect(await costOf({ ...call, requestId: "r" })).toEqual({ calls: 3, cost: 4.5, tokens: 15 });
  });

  it("count once, where they name their request, beside those that do not", async () => {
    const request = { ...call, batchId: "b", requestId: "r" };
    expect(await costOf(request, { ...request, cost: 7 })).toEqual({
      calls: 1,
      cost: 1.5,
      tokens: 5,
    });
    expect(await costOf(call, { ...request, requestId: "other" })).toEqual({
      calls: 4,
      cost: 6,
      tokens: 20,
    });
  });

  it("are the same requests as those that callers of the contract log", async () => {
    const flow = recording({ ...call, batchId: "b", requestId: "r" });
    const engine = new Engine({ workflows: [flow], over });
    const { model, ...spent } = call;
    const logged = { ...spent, modelKey: model, modelId: model, callType: "text", topic: "mine" };
    await engine.connection.aiCalls.logBatchResults("b", [
      { ...logged, prompt: "", response: "", requestId: "r" },
    ]);
    const run = await engine.runs.start(flow, null);
    await engine.settle();
    expect(await run.output()).toMatchObject({ status: "COMPLETED" });
    expect(await engine.connection.persistence.getRun(run.id)).toMatchObject({ totalCost: 0 });
    expect(await engine.connection.aiCalls.getStats("mine")).toMatchObject({ totalCalls: 1 });
  });
});
