/** A batch of AI calls may hold more than one transaction takes, and is recorded whole or not at all. */
import { describe, expect, it } from "vitest";
import type { CreateAICallInput } from "../../src/contract/index.ts";
import { newId, outcomeOf, ways } from "./ways.ts";

function results(topic: string, count: number, chars: number): CreateAICallInput[] {
  const tokens = { inputTokens: 1, outputTokens: 1, cost: 0.01 };
  const call = { topic, callType: "t", modelKey: "m", modelId: "m", response: "r", ...tokens };
  const filling = "p".repeat(chars);
  return Array.from({ length: count }, (_, index) => ({ ...call, prompt: `${index}${filling}` }));
}

describe.each(ways)("a batch of AI calls, $name", ({ open }) => {
  it("is recorded when it has more rows and more text than a transaction takes", async () => {
    const { a } = open();
    const batch = newId();
    const calls = [...results(batch, 1_000, 1), ...results(batch, 600, 30_000)];
    await a.aiCalls.logBatchResults(batch, calls);
    expect((await a.aiCalls.getStats(batch)).totalCalls).toBe(1_600);
    expect(await a.aiCalls.isRecorded(batch)).toBe(true);
  });

  it("is recorded in no part when its last result does not fit into a row", async () => {
    const { a } = open();
    const batch = newId();
    const calls = [...results(batch, 1_000, 1), ...results(batch, 1, 1_900_000)];
    const outcome = await outcomeOf(a.aiCalls.logBatchResults(batch, calls));
    expect(outcome).toBe("PAYLOAD_TOO_LARGE");
    expect((await a.aiCalls.getStats(batch)).totalCalls).toBe(0);
    expect(await a.aiCalls.isRecorded(batch)).toBe(false);
  });
});
