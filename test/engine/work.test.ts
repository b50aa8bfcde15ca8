import * as z from "zod";
import { describe, expect, it } from "vitest";
import { Fatal, RetryAfter, stage, workflow } from "../../src/engine/index.ts";
import type { StageDelivery, StageTools } from "../../src/engine/delivery.ts";
import { checkedSignal } from "../../src/engine/checked.ts";
import { firstOf } from "../../src/engine/next.ts";
import { type RunnerOptions, stageRunner } from "../../src/engine/work.ts";
import type { Definition } from "../../src/engine/definition.ts";
import { deliveryOf, runOf, toolsWith } from "./tools.ts";
import { refusalOf } from "./support.ts";

const base = workflow("w", { input: z.any() });
const one = () => 1;

async function work(
  definition: Definition,
  stageId: string,
  rest: Partial<StageDelivery> = {},
  tools: StageTools = toolsWith(),
  options: Partial<RunnerOptions> = {},
) {
  const runner = stageRunner([definition], { env: {}, now: () => 0, ...options });
  return runner.runStage(deliveryOf(definition, stageId, rest), tools);
}

/** What becomes of a stage of this function. */
async function outcomeOf(run: (context: never) => unknown, rest: Partial<StageDelivery> = {}) {
  const definition = base.stage("a", stage({ run: run as () => null, timeout: "50ms" })).build();
  return work(definition, "a", rest);
}

describe("a stage that is delivered", () => {
  it("gets the run's input first, and its output ends a run of one stage", async () => {
    const definition = base.stage("a", ({ input }) => ({ got: input as string })).build();
    const before = { group: 0, outputs: { "": '"x"' } };
    expect(await work(definition, "a", { before })).toEqual({
      outcome: "completed",
      output: '{"got":"x"}',
      next: { kind: "finish", output: '{"got":"x"}', skipped: [] },
      notes: { logs: [], annotations: [], artifacts: [], aiCalls: [] },
    });
  });

  it("gets what the one before it gave, or an object of several by id", async () => {
    const definition = base
      .stage("a", one)
      .stage("b", ({ input }) => input)
      .parallel({ c: one, d: one })
      .stage("e", ({ input }) => input)
      .build();
    const afterA = await work(definition, "b", { before: { group: 1, outputs: { a: "7" } } });
    expect(afterA).toMatchObject({ outcome: "completed", output: "7" });
    const outputs = { d: "2", c: "[1]" };
    const afterBoth = await work(definition, "e", { before: { group: 3, outputs } });
    expect(afterBoth).toMatchObject({ outcome: "completed", output: '{"c":[1],"d":2}' });
  });

  it("joins others of its group", async () => {
    const definition = base.parallel({ c: one, d: one }).build();
    expect(await work(definition, "c")).toMatchObject({ output: "1", next: { kind: "join" } });
  });

  it.each<[string, Partial<StageDelivery>, string]>([
    ["workflow", { run: { ...runOf(base.stage("a", one).build()), workflowId: "nope" } }, '"nope"'],
    ["shape", { run: { ...runOf(base.stage("a", one).build()), shape: "0123" } }, '"0123"'],
    ["stage", { stageId: "gone" }, '"gone"'],
  ])("fails for good when its %s is unknown", async (_, rest, named) => {
    const answer = await work(base.stage("a", one).build(), "a", rest);
    expect(answer).toMatchObject({ outcome: "failed", retryInMs: null });
    expect(answer).toHaveProperty("error", expect.stringContaining(named));
  });

  it("fails for good, with the path, when its schema refuses what came before", async () => {
    const step = stage({ input: z.object({ n: z.number() }), run: one });
    const definition = base.stage("a", step).build();
    const answer = await work(definition, "a", { before: { group: 0, outputs: { "": "{}" } } });
    expect(answer).toMatchObject({ outcome: "failed", retryInMs: null });
    expect(answer).toHaveProperty("error", expect.stringMatching(/^input\.n: /));
  });

  it("is tried again when its schema refuses the output", async () => {
    const step = stage({ output: z.object({ n: z.number() }), run: () => ({}) as { n: number } });
    const answer = await work(base.stage("a", step).build(), "a");
    expect(answer).toMatchObject({ outcome: "failed", retryInMs: 2_000 });
    expect(answer).toHaveProperty("error", expect.stringMatching(/^output\.n: /));
  });

  it("has its config as it was stored, and the defaults where none was", async () => {
    const step = stage({
      config: z.object({ model: z.string().default("small") }),
      run: ({ config }) => config,
    });
    const definition = base.stage("a", step).build();
    const given = runOf(definition, { a: { model: "big" } });
    expect(await work(definition, "a", { run: given })).toHaveProperty("output", '{"model":"big"}');
    expect(await work(definition, "a")).toHaveProperty("output", '{"model":"small"}');
  });
});

describe("a failure", () => {
  it.each<[string, () => unknown, string]>([
    ["an error", () => Promise.reject(new Error("boom")), "boom"],
    ["text", () => Promise.reject("boom"), 'It threw what is no error: "boom"'],
    ["nothing", () => Promise.reject(undefined), "It threw what is no error: undefined"],
    [
      "an error without words",
      () => Promise.reject(new TypeError("")),
      "It threw TypeError without a message.",
    ],
    [
      "what has no text",
      () => Promise.reject(Object.create(null) as never),
      "It threw what cannot be shown.",
    ],
    [
      "an object whose members throw",
      () =>
        Promise.reject(
          new Proxy(new Error("x"), {
            get: () => {
              throw new Error("get");
            },
            has: () => {
              throw new Error("has");
            },
          }),
        ),
      "It threw what cannot be shown.",
    ],
  ])("of %s has a reason", async (_, run, error) => {
    expect(await outcomeOf(run)).toMatchObject({ outcome: "failed", error, retryInMs: 2_000 });
  });

  it("is cut where it is longer than a column", async () => {
    const answer = await outcomeOf(() => Promise.reject(new Error("é\0".repeat(100_000))));
    const { error } = answer as { error: string };
    expect(error.length).toBeGreaterThan(1_000);
    expect(new TextEncoder().encode(JSON.stringify(error)).length).toBeLessThan(64 * 1_024);
  });

  it("of a call that never settles says when it was given up", async () => {
    const answer = await outcomeOf(() => Promise.withResolvers().promise);
    expect(answer).toMatchObject({ outcome: "failed", error: "timed out after 50ms" });
  });

  it.each([
    [2, 2_000],
    [1, 4_000],
    [0, null],
  ])("with %i tries left is tried again in %j ms", async (triesLeft, retryInMs) => {
    const answer = await outcomeOf(() => Promise.reject(new Error("x")), { triesLeft });
    expect(answer).toMatchObject({ retryInMs });
  });

  it("is final when it is Fatal, and waits as long as RetryAfter says", async () => {
    expect(await outcomeOf(() => Promise.reject(new Fatal("f")))).toMatchObject({
      retryInMs: null,
    });
    const busy = () => Promise.reject(new RetryAfter("30s", "busy"));
    expect(await outcomeOf(busy)).toMatchObject({ error: "busy", retryInMs: 30_000 });
    expect(await outcomeOf(busy, { triesLeft: 0 })).toMatchObject({ retryInMs: null });
  });

  it.each<[string, unknown, string]>([
    ["a bigint", { n: 1n }, "output.n holds a bigint, which JSON cannot keep"],
    ["3 MB", "a".repeat(3_000_000), "output does not fit: 3000002 bytes"],
  ])("is final where the output is %s", async (_, output, says) => {
    const answer = await outcomeOf(() => output);
    expect(answer).toMatchObject({ outcome: "failed", retryInMs: null });
    expect(answer).toHaveProperty("error", expect.stringContaining(says));
  });

  it("keeps what the stage has said", async () => {
    const definition = base
      .stage("a", ({ log, annotate, artifacts, ai }) => {
        log("begun", { at: 1 }, "WARN");
        annotate("k", true);
        artifacts.save("x", 1);
        artifacts.save("x", 2);
        ai.record({ model: "m", inputTokens: 1, outputTokens: 2, cost: 0.5 });
        throw new Error("boom");
      })
      .build();
    expect(await work(definition, "a")).toMatchObject({
      outcome: "failed",
      notes: {
        logs: [{ level: "WARN", message: "begun", data: '{"at":1}' }],
        annotations: [{ key: "k", value: "true" }],
        artifacts: [{ key: "x", data: "2", metadata: null }],
        aiCalls: [{ model: "m", inputTokens: 1, outputTokens: 2, cost: 0.5 }],
      },
    });
  });
});

describe("what a stage may ask", () => {
  it("asks the service for nothing by itself", async () => {
    const tools = toolsWith();
    await work(base.stage("a", one).build(), "a", {}, tools);
    expect(tools.asked).toEqual([]);
  });

  it("reads each output once, none that is at hand, and no later one", async () => {
    const definition = base
      .stage("a", one)
      .stage("b", one)
      .stage("c", async ({ output }) => [await output("a"), await output("a"), await output("b")])
      .build();
    const tools = toolsWith({ a: "5" });
    const answer = await work(
      definition,
      "c",
      { before: { group: 2, outputs: { b: "6" } } },
      tools,
    );
    expect(answer).toMatchObject({ output: "[5,5,6]" });
    expect(tools.asked).toEqual(["output a"]);
  });

  it("does the work of `once` once", async () => {
    let times = 0;
    const definition = base
      .stage("a", async ({ once }) => {
        const count = () => (times += 1);
        return Promise.all([once("k", count), once("k", count)]);
      })
      .build();
    const tools = toolsWith();
    expect(await work(definition, "a", {}, tools)).toMatchObject({ output: "[1,1]" });
    expect(await work(definition, "a", { attempt: 2 }, tools)).toMatchObject({ output: "[1,1]" });
    expect(times).toBe(1);
  });

  it.each<[string, Parameters<typeof outcomeOf>[0], string]>([
    [
      "an AI call whose cost is no number",
      ({ ai }: { ai: { record(call: object): void } }) => {
        ai.record({ model: "m", inputTokens: 1, outputTokens: 1, cost: NaN });
      },
      "call.cost must be a number",
    ],
    [
      "a log line that no row holds",
      ({ log }: { log(text: string): void }) => {
        log("a".repeat(2_000_000));
      },
      "log does not fit",
    ],
    [
      "more than a commit takes",
      ({ log }: { log(text: string): void }) => {
        for (let line = 0; line < 401; line += 1) log("x");
      },
      "at most 400",
    ],
  ])("is told of %s where it says it", async (_, run, says) => {
    const answer = await outcomeOf(run);
    expect(answer).toHaveProperty("error", expect.stringContaining(says));
  });

  it("sees its signal aborted with the service's reason", async () => {
    const definition = base
      .stage("a", async ({ signal }) => {
        const { promise, resolve } = Promise.withResolvers<string>();
        signal.addEventListener("abort", () => resolve(String(signal.reason)));
        return promise;
      })
      .build();
    const tools = toolsWith({}, { aborted: async () => "the run was cancelled" });
    expect(await work(definition, "a", {}, tools)).toMatchObject({
      output: '"AbortError: the run was cancelled"',
    });
  });
});

describe("a stage that waits", () => {
  const batch = stage({
    run: ({ suspend }) => suspend({ id: "b" }, { pollIn: "1m", within: "1d" }),
    poll: ({ notReady, attempt }, state) =>
      attempt > 1 ? { done: state.id } : notReady({ pollIn: "5m" }),
  });
  const definition = base.stage("a", batch).build();
  const occasion = { kind: "poll", state: '{"id":"b"}' } as const;

  it("is suspended with its state", async () => {
    expect(await work(definition, "a")).toMatchObject({
      outcome: "suspended",
      state: '{"id":"b"}',
      pollInMs: 60_000,
      withinMs: 86_400_000,
    });
  });

  it("is polled until it is ready", async () => {
    expect(await work(definition, "a", { occasion })).toMatchObject({
      outcome: "suspended",
      state: null,
      pollInMs: 300_000,
      withinMs: null,
    });
    expect(await work(definition, "a", { occasion, attempt: 2 })).toMatchObject({
      outcome: "completed",
      output: '{"done":"b"}',
    });
  });

  const waits = base
    .waitFor("ok", { payload: z.object({ n: z.number().default(1) }), within: "3d" })
    .sleep("nap", () => "8h")
    .build();

  it("waits for its signal, and gives its payload, or that none came", async () => {
    expect(await work(waits, "ok")).toMatchObject({
      outcome: "waiting",
      for: "signal",
      ms: 259_200_000,
    });
    const signal = (payload: string | null) =>
      work(waits, "ok", { occasion: { kind: "signal", payload } });
    expect(await signal("{}")).toMatchObject({
      output: '{"received":true,"payload":{"n":1}}',
      next: { kind: "group", stages: [{ id: "nap", waits: { for: "time", ms: 28_800_000 } }] },
    });
    expect(await signal(null)).toMatchObject({ output: '{"received":false}' });
    expect(await signal("[]")).toMatchObject({ outcome: "failed", retryInMs: null });
  });

  it("sleeps, and lets pass what came before", async () => {
    const before = { group: 1, outputs: { ok: '{"received":false}' } };
    expect(await work(waits, "nap", { before })).toMatchObject({ outcome: "waiting", for: "time" });
    expect(await work(waits, "nap", { before, occasion: { kind: "wake" } })).toMatchObject({
      outcome: "passed",
      as: "COMPLETED",
      next: { kind: "finish", output: '{"received":false}', skipped: [] },
    });
  });

  it("checks a signal's payload, and its name, where it is sent", async () => {
    expect(await checkedSignal(waits, "ok", {})).toEqual({});
    expect((await refusalOf(() => checkedSignal(waits, "ok", { n: "x" }))).details).toEqual({
      field: "payload.n",
    });
    expect((await refusalOf(() => checkedSignal(waits, "nap", {}))).details).toEqual({
      field: "name",
    });
  });
});

describe("a condition", () => {
  const definition = base
    .stage("a", ({ input }) => input as number)
    .stageIf("b", async ({ output }) => (await output("a")) > 5, one)
    .stage("c", async ({ output }) => ((await output("b")) === undefined ? "none" : "some"))
    .build();
  const from = (n: number) => ({ before: { group: 0, outputs: { "": `${n}` } } });

  it("is decided with the outcome of the stage before it", async () => {
    expect(await work(definition, "a", from(9))).toMatchObject({
      next: { kind: "group", group: 2, stages: [{ id: "b", decides: false }], skipped: [] },
    });
    expect(await work(definition, "a", from(1))).toMatchObject({
      next: { group: 3, stages: [{ id: "c" }], skipped: [{ id: "b", group: 2, number: 2 }] },
    });
  });

  it("that was open is decided by a delivery of its own: the stage is skipped, or is to be run", async () => {
    const occasion = { kind: "decide" } as const;
    const decided = async (a: string) =>
      work(definition, "b", { before: { group: 1, outputs: { a } }, occasion });
    expect(await decided("1")).toMatchObject({ outcome: "passed", as: "SKIPPED" });
    expect(await decided("9")).toMatchObject({
      outcome: "met",
      stage: { id: "b", decides: false },
    });
  });

  it("that was met is not asked again when its stage is run", async () => {
    const before = { group: 1, outputs: { a: "1" } };
    expect(await work(definition, "b", { before })).toMatchObject({ outcome: "completed" });
  });

  it.each<[string, () => unknown]>([
    ["throws", () => Promise.reject(new Error("boom"))],
    ["answers what is neither true nor false", () => "yes"],
    ["never answers", () => Promise.withResolvers().promise],
  ])("that %s is left to its own delivery", async (_, when) => {
    const open = base
      .stage("a", one)
      .stageIf("b", when as () => boolean, one, { timeout: "20ms" })
      .build();
    expect(await work(open, "a", {}, toolsWith(), { decisionMs: 5 })).toMatchObject({
      next: { stages: [{ id: "b", decides: true }], skipped: [] },
    });
    const before = { group: 1, outputs: { a: "1" } };
    expect(await work(open, "b", { before, occasion: { kind: "decide" } })).toMatchObject({
      outcome: "failed",
      retryInMs: 2_000,
    });
  });

  it("is decided where a run begins; when all are skipped, the run gives its input", async () => {
    const all = base
      .stageIf("a", () => false, one)
      .stageIf("b", () => false, one)
      .build();
    expect(await firstOf(all, { n: 1 })).toMatchObject({
      kind: "finish",
      output: '{"n":1}',
      skipped: [
        { id: "a", group: 1 },
        { id: "b", group: 2 },
      ],
    });
    expect(await firstOf(definition, 1)).toMatchObject({ kind: "group", stages: [{ id: "a" }] });
  });

  it("is decided after a group that is done", async () => {
    const joined = base
      .parallel({ c: () => 1, d: () => 2 })
      .stageIf("e", async ({ input, output }) => input.c + (await output("d")) > 5, one)
      .build();
    const tools = toolsWith();
    const outputs = { c: "1", d: "2" };
    const runner = stageRunner([joined], { env: {}, now: () => 0 });
    const ask = { run: runOf(joined), group: 1, before: { group: 1, outputs } };
    expect(await runner.afterGroup(ask, tools)).toMatchObject({
      outcome: "next",
      next: { kind: "finish", output: '{"c":1,"d":2}', skipped: [{ id: "e", group: 2 }] },
    });
    expect(tools.asked).toEqual([]);
  });
});
