/** What is too much for one row, or would be too much for one commit. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import { Fatal, stage } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

type Outputs = Readonly<Record<string, number>>;
type Flow = Workflow<{ text: string }, unknown, Outputs>;

const text = z.object({ text: z.string() });

describe.each(["D1", "maps"] as const)("a run over %s", (over) => {
  it.each([
    ["one stage", (large: () => string) => large],
    ["a group", (large: () => string) => ({ large, small: () => 1 })],
  ])(
    "fails at its end where what %s gives does not fit beside its input, and tries nothing again",
    async (_what, last) => {
      let calls = 0;
      const large = () => {
        calls += 1;
        return "x".repeat(1_800_000);
      };
      const made = last(large);
      const empty = Chain.of("large", { input: text });
      const ends = typeof made === "function" ? empty.stage("large", made) : empty.parallel(made);
      const flow: Workflow = ends.build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, { text: "y".repeat(1_000_000) });
      await engine.settle();
      await engine.pass(3_600_000);
      expect(calls).toBe(1);
      expect(await run.output()).toMatchObject({
        status: "FAILED",
        reason: expect.stringMatching(/output .*limit is 1900000/),
      });
      expect((await engine.events(run.id)).at(-1)).toMatch("workflow:failed");
      expect(await engine.connection.audit()).toEqual([]);
    },
  );

  it("is run again from its first stage, where ids are long, groups large and stages many", async () => {
    const long = (id: string) => id.padEnd(400, "_");
    const members = Array.from({ length: 200 }, (_, at) => [long(`p${at}`), () => at] as const);
    let chain = Chain.of("long", { input: text })
      .stage("first", ({ attempt }) => attempt)
      .parallel(Object.fromEntries(members));
    for (let at = 0; at < 180; at += 1)
      chain = chain.stage(long(`s${at}`), ({ attempt }) => attempt);
    const flow: Flow = chain.build();
    const engine = new Engine({ workflows: [flow], over });
    const run = await engine.runs.start(flow, { text: "x" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 1 });
    await run.rerun({ from: "first" });
    await engine.consume(1);
    expect(await run.outputOf("first")).toBe(2);
    expect(await engine.stages(run.id)).toHaveLength(201);
    expect(await run.output()).toEqual({ status: "RUNNING" });
  });

  it.each([
    [298, 200],
    [90, 500],
  ])(
    "passes over %i stages between one that says all it may and a group of %i",
    async (skips, wide) => {
      const none = { skip: () => false, run: () => 0 };
      let chain = Chain.of("skips", { input: text }).stage(
        "first",
        stage({
          run({ log, ai }) {
            for (let count = 0; count < 399; count += 1) log("said");
            ai.record({ model: "m", inputTokens: 1, outputTokens: 1, cost: 1 });
          },
        }),
      );
      for (let at = 0; at < skips; at += 1) chain = chain.stageIf(`if${at}`, none.skip, none.run);
      const members = Array.from({ length: wide }, (_, at) => [`p${at}`, none.run] as const);
      const flow: Workflow = chain
        .parallel(Object.fromEntries(members))
        .stageIf("last", none.skip, none.run)
        .build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, { text: "" });
      await engine.settle();
      expect(await run.output()).toMatchObject({ status: "COMPLETED" });
      const statuses = (await engine.stages(run.id)).map(({ status }) => status);
      expect(statuses.filter((status) => status === "SKIPPED")).toHaveLength(skips + 1);
      expect(statuses).toHaveLength(skips + wide + 2);
    },
  );

  it("is paused, cancelled and run again in a group of 500", async () => {
    let breaks = true;
    const step = (at: number) => () => {
      if (breaks && at === 20) throw new Fatal("broken");
      return at;
    };
    const members = Array.from({ length: 500 }, (_, at) => [`p${at}`, step(at)] as const);
    const flow: Flow = Chain.of("wide", { input: text })
      .stage("first", () => 1)
      .parallel(Object.fromEntries(members))
      .build();
    const engine = new Engine({ workflows: [flow], over });
    const run = await engine.runs.start(flow, { text: "" });
    await engine.consume(1);
    await run.pause();
    await run.resume();
    await engine.consume(10);
    await run.cancel();
    expect(await engine.connection.audit()).toEqual([]);
    await run.rerun({ from: "first" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "FAILED", reason: "broken", stage: "p20" });
    breaks = false;
    await run.rerun({ from: "p20" });
    await engine.settle();
    expect(await run.output()).toMatchObject({ status: "COMPLETED", value: { p0: 0, p499: 499 } });
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("passes over 600 stages at its start", async () => {
    let chain = Chain.of("skips", { input: text });
    for (let at = 0; at < 600; at += 1) {
      chain = chain.stageIf(
        `if${at}`,
        () => false,
        () => 0,
      );
    }
    const flow: Workflow = chain.build();
    const engine = new Engine({ workflows: [flow], over });
    const run = await engine.runs.start(flow, { text: "x" });
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: { text: "x" } });
    expect(await engine.stages(run.id)).toHaveLength(600);
    expect(await engine.connection.audit()).toEqual([]);
  });
});
