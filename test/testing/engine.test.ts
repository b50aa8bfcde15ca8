import { describe, expect, expectTypeOf, it } from "vitest";
import * as z from "zod";
import { Fatal, stage, type Waited, workflow } from "workflow-engine-cloudflare/engine";
import { type StageFakes, testRun, type TestRun } from "workflow-engine-cloudflare/engine/testing";

const nothing = z.null();

const mixed = workflow("mixed", {
  input: z.object({ text: z.string(), times: z.number().default(2) }),
})
  .stage(
    "write",
    stage({
      input: z.object({ text: z.string(), times: z.number() }),
      config: z.object({ suffix: z.string().default("!") }),
      run: ({ input, config }) => ({ text: input.text.repeat(input.times) + config.suffix }),
    }),
  )
  .stageIf(
    "long",
    ({ input }) => input.text.length > 100,
    ({ input }) => ({ text: input.text.slice(0, 100) }),
  )
  .sleep("night", "8h")
  .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
  .stage("publish", async ({ input, output }) => ({
    ...(await output("write")),
    ok: input.received && input.payload.ok,
  }))
  .build();

describe("the signal of a stage under test", () => {
  const reasons: string[] = [];
  const waits = workflow("waits", { input: nothing })
    .stage("long", async ({ signal }) => {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve());
      await aborted.promise;
      reasons.push(signal.reason.message);
    })
    .stage("never", () => reasons.push("never"))
    .build();

  it.each([
    ["cancelled", async (t: TestRun<typeof waits>) => t.run.cancel("enough"), "CANCELLED"],
    [
      "paused, and run again",
      async (t: TestRun<typeof waits>) => {
        await t.run.pause();
        await t.run.rerun({ from: "long" });
        await t.run.cancel();
      },
      "CANCELLED",
    ],
  ])("is aborted when its run is %s", async (_what, act, status) => {
    reasons.length = 0;
    const t = await testRun(waits, null);
    await t.until("long");
    await act(t);
    await t.advance("1m");
    expect(reasons).toEqual([expect.stringContaining("The lease is lost")]);
    expect((await t.run.output()).status).toBe(status);
    expect(t.logs).toMatchObject([{ message: expect.stringContaining("late result") }]);
    expect(await t.backend.audit()).toEqual([]);
  });

  it("is aborted while the stage runs", async () => {
    const cancels = workflow("cancels", { input: nothing })
      .stage("long", async ({ signal }) => {
        expect(signal.aborted).toBe(false);
        await t.run.pause();
        await new Promise((resolve) => {
          setTimeout(resolve, 0);
        });
        expect(signal.aborted).toBe(false);
        await t.run.cancel();
        await new Promise((resolve) => {
          setTimeout(resolve, 0);
        });
        reasons.push(String(signal.aborted));
      })
      .build();
    reasons.length = 0;
    const t = await testRun(cancels, null);
    await expect(t.output()).rejects.toThrow("CANCELLED");
    expect(reasons).toEqual(["true"]);
  });
});

describe("a run under test", () => {
  it("has the workflow's types", async () => {
    const t = await testRun(mixed, { text: "a" });
    expectTypeOf(t.output).returns.resolves.toEqualTypeOf<{ ok: boolean; text: string }>();
    expectTypeOf(t.until)
      .parameter(0)
      .toEqualTypeOf<"write" | "long" | "night" | "approval" | "publish">();
    expectTypeOf(t.run.outputOf<"approval">).returns.resolves.toEqualTypeOf<
      Waited<{ ok: boolean }> | undefined
    >();
    const wrong = [
      // @ts-expect-error the input has a text
      async () => testRun(mixed, { markdown: "a" }),
      // @ts-expect-error there is no such signal
      async () => t.signal("aproval", { ok: true }),
      // @ts-expect-error the payload is another
      async () => t.signal("approval", { ok: 1 }),
      // @ts-expect-error there is no such stage
      async () => t.until("wrote"),
      // @ts-expect-error `write` gives a text
      async () => testRun(mixed, { text: "a" }, { stages: { write: () => ({ texts: 1 }) } }),
      // @ts-expect-error `write` gives a text, also later
      async () => testRun(mixed, { text: "a" }, { stages: { write: async () => ({ text: 1 }) } }),
      // @ts-expect-error there is no such stage
      async () => testRun(mixed, { text: "a" }, { stages: { wrote: () => ({ text: "" }) } }),
      async () =>
        // @ts-expect-error `write` gets no markdown
        testRun(mixed, { text: "a" }, { stages: { write: ({ input }) => input.markdown } }),
      async () => {
        // @ts-expect-error a sleep is no stage
        await testRun(mixed, { text: "a" }, { stages: { night: () => null } });
      },
      async () => {
        const fake = ({ input }: { input: { text: number } }) => ({ text: String(input.text) });
        // @ts-expect-error `write` gets a text that is no number
        await testRun(mixed, { text: "a" }, { stages: { write: fake } });
      },
      async () => {
        // @ts-expect-error a wait is no stage
        await testRun(mixed, { text: "a" }, { stages: { approval: () => null } });
      },
      // @ts-expect-error `write` has no such config
      async () => testRun(mixed, { text: "a" }, { config: { write: { prefix: "" } } }),
    ];
    for (const call of wrong.slice(0, 1)) await expect(call()).rejects.toThrow("input.text");
  });

  it("gives a fake what its stage would get, and what it gives to the next one", async () => {
    const t = await testRun(
      mixed,
      { text: "ab" },
      {
        stages: {
          write: ({ input, config }) => {
            expectTypeOf(input).toEqualTypeOf<{ text: string; times: number }>();
            expectTypeOf(config).toEqualTypeOf<{ suffix: string }>();
            return { text: `${input.text} ${input.times}${config.suffix}` };
          },
          publish: async ({ input, output, config, attempt }) => {
            expectTypeOf(input).toEqualTypeOf<Waited<{ ok: boolean }>>();
            expectTypeOf(config).toEqualTypeOf<undefined>();
            expectTypeOf(attempt).toEqualTypeOf<number>();
            expectTypeOf(output("long")).resolves.toEqualTypeOf<{ text: string } | undefined>();
            return { ...(await output("write")), ok: input.received };
          },
        },
      },
    );
    await t.signal("approval", { ok: false });
    expect(await t.output()).toEqual({ text: "ab 2!", ok: true });
  });

  it("takes a fake of a stage behind a condition, and one that gives nothing", async () => {
    const built = workflow("fakes", { input: nothing })
      .stageIf(
        "maybe",
        () => true,
        () => ({ n: 1 }),
      )
      .stage("mail", () => {})
      .build();
    const mailed: unknown[] = [];
    const stages: StageFakes<typeof built> = {
      maybe: ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<null>();
        return { n: 2 };
      },
      mail: ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<{ n: number } | null>();
        mailed.push(input);
      },
    };
    // @ts-expect-error it gives an object, or is passed over
    const wrong: StageFakes<typeof built> = { maybe: () => undefined };
    expect(Object.keys(wrong)).toEqual(["maybe"]);
    expect(await (await testRun(built, null, { stages })).output()).toBeNull();
    expect(mailed).toEqual([{ n: 2 }]);
  });

  it("takes config, and an env that its stages get", async () => {
    const reads = workflow("reads", { input: nothing })
      .stage("read", ({ env }) => Object.entries(env).flat().map(String))
      .build();
    const env: object = { KEY: "secret" };
    expect(await (await testRun(reads, null, { env })).output()).toEqual(["KEY", "secret"]);
    const t = await testRun(mixed, { text: "a" }, { config: { write: { suffix: "?" } } });
    await t.signal("approval", { ok: false });
    expect(await t.output()).toEqual({ text: "aa?", ok: false });
  });

  it("lets what becomes due happen at its instant, whatever time passes at once", async () => {
    const t = await testRun(mixed, { text: "a" }, { now: 1_000 });
    await t.advance("30d");
    expect(await t.output()).toMatchObject({ ok: false });
    const hour = 3_600_000;
    expect(t.events.filter(({ stage: id }) => id === "approval")).toMatchObject([
      { type: "stage:suspended", at: 1_000 + 8 * hour },
      { type: "stage:completed", at: 1_000 + (8 + 72) * hour },
    ]);
    expect(t.now).toBe(1_000 + 30 * 24 * hour);
  });

  it("polls a suspended stage at its times", async () => {
    const polls: number[] = [];
    const batches = workflow("batches", { input: nothing })
      .stage(
        "batch",
        stage({
          run: ({ suspend }) => suspend({ id: "b" }, { pollIn: "1m", within: "1h" }),
          poll: ({ notReady }) => {
            polls.push(t.now);
            return polls.length < 3 ? notReady() : "there";
          },
        }),
      )
      .build();
    const t = await testRun(batches, null, { now: 0 });
    await t.until("batch");
    expect(t.now).toBe(0);
    expect(await t.output()).toBe("there");
    expect(polls).toEqual([60_000, 120_000, 180_000]);
  });

  it("works the stages of one concurrency key, one after the other", async () => {
    const concurrency = { key: "model", limit: 1 };
    const asks = workflow("asks", { input: nothing })
      .parallel({
        one: stage({ concurrency, run: () => 1 }),
        two: stage({ concurrency, run: () => 2 }),
      })
      .build();
    const t = await testRun(asks, null, { crash: "everywhere" });
    expect(await t.output()).toEqual({ one: 1, two: 2 });
  });

  it("is run again from a stage", async () => {
    let broken = true;
    const mends = workflow("mends", { input: nothing })
      .stage("first", () => {
        if (broken) throw new Fatal("broken");
        return 1;
      })
      .stage("second", ({ input }) => input + 1)
      .build();
    const t = await testRun(mends, null);
    await expect(t.until("second")).rejects.toThrow(
      'The run is FAILED (broken), and did not come to "second"',
    );
    broken = false;
    await t.run.rerun({ from: "first" });
    expect(await t.output()).toBe(2);
    await expect(t.until("first")).rejects.toThrow(
      'The run is COMPLETED, and had come to "first" before: it is COMPLETED',
    );
  });

  it("refuses what is no stage", async () => {
    const stages: object = { approval: () => null };
    await expect(testRun(mixed, { text: "a" }, { stages })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: '"approval" is a wait, and runs no stage',
    });
    const unknown: object = { wrote: () => null };
    await expect(testRun(mixed, { text: "a" }, { stages: unknown })).rejects.toThrow(
      'There is no stage "wrote"',
    );
    const no: object = { write: 1 };
    await expect(testRun(mixed, { text: "a" }, { stages: no })).rejects.toThrow(
      "stages.write must be a function",
    );
  });
});

describe('crash: "everywhere"', () => {
  it("plays sleeps, waits, conditions, polls, retries and what once keeps", async () => {
    const effects: string[] = [];
    const all = workflow("all", { input: nothing })
      .stage("paid", async ({ once }) => once("payment", () => "paid"), { retry: { attempts: 5 } })
      .stage(
        "batch",
        stage({
          run: ({ suspend }) => suspend({ id: "b" }, { pollIn: "1m", within: "1h" }),
          poll: (_context, { id }) => id,
        }),
      )
      .parallel({
        one: () => 1,
        two: stage({ run: ({ idempotencyKey }) => effects.push(idempotencyKey) && 2 }),
      })
      .stageIf(
        "never",
        () => false,
        () => ({ one: 0, two: 0 }),
      )
      .sleep("night", "8h")
      .waitFor("approval", { payload: z.number(), within: "1d" })
      .stage("sum", async ({ input, output }) => [input.received, await output("one")])
      .build();
    const t = await testRun(all, null, {
      crash: "everywhere",
      script: async ({ advance, signal }) => {
        await advance("10m");
        await signal("approval", 1, { key: "once" });
        await advance("1h");
        await signal("approval", 1, { key: "once" });
      },
    });
    expect(await t.output()).toEqual([true, 1]);
    // The worker died after a stage had run and before its result was stored: it ran again.
    expect(effects.length).toBeGreaterThan(t.deaths + 1);
  });

  it("takes a run that fails for good as an ending like another", async () => {
    const fails = workflow("fails", { input: nothing })
      .stage("a", (): number => {
        throw new Fatal("never");
      })
      .build();
    const t = await testRun(fails, null, { crash: "everywhere" });
    await expect(t.output()).rejects.toThrow("The run is FAILED: never");
  });

  it("tells of a stage without a further try, which a death ends", async () => {
    const once = workflow("once", { input: nothing })
      .stage("a", () => 1, { retry: { attempts: 1 } })
      .build();
    await expect(testRun(once, null, { crash: "everywhere" })).rejects.toThrow(
      /^When the worker died .* commit . of 3 .*"status":"FAILED"/,
    );
  });

  it("tells in which of the runs the script has failed", async () => {
    const one = workflow("one", { input: nothing })
      .stage("a", () => 1)
      .build();
    let runs = 0;
    const script = async () => {
      runs += 1;
      if (runs === 3) throw new Error("not this time");
    };
    await expect(testRun(one, null, { crash: "everywhere", script })).rejects.toThrow(
      /^When the worker died after commit 1 of 3 \(.*\): not this time$/,
    );
  });
});
