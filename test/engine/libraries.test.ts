import { type } from "arktype";
import * as v from "valibot";
import * as z from "zod";
import { expect, expectTypeOf, it } from "vitest";
import { checkedConfig, checkedInput, checkedSignal } from "../../src/engine/checked.ts";
import type { StageDelivery } from "../../src/engine/delivery.ts";
import {
  type ConfigOf,
  type InputOf,
  type OutputsOf,
  type SignalsOf,
  stage,
  workflow,
} from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { deliveryOf, runOf, toolsWith } from "./tools.ts";
import { refusalOf } from "./support.ts";

const count = stage({
  input: v.object({ text: v.string() }),
  output: type({ words: "number" }),
  config: v.object({ least: v.optional(v.number(), 1) }),
  run: ({ input, config }) => ({ words: Math.max(input.text.split(" ").length, config.least) }),
});
const mixed = workflow("mixed", { input: z.object({ text: z.string().default("a b") }) })
  .stage("count", count)
  .waitFor("ok", { payload: type({ by: "string" }), within: "1d" })
  .stage("end", async ({ input, output }) => ({
    by: input.received ? input.payload.by : null,
    words: (await output("count")).words,
  }))
  .build();

async function work(stageId: string, rest: Partial<StageDelivery>) {
  const runner = stageRunner([mixed], { env: {}, now: () => 0 });
  return runner.runStage(deliveryOf(mixed, stageId, rest), toolsWith({ count: '{"words":2}' }));
}

it("types one workflow by zod, valibot and arktype together", () => {
  expectTypeOf<InputOf<typeof mixed>>().toEqualTypeOf<{ text?: string | undefined }>();
  expectTypeOf<OutputsOf<typeof mixed>["count"]>().toEqualTypeOf<{ words: number }>();
  expectTypeOf<SignalsOf<typeof mixed>["ok"]>().toEqualTypeOf<{ by: string }>();
  expectTypeOf<{ count: { least: 2 } }>().toExtend<ConfigOf<typeof mixed>>();
});

it("validates one workflow by zod, valibot and arktype together", async () => {
  expect(await checkedInput(mixed, {})).toEqual({ text: "a b" });
  expect(await checkedConfig(mixed, {})).toEqual({ count: { least: 1 } });
  expect(await checkedSignal(mixed, "ok", { by: "me" })).toEqual({ by: "me" });
  const refused = await refusalOf(() => checkedSignal(mixed, "ok", { by: 1 }));
  expect(refused.details).toEqual({ field: "payload.by" });
  const run = runOf(mixed, { count: { least: 1 } });
  const from = (input: string) => ({ run, before: { group: 0, outputs: { "": input } } });
  expect(await work("count", from('{"text":"a b"}'))).toMatchObject({ output: '{"words":2}' });
  expect(await work("count", from('{"text":1}'))).toMatchObject({
    outcome: "failed",
    error: expect.stringMatching(/^input\.text: /),
  });
  const outputs = { ok: '{"received":true,"payload":{"by":"me"}}' };
  expect(await work("end", { before: { group: 2, outputs } })).toMatchObject({
    output: '{"by":"me","words":2}',
  });
});
