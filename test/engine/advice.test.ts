/** What an error says of how to mend what it tells. */
import * as z from "zod";
import { describe, expect, it } from "vitest";
import { checkedSignal } from "../../src/engine/checked.ts";
import { Chain } from "../../src/engine/chain.ts";
import type { StageDelivery } from "../../src/engine/delivery.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import { listed } from "../../src/engine/names.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { deliveryOf, runOf, toolsWith } from "./tools.ts";
import { refusalOf } from "./support.ts";

const base = workflow("w", { input: z.any() });
const one = () => 1;

type Context = Parameters<Parameters<typeof stage>[0]["run"]>[0];

/** What becomes of a stage of these functions. */
async function answerOf(
  functions: {
    readonly run?: (context: never) => unknown;
    readonly poll?: (context: never) => unknown;
  },
  rest: Partial<StageDelivery> = {},
) {
  const { run, poll } = { run: one, poll: one, ...functions } as { run: () => 1; poll: () => 1 };
  const definition = base.stage("a", stage({ run, poll, retry: { attempts: 5 } })).build();
  const runner = stageRunner([definition], { env: {}, now: () => 0 });
  return runner.runStage(deliveryOf(definition, "a", rest), toolsWith());
}

describe("names that an error lists", () => {
  it("have the nearest first, and are ten at most", () => {
    expect(listed(["publish", "draft", "approval"], "aproval")).toBe(
      '"approval", "draft", "publish"',
    );
    const many = Array.from({ length: 300 }, (_, index) => `stage-${index}`);
    const told = listed(many, "stge-277");
    expect(told).toMatch(/^"stage-277", .* and 290 more$/);
    expect(told.match(/"/g)).toHaveLength(20);
  });

  it("are told where there are none, and where nothing like a name was given", () => {
    expect(listed([], "a")).toBe("none");
    expect(listed(["a"], undefined)).toBe('"a"');
  });

  it("are those of the waits, for a signal", async () => {
    const waits = { payload: z.any(), within: "1d" } as const;
    const order = base.stage("draft", one).waitFor("approval", waits).build();
    const error = await refusalOf(() => checkedSignal(order, "aproval", 1));
    expect(error.message).toBe(
      'The workflow "w" waits for no signal "aproval"; those that it waits for: "approval"',
    );
  });

  it("are those of the stages before, for an output", async () => {
    const read = async ({ output }: { output(id: string): Promise<unknown> }) => output("links");
    const chain = Chain.of("w", { input: z.any() }).stage("link", one).stage("b", read).build();
    const runner = stageRunner([chain], { env: {}, now: () => 0 });
    const delivery = deliveryOf(chain, "b", { before: { group: 1, outputs: { link: "1" } } });
    expect(await runner.runStage(delivery, toolsWith())).toMatchObject({
      error: 'There is no stage "links" before "b"; there are: "link"',
    });
  });
});

describe("an answer that means later, and is not returned", () => {
  it.each<[string, (context: Context) => unknown]>([
    [
      "nothing",
      ({ suspend }) => {
        suspend(1, { pollIn: "1s", within: "1d" });
      },
    ],
    ["it inside something else", ({ suspend }) => [suspend(1, { pollIn: "1s", within: "1d" })]],
  ])("ends the run: suspend, where run returns %s", async (_, run) => {
    expect(await answerOf({ run })).toMatchObject({
      outcome: "failed",
      error: 'Stage "a" called suspend(...), and did not return what it made: return suspend(...)',
      retryInMs: null,
    });
  });

  it("ends the run: notReady, where poll returns something else", async () => {
    const poll = ({ notReady }: { notReady(): object }) => {
      notReady();
    };
    const occasion = { kind: "poll", state: "1" } as const;
    expect(await answerOf({ poll }, { occasion })).toMatchObject({
      outcome: "failed",
      error:
        'Stage "a" called notReady(...), and did not return what it made: return notReady(...)',
      retryInMs: null,
    });
  });

  it("is told before what the stage's schema says of the rest", async () => {
    const strict = stage({
      output: z.object({ n: z.number() }),
      run: (({ suspend }: Context) => {
        suspend(1, { pollIn: "1s", within: "1d" });
      }) as () => never,
      poll: () => ({ n: 1 }),
    });
    const definition = base.stage("a", strict).build();
    const runner = stageRunner([definition], { env: {}, now: () => 0 });
    const answer = await runner.runStage(deliveryOf(definition, "a"), toolsWith());
    expect(answer).toHaveProperty("error", expect.stringContaining("return suspend(...)"));
  });

  it("is none where it was refused, and the stage goes on without it", async () => {
    const run = ({ suspend }: Context) => {
      try {
        return suspend(1, { pollIn: 0, within: "1d" });
      } catch {
        return "at once";
      }
    };
    expect(await answerOf({ run })).toMatchObject({ outcome: "completed", output: '"at once"' });
  });
});

describe("a run that the deployed code does not know", () => {
  const definition = base.stage("a", one).build();
  const runner = stageRunner([definition], { env: {}, now: () => 0 });

  it("fails with where its workflow is to be added", async () => {
    const run = { ...runOf(definition), workflowId: "outside" };
    expect(await runner.runStage(deliveryOf(definition, "a", { run }), toolsWith())).toMatchObject({
      error:
        'The deployed code has no workflow "outside": add it to engine({ workflows }), or to the workflows of the StageWorker',
      retryInMs: null,
    });
  });

  it("fails with how its shape is to be kept", async () => {
    const run = { ...runOf(definition), shape: "other" };
    const answer = await runner.runStage(deliveryOf(definition, "a", { run }), toolsWith());
    expect(answer).toHaveProperty(
      "error",
      expect.stringMatching(/raise version, and name the earlier definition in previous$/),
    );
  });
});

describe("what a stage says", () => {
  it.each<[string, (context: Context) => void, string, string]>([
    [
      "an AI call without its tokens",
      ({ ai }) => ai.record({ model: "m", outputTokens: 1, cost: 0 } as never),
      "call.inputTokens must be a whole number; got undefined",
      "call.inputTokens",
    ],
    [
      "an artifact of what JSON has not",
      ({ artifacts }) => artifacts.save("raw", { n: 1n }),
      "artifacts.raw.data.n holds a bigint, which JSON cannot keep",
      "artifacts.raw.data.n",
    ],
    [
      "an artifact whose metadata JSON has not",
      ({ artifacts }) => artifacts.save("a/b", 1, { n: 1n }),
      'artifacts["a/b"].metadata.n holds a bigint, which JSON cannot keep',
      'artifacts["a/b"].metadata.n',
    ],
    [
      "an artifact that is too large",
      ({ artifacts }) => artifacts.save("raw", "a".repeat(2_000_000)),
      "artifacts.raw.data does not fit: 2000002 bytes, the limit is 1867232 bytes; keep large data in R2, and its key here",
      "artifacts.raw.data",
    ],
    [
      "an artifact that is too large with its metadata",
      ({ artifacts }) => artifacts.save("raw", "a".repeat(1_000_000), "a".repeat(1_000_000)),
      "artifacts.raw does not fit: 2000007 bytes, the limit is 1867232 bytes; keep large data in R2, and its key here",
      "artifacts.raw",
    ],
  ])("is refused with what is wrong with it: %s", async (_, says, message, field) => {
    let refusal: unknown;
    await answerOf({
      run: async (context: never) => {
        refusal = await refusalOf(() => says(context));
      },
    });
    expect(refusal).toMatchObject({ message, details: { field } });
  });
});

describe("an output that is too large", () => {
  it("says where large data is kept", async () => {
    expect(await answerOf({ run: () => "a".repeat(3_000_000) })).toMatchObject({
      error:
        "output does not fit: 3000002 bytes, the limit is 1867232 bytes; keep large data in R2, and its key here",
      retryInMs: null,
    });
  });
});

describe("a chain of stages that is not built", () => {
  it("is refused by what works stages", async () => {
    const unbuilt = base.stage("a", one) as never;
    const error = await refusalOf(() => stageRunner([unbuilt], { env: {}, now: () => 0 }));
    expect(error).toMatchObject({
      message: "The workflow is not built: end its chain of stages with .build()",
      details: { field: "workflow" },
    });
  });
});
