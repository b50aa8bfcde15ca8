/** What a stage waits for, and how long. */
import { expect, it } from "vitest";
import * as z from "zod";
import { checkedSignal } from "../../src/engine/checked.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import { PAYLOAD_BYTES_MAX } from "../../src/engine/limits.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { refusalOf } from "./support.ts";
import { deliveryOf, toolsWith } from "./tools.ts";

const base = workflow("w", { input: z.null() });

it("a poll comes after a pause: none at all is refused", async () => {
  const hot = base
    .stage(
      "a",
      stage({ run: ({ suspend }) => suspend(1, { pollIn: 0, within: "1d" }), poll: () => 1 }),
    )
    .build();
  const runner = stageRunner([hot], { env: {}, now: () => 0 });
  const answer = await runner.runStage(deliveryOf(hot, "a"), toolsWith());
  expect(answer).toMatchObject({ error: "pollIn must be at least 1ms; got 0" });
});

it("a signal has a payload that its wait can give", async () => {
  const payload = z.string().transform((text) => text.repeat(2));
  const grows = base.waitFor("ok", { payload, within: "1d" }).build();
  const tooLarge = "x".repeat(1_000_000);
  expect((await refusalOf(() => checkedSignal(grows, "ok", tooLarge))).code).toBe(
    "PAYLOAD_TOO_LARGE",
  );
  const largest = "x".repeat((PAYLOAD_BYTES_MAX - 2) / 2);
  expect(await checkedSignal(grows, "ok", largest)).toBe(largest);
  const runner = stageRunner([grows], { env: {}, now: () => 0 });
  const occasion = { kind: "signal", payload: JSON.stringify(largest) } as const;
  const answer = await runner.runStage(deliveryOf(grows, "ok", { occasion }), toolsWith());
  expect(answer.outcome).toBe("completed");
});
