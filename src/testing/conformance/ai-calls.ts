import { expect, vi } from "vitest";
import type { AIHelperStats, CreateAICallInput } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import { anAICall, expectCode, forced, upTo } from "./support.ts";

const NOTHING: AIHelperStats = {
  totalCalls: 0,
  totalInputTokens: 0,
  totalOutputTokens: 0,
  totalCost: 0,
  perModel: {},
};

/** The AI call logger. */
export function aiCalls(test: Test): void {
  test("getStats of nothing is zero", async ({ a }) => {
    expect(await a.aiCalls.getStats("workflow")).toEqual(NOTHING);
    expect(await a.aiCalls.getStats("")).toEqual(NOTHING);
  });

  test("logCall returns at once and the call is written soon after", async ({ a, b }) => {
    expect(a.aiCalls.logCall(anAICall({ cost: 0.25 }))).toBeUndefined();

    await vi.waitFor(async () => {
      expect(await b.aiCalls.getStats("workflow.run-1")).toEqual({
        totalCalls: 1,
        totalInputTokens: 10,
        totalOutputTokens: 2,
        totalCost: 0.25,
        perModel: { small: { calls: 1, inputTokens: 10, outputTokens: 2, cost: 0.25 } },
      });
    });
  });

  test("flush waits for every call made so far", async ({ a, b }) => {
    for (const n of upTo(20)) a.aiCalls.logCall(anAICall({ inputTokens: n }));

    expect(await a.aiCalls.flush()).toBeUndefined();

    expect(await b.aiCalls.getStats("")).toMatchObject({ totalCalls: 20, totalInputTokens: 210 });
  });

  test("flush resolves when there is nothing to wait for", async ({ a }) => {
    expect(await a.aiCalls.flush()).toBeUndefined();
  });

  test("logCall never throws, and flush resolves after a call that cannot be written", async ({
    a,
  }) => {
    const report = vi.spyOn(console, "error").mockImplementation(() => undefined);
    try {
      const calls = [undefined, null, 7, {}, anAICall({ cost: Number.NaN })];
      for (const call of [...calls, anAICall({ metadata: 1n })]) a.aiCalls.logCall(forced(call));
      a.aiCalls.logCall(anAICall({ topic: "good" }));

      await a.aiCalls.flush();
    } finally {
      report.mockRestore();
    }

    expect(await a.aiCalls.getStats("good")).toMatchObject({ totalCalls: 1 });
    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 1 });
  });

  test("getStats adds up calls, per model as well", async ({ a }) => {
    a.aiCalls.logCall(anAICall({ modelKey: "small", inputTokens: 1, outputTokens: 2, cost: 0.01 }));
    a.aiCalls.logCall(anAICall({ modelKey: "small", inputTokens: 3, outputTokens: 4, cost: 0.01 }));
    a.aiCalls.logCall(anAICall({ modelKey: "large", inputTokens: 5, outputTokens: 6, cost: 0.5 }));
    await a.aiCalls.flush();

    expect(await a.aiCalls.getStats("workflow")).toEqual({
      totalCalls: 3,
      totalInputTokens: 9,
      totalOutputTokens: 12,
      totalCost: 0.52,
      perModel: {
        small: { calls: 2, inputTokens: 4, outputTokens: 6, cost: 0.02 },
        large: { calls: 1, inputTokens: 5, outputTokens: 6, cost: 0.5 },
      },
    });
  });

  test("getStats adds 0.01 and 0.02 up to 0.03", async ({ a }) => {
    for (const cost of [0.01, 0.02]) a.aiCalls.logCall(anAICall({ cost }));
    await a.aiCalls.flush();

    expect((await a.aiCalls.getStats("workflow")).totalCost).toBe(0.03);
  });

  test("getStats goes by model key, whatever the model id", async ({ a }) => {
    await a.aiCalls.logBatchResults("batch-1", [
      anAICall({ modelKey: "small", modelId: "v1" }),
      anAICall({ modelKey: "small", modelId: "v2" }),
      anAICall({ modelKey: "Small", modelId: "v1" }),
    ]);

    const { perModel } = await a.aiCalls.getStats("");

    expect(Object.entries(perModel).map(([key, { calls }]) => [key, calls])).toHaveLength(2);
    expect(perModel).toMatchObject({ small: { calls: 2 }, Small: { calls: 1 } });
  });

  test("getStats counts models that are named like members of objects", async ({ a }) => {
    const names = ["__proto__", "constructor", "toString"];
    await a.aiCalls.logBatchResults(
      "batch-1",
      names.map((modelKey) => anAICall({ modelKey })),
    );

    const { perModel } = await a.aiCalls.getStats("");

    expect(Object.keys(perModel).toSorted()).toEqual(names.toSorted());
    for (const [, model] of Object.entries(perModel)) expect(model.calls).toBe(1);
  });

  const TOPICS = [
    "workflow.run_1",
    "workflow.runX1",
    "workflow.run_10",
    "Workflow.run_1",
    "w%",
    "ż🙂",
  ];
  const PREFIXES: Readonly<Record<string, number>> = {
    "": 6,
    w: 4,
    W: 1,
    "workflow.run_1": 2,
    "workflow.run_": 2,
    "w%": 1,
    "w*": 0,
    "[w]": 0,
    ż: 1,
    "workflow.run_100": 0,
  };

  test("getStats takes a topic prefix literally", async ({ a }) => {
    const calls = TOPICS.map((topic) => anAICall({ topic }));
    await a.aiCalls.logBatchResults("batch-1", calls);

    for (const [prefix, expected] of Object.entries(PREFIXES)) {
      expect((await a.aiCalls.getStats(prefix)).totalCalls, prefix).toBe(expected);
    }
  });

  test("logBatchResults records each result once, however often it is called", async ({ a, b }) => {
    const results = [anAICall({ prompt: "1", inputTokens: 1 }), anAICall({ prompt: "2" })];

    expect(await a.aiCalls.logBatchResults("batch-1", results)).toBeUndefined();
    await a.aiCalls.logBatchResults("batch-1", results);
    await b.aiCalls.logBatchResults("batch-1", results);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 2, totalInputTokens: 11 });
  });

  test("logBatchResults records two equal results in one call as two", async ({ a, b }) => {
    const results = [anAICall(), anAICall()];

    await a.aiCalls.logBatchResults("batch-1", results);
    await b.aiCalls.logBatchResults("batch-1", results);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 2 });
  });

  test("logBatchResults records results that are added under a batch id later", async ({ a }) => {
    const results = upTo(3).map((n) => anAICall({ prompt: `${n}` }));

    await a.aiCalls.logBatchResults("batch-1", results.slice(0, 2));
    await a.aiCalls.logBatchResults("batch-1", results);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 3 });
  });

  test("logBatchResults records equal results under two batch ids twice", async ({ a }) => {
    await a.aiCalls.logBatchResults("batch-1", [anAICall()]);
    await a.aiCalls.logBatchResults("batch-10", [anAICall()]);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 2 });
  });

  test("logCall never counts a call as recorded already", async ({ a }) => {
    for (const _ of upTo(3)) a.aiCalls.logCall(anAICall());
    await a.aiCalls.flush();

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 3 });
  });

  test("logBatchResults takes a large batch", async ({ a }) => {
    const results = upTo(150).map((n) => anAICall({ prompt: `${n}`, inputTokens: n }));

    await a.aiCalls.logBatchResults("batch-1", results);

    expect(await a.aiCalls.getStats("")).toMatchObject({
      totalCalls: 150,
      totalInputTokens: 11_325,
    });
  });

  test("isRecorded tells whether a batch was recorded", async ({ a, b }) => {
    expect(await a.aiCalls.isRecorded("batch-1")).toBe(false);

    await a.aiCalls.logBatchResults("batch-1", [anAICall({ metadata: { requestId: "r-1" } })]);

    expect(await b.aiCalls.isRecorded("batch-1")).toBe(true);
    expect(await b.aiCalls.isRecorded("batch-10")).toBe(false);
    expect(await b.aiCalls.isRecorded("batch")).toBe(false);
    expect(await b.aiCalls.isRecorded("BATCH-1")).toBe(false);
  });

  test("isRecorded goes by what logCall says as well", async ({ a, b }) => {
    a.aiCalls.logCall(anAICall({ metadata: { batchId: "batch-1" } }));
    a.aiCalls.logCall(anAICall({ batchId: "batch-4", metadata: { batchId: "batch-5" } }));
    for (const batchId of [6, null, "", ".", "a\0", "a".repeat(100_000), ["batch-7"]]) {
      a.aiCalls.logCall(anAICall({ metadata: { batchId } }));
    }
    await a.aiCalls.flush();
    await a.aiCalls.logBatchResults("batch-2", [anAICall({ metadata: { batchId: "batch-3" } })]);

    for (const known of ["batch-1", "batch-2", "batch-4"]) {
      expect(await b.aiCalls.isRecorded(known), known).toBe(true);
    }
    for (const unknown of ["batch-3", "batch-5", "batch-7", "6", "null", "batch"]) {
      expect(await b.aiCalls.isRecorded(unknown), unknown).toBe(false);
    }
    // What names no batch is a call all the same.
    expect(await b.aiCalls.getStats("")).toMatchObject({ totalCalls: 10 });
  });

  test("a request of a batch has one result, the first, however it is said", async ({ a, b }) => {
    const first = anAICall({ metadata: { requestId: "r" }, response: "one", outputTokens: 1 });
    const second = anAICall({ requestId: "r", response: "two", outputTokens: 2 });
    const other = anAICall({ requestId: "s", response: "one", outputTokens: 10 });
    await a.aiCalls.logBatchResults("batch-1", [first, second]);
    await b.aiCalls.logBatchResults("batch-1", [second, other]);
    b.aiCalls.logCall({ ...second, batchId: "batch-1" });
    b.aiCalls.logCall({ ...first, metadata: { batchId: "batch-1", requestId: "r" } });
    await b.aiCalls.flush();

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 2, totalOutputTokens: 11 });
  });

  test("a request's id is its batch's own, and means nothing without one", async ({ a }) => {
    const call = anAICall({ metadata: { requestId: "r" } });
    await a.aiCalls.logBatchResults("batch-1", [call]);
    await a.aiCalls.logBatchResults("batch-2", [call]);
    a.aiCalls.logCall(call);
    a.aiCalls.logCall(call);
    await a.aiCalls.flush();

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 4 });
  });

  test("an empty batch records nothing", async ({ a }) => {
    expect(await a.aiCalls.logBatchResults("batch-1", [])).toBeUndefined();

    expect(await a.aiCalls.isRecorded("batch-1")).toBe(false);
    expect(await a.aiCalls.getStats("")).toEqual(NOTHING);
  });

  test("logBatchResults takes metadata of any shape", async ({ a }) => {
    const shapes: unknown[] = [undefined, null, "text", [1], { batchId: "mine" }];
    const results = shapes.map((metadata, index): CreateAICallInput => {
      const call = anAICall({ prompt: `${index}` });
      return metadata === undefined ? call : { ...call, metadata };
    });

    await a.aiCalls.logBatchResults("batch-1", results);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 5 });
  });

  test("logBatchResults takes metadata for what it is as JSON", async ({ a }) => {
    const metadata = { toJSON: () => ({ requestId: "r" }) };
    await a.aiCalls.logBatchResults("batch-1", [anAICall({ metadata, response: "one" })]);
    await a.aiCalls.logBatchResults("batch-1", [anAICall({ requestId: "r", response: "two" })]);
    const noJson = [anAICall({ metadata: new Map([["requestId", "s"]]) })];
    await expectCode(a.aiCalls.logBatchResults("batch-1", noJson), "INVALID_ARGUMENT");

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 1 });
  });

  test("null says that a call has no batch and no request", async ({ a }) => {
    const none = { batchId: forced<string>(null), requestId: forced<string>(null) };
    a.aiCalls.logCall(anAICall(none));
    a.aiCalls.logCall(anAICall({ ...none, metadata: { batchId: "batch-1", requestId: "r" } }));
    await a.aiCalls.flush();
    await a.aiCalls.logBatchResults("batch-1", [
      anAICall({ ...none, metadata: { requestId: "r" } }),
    ]);
    await a.aiCalls.logBatchResults("batch-1", [anAICall(none)]);

    expect(await a.aiCalls.getStats("")).toMatchObject({ totalCalls: 3 });
  });

  test("logBatchResults records all results or none", async ({ a }) => {
    const results = [anAICall(), anAICall({ metadata: { culprit: 1n } })];

    await expectCode(a.aiCalls.logBatchResults("batch-1", results), "INVALID_ARGUMENT");

    expect(await a.aiCalls.isRecorded("batch-1")).toBe(false);
    expect(await a.aiCalls.getStats("")).toEqual(NOTHING);
  });
}
