import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Fatal, RetryAfter, stage, workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const text = z.object({ text: z.string() });

describe.each(["D1", "maps"] as const)("a run over %s", (over) => {
  it("goes through a chain of stages in one delivery, and gives what the last one gives", async () => {
    const shout = workflow("shout", { input: text })
      .stage("upper", ({ input }) => ({ text: input.text.toUpperCase() }))
      .stage("marked", ({ input }) => `${input.text}!`)
      .stage("both", async ({ input, output }) => `${(await output("upper")).text} ${input}`)
      .build();
    const engine = new Engine({ workflows: [shout], over });
    const run = await engine.runs.start(shout, { text: "hi" });
    expect(await run.output()).toEqual({ status: "RUNNING" });
    expect(await engine.consume()).toMatchObject({ claimed: 1, settled: 1 });
    expect(await run.output()).toEqual({ status: "COMPLETED", value: "HI HI!" });
    expect(await run.outputOf("marked")).toBe("HI!");
    expect(await engine.events(run.id)).toEqual([
      "workflow:started",
      "stage:started upper",
      "stage:completed upper",
      "stage:started marked",
      "stage:completed marked",
      "stage:started both",
      "stage:completed both",
      "workflow:completed",
    ]);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("joins parallel stages, whichever ends last", async () => {
    const counted = workflow("counted", { input: text })
      .parallel({
        letters: ({ input }) => input.text.length,
        words: ({ input }) => input.text.split(" ").length,
        upper: stage({ input: text, run: ({ input }) => input.text.toUpperCase() }),
      })
      .stage("sum", ({ input }) => ({ ...input, sum: input.letters + input.words }))
      .build();
    const engine = new Engine({ workflows: [counted], over });
    const run = await engine.runs.start(counted, { text: "a bc" });
    await engine.settle();
    expect(await run.output()).toEqual({
      status: "COMPLETED",
      value: { letters: 4, words: 2, upper: "A BC", sum: 6 },
    });
    expect((await engine.events(run.id)).filter((type) => type.endsWith("sum"))).toEqual([
      "stage:started sum",
      "stage:completed sum",
    ]);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("gives the outputs of its last group by stage", async () => {
    const pair = workflow("pair", { input: text })
      .parallel({ one: () => 1, two: () => 2 })
      .build();
    const engine = new Engine({ workflows: [pair], over });
    const run = await engine.runs.start(pair, { text: "" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: { one: 1, two: 2 } });
  });

  it("skips a stage whose condition is not met, and lets pass what came before it", async () => {
    const maybe = workflow("maybe", { input: text })
      .stage("first", ({ input }) => input)
      .stageIf(
        "extra",
        ({ input }) => input.text === "more",
        ({ input }) => ({ text: `${input.text}+` }),
      )
      .stage("last", async ({ input, output }) => [
        input.text,
        (await output("extra")) ?? "skipped",
      ])
      .build();
    const engine = new Engine({ workflows: [maybe], over });
    const [without, withIt] = [
      await engine.runs.start(maybe, { text: "less" }),
      await engine.runs.start(maybe, { text: "more" }),
    ];
    await engine.settle();
    expect(await without.output()).toMatchObject({ value: ["less", "skipped"] });
    expect(await withIt.output()).toMatchObject({ value: ["more+", { text: "more+" }] });
    expect(await engine.events(without.id)).toContain("stage:skipped extra");
  });

  it.each([
    ["in the commit that comes to its stage", false],
    ["in a delivery of its own, where it was open", true],
  ])("decides a condition once, %s, and keeps to it in each try", async (_where, opens) => {
    const asked: string[] = [];
    const tries: number[] = [];
    const maybe = workflow("maybe", { input: text })
      .stage("first", ({ input }) => input.text)
      .stageIf(
        "second",
        () => {
          asked.push("second");
          if (opens && asked.length === 1) throw new Error("not yet");
          return asked.length === (opens ? 2 : 1);
        },
        stage({
          retry: { attempts: 3, backoff: "1s" },
          run({ attempt, suspend }) {
            tries.push(attempt);
            if (attempt === 1) throw new Error("not yet");
            return suspend(null, { pollIn: "1m", within: "1h" });
          },
          poll: () => "run",
        }),
      )
      .build();
    const engine = new Engine({ workflows: [maybe], over });
    const run = await engine.runs.start(maybe, { text: "x" });
    await engine.settle();
    await engine.pass(1_000);
    await engine.pass(60_000);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: "run" });
    expect(tries).toEqual([1, 2]);
    expect(asked).toHaveLength(opens ? 2 : 1);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it.each([
    ["at its end", 1, ["stage:started first", "stage:completed first"]],
    ["all that it has", 0, ["stage:skipped first"]],
  ] as const)("tells of stages that it skips %s, before its end", async (_where, runs, before) => {
    const none = workflow("none", { input: text })
      .stageIf(
        "first",
        () => runs === 1,
        ({ input }) => input,
      )
      .stageIf(
        "second",
        () => false,
        () => 2,
      )
      .stageIf(
        "third",
        () => false,
        () => 3,
      )
      .build();
    const engine = new Engine({ workflows: [none], over });
    const run = await engine.runs.start(none, { text: "x" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: { text: "x" } });
    expect(await engine.events(run.id)).toEqual([
      "workflow:started",
      ...before,
      "stage:skipped second",
      "stage:skipped third",
      "workflow:completed",
    ]);
    const stages = await engine.stages(run.id);
    expect(stages.map(({ stageId, status }) => `${stageId} ${status}`)).toEqual([
      runs === 1 ? "first COMPLETED" : "first SKIPPED",
      "second SKIPPED",
      "third SKIPPED",
    ]);
    expect(stages.at(-1)?.completedAt).toEqual(new Date(engine.now));
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("tries a failed stage again after its pauses, and ends as FAILED with the last reason", async () => {
    const tries: number[] = [];
    const fails = workflow("fails", { input: text })
      .stage(
        "flaky",
        ({ attempt }): string => {
          tries.push(attempt);
          throw new Error(`no ${attempt}`);
        },
        { retry: { attempts: 3, backoff: "2s" } },
      )
      .build();
    const engine = new Engine({ workflows: [fails], over });
    const run = await engine.runs.start(fails, { text: "" });
    await engine.settle();
    expect(tries).toEqual([1]);
    await engine.pass(1_999);
    expect(tries).toEqual([1]);
    await engine.pass(1);
    expect(tries).toEqual([1, 2]);
    await engine.pass(4_000);
    expect(tries).toEqual([1, 2, 3]);
    expect(await run.output()).toEqual({ status: "FAILED", reason: "no 3", stage: "flaky" });
    expect(await engine.events(run.id)).toEqual([
      "workflow:started",
      "stage:started flaky",
      "stage:retrying flaky",
      "stage:started flaky",
      "stage:retrying flaky",
      "stage:started flaky",
      "stage:failed flaky",
      "workflow:failed flaky",
    ]);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("waits for a signal that comes during the wait, before it, or not at all", async () => {
    const asks = workflow("asks", { input: text })
      .stage("draft", ({ input }) => input.text)
      .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
      .stage("publish", async ({ input, output }) =>
        input.received ? [await output("draft"), input.payload.ok] : "late",
      )
      .build();
    const engine = new Engine({ workflows: [asks], over });
    const during = await engine.runs.start(asks, { text: "during" });
    await engine.settle();
    expect((await engine.stages(during.id)).map(({ status }) => status)).toEqual([
      "COMPLETED",
      "SUSPENDED",
    ]);
    await during.signal("approval", { ok: true });
    await engine.settle();
    expect(await during.output()).toMatchObject({ value: ["during", true] });

    const before = await engine.runs.start(asks, { text: "before" });
    await before.signal("approval", { ok: false });
    await engine.consume();
    expect(await before.output()).toMatchObject({ value: ["before", false] });

    const never = await engine.runs.start(asks, { text: "never" });
    await engine.settle();
    await engine.pass(3 * 86_400_000);
    expect(await never.output()).toMatchObject({ value: "late" });
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("suspends and polls a stage until it is ready", async () => {
    const batch = stage({
      input: text,
      run: ({ suspend }) => suspend({ polls: 0 }, { pollIn: "1m", within: "1h" }),
      poll: ({ input, notReady, attempt }, state) =>
        input.text === "never" ? notReady() : `${input.text} ${attempt} ${state.polls}`,
    });
    const batches = workflow("batches", { input: text }).stage("batch", batch).build();
    const engine = new Engine({ workflows: [batches], over });
    const done = await engine.runs.start(batches, { text: "done" });
    const never = await engine.runs.start(batches, { text: "never" });
    await engine.settle();
    expect(await done.output()).toEqual({ status: "RUNNING" });
    await engine.pass(60_000);
    expect(await done.output()).toMatchObject({ value: "done 1 0" });
    for (let minutes = 0; minutes < 60; minutes += 1) await engine.pass(60_000);
    expect(await never.output()).toMatchObject({
      status: "FAILED",
      reason: expect.stringContaining("Not ready within"),
    });
  });

  it("sleeps, and lets pass what came before", async () => {
    const sleepy = workflow("sleepy", { input: text })
      .stage("first", ({ input }) => input.text)
      .sleep("nap", "1h")
      .stage("last", ({ input }) => `${input} awake`)
      .build();
    const engine = new Engine({ workflows: [sleepy], over });
    const run = await engine.runs.start(sleepy, { text: "hi" });
    await engine.settle();
    await engine.pass(3_599_999);
    expect(await run.output()).toEqual({ status: "RUNNING" });
    await engine.pass(1);
    expect(await run.output()).toMatchObject({ value: "hi awake" });
  });

  it("is started once per key, and refuses another input for it", async () => {
    const once = workflow("once", { input: text })
      .stage("a", ({ input }) => input.text)
      .build();
    const engine = new Engine({ workflows: [once], over });
    const first = await engine.runs.start(once, { text: "x" }, { key: "k" });
    const second = await engine.runs.start(once, { text: "x" }, { key: "k" });
    expect(second.id).toBe(first.id);
    await expect(engine.runs.start(once, { text: "y" }, { key: "k" })).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      details: { field: "input", key: "k" },
    });
  });

  it("is cancelled: nothing runs any more", async () => {
    const long = workflow("long", { input: text })
      .sleep("nap", "1h")
      .stage("never", () => 1)
      .build();
    const engine = new Engine({ workflows: [long], over });
    const run = await engine.runs.start(long, { text: "" });
    await engine.settle();
    await run.cancel("not needed");
    await engine.pass(7_200_000);
    expect(await run.output()).toEqual({ status: "CANCELLED", reason: "not needed" });
    expect(await engine.events(run.id)).toContain("workflow:cancelled");
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("is paused between two stages, and resumed", async () => {
    let run: { pause(): Promise<void> } | undefined;
    const paused = workflow("paused", { input: text })
      .stage("first", async () => {
        await run?.pause();
        return 1;
      })
      .stage("second", ({ input }) => input + 1)
      .build();
    const engine = new Engine({ workflows: [paused], over });
    const started = await engine.runs.start(paused, { text: "" });
    run = started;
    await engine.settle();
    expect(await started.output()).toEqual({ status: "SUSPENDED" });
    expect(await started.outputOf("first")).toBe(1);
    expect(await engine.stages(started.id)).toHaveLength(1);
    await started.resume();
    await engine.settle();
    expect(await started.output()).toMatchObject({ value: 2 });
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("is run again from a stage, whose earlier record stays", async () => {
    let broken = true;
    const keys: string[] = [];
    const mended = workflow("mended", { input: text })
      .stage("first", ({ input }) => input.text)
      .stage("second", ({ input, idempotencyKey, attempt }) => {
        keys.push(`${idempotencyKey} ${attempt}`);
        if (broken) throw new Fatal("broken");
        return `${input} mended`;
      })
      .stage("third", ({ input }) => `${input} again`)
      .build();
    const engine = new Engine({ workflows: [mended], over });
    const run = await engine.runs.start(mended, { text: "x" });
    await engine.settle();
    expect(await run.output()).toMatchObject({ status: "FAILED" });
    broken = false;
    await run.rerun({ from: "second" });
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: "x mended again" });
    expect(new Set(keys).size).toBe(2);
    expect(keys[1]).toMatch(/ 2$/);
    const [archived] = await engine.store.read([
      { q: "stageAttempts", workflowRunId: run.id, after: "", limit: 10 },
    ]);
    expect(archived).toMatchObject([{ stageId: "second", status: "FAILED" }]);
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("waits as long as RetryAfter says", async () => {
    let calls = 0;
    const busy = workflow("busy", { input: text })
      .stage("ask", () => {
        calls += 1;
        if (calls === 1) throw new RetryAfter("45m", "busy");
        return calls;
      })
      .build();
    const engine = new Engine({ workflows: [busy], over });
    const run = await engine.runs.start(busy, { text: "" });
    await engine.settle();
    await engine.pass(45 * 60_000 - 1);
    expect(calls).toBe(1);
    await engine.pass(1);
    expect(await run.output()).toMatchObject({ value: 2 });
  });
});
