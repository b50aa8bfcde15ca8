/** What the one is told that works stages, of each try that fails. */
import * as z from "zod";
import { describe, expect, it } from "vitest";
import { Fatal, workflow } from "../../src/engine/index.ts";
import { stackOf } from "../../src/engine/thrown.ts";
import { type FailedTry, stageRunner } from "../../src/engine/work.ts";
import { deliveryOf, toolsWith } from "./tools.ts";

const base = workflow("w", { input: z.any() });

async function failuresOf(run: () => unknown, triesLeft = 2): Promise<FailedTry[]> {
  const told: FailedTry[] = [];
  const definition = base.stage("a", run as () => number).build();
  const onFailure = (failure: FailedTry) => told.push(failure);
  const runner = stageRunner([definition], { env: {}, now: () => 0, onFailure });
  await runner.runStage(deliveryOf(definition, "a", { attempt: 3, triesLeft }), toolsWith());
  return told;
}

describe("a try that fails", () => {
  it("is told of with its delivery, what it threw, and when it is tried again", async () => {
    const thrown = new Error("broken");
    const run = () => Promise.reject(thrown);
    expect(await failuresOf(run)).toEqual([
      {
        delivery: expect.objectContaining({ stageId: "a", attempt: 3 }),
        error: "broken",
        retryInMs: 2_000,
        thrown,
      },
    ]);
    expect(await failuresOf(run, 0)).toMatchObject([{ retryInMs: null }]);
    expect(await failuresOf(() => Promise.reject(new Fatal("f")))).toMatchObject([
      { retryInMs: null },
    ]);
  });

  it("is told of where the deployed code does not know its workflow", async () => {
    const told: FailedTry[] = [];
    const onFailure = (failure: FailedTry) => told.push(failure);
    const runner = stageRunner([], { env: {}, now: () => 0, onFailure });
    const definition = base.stage("a", () => 1).build();
    await runner.runStage(deliveryOf(definition, "a"), toolsWith());
    expect(told).toMatchObject([{ delivery: { run: { workflowId: "w" } }, retryInMs: null }]);
  });

  it("is none that completes", async () => {
    expect(await failuresOf(() => 1)).toEqual([]);
  });
});

describe("the stack of what was thrown", () => {
  it("has those of its causes", () => {
    const stack = stackOf(new Error("outer", { cause: new TypeError("inner") }));
    expect(stack).toMatch(/^Error: outer\n +at [^]*\nCaused by: TypeError: inner\n +at /);
  });

  it.each<[string, unknown]>([
    ["no error", "text"],
    ["nothing", undefined],
    [
      "an object that cannot be looked at",
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("get");
          },
        },
      ),
    ],
  ])("is null where it is %s", (_, thrown) => {
    expect(stackOf(thrown)).toBeNull();
  });

  it("ends where an error is its own cause", () => {
    const endless = new Error("round");
    endless.cause = endless;
    expect(stackOf(endless)?.match(/Error: round/g)).toHaveLength(4);
  });
});
