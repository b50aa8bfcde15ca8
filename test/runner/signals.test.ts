/** The keys by which signals count once. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

type Asks = Workflow<
  null,
  unknown,
  Readonly<Record<string, unknown>>,
  Readonly<Record<string, number>>
>;

describe.each(["D1", "maps"] as const)("a signal's key over %s", (over) => {
  it("may have 2,048 bytes, whatever the name of the signal, and an error names it", async () => {
    const long = "n".repeat(512);
    const asks: Asks = Chain.of("asks", { input: z.null() })
      .waitFor("go", { payload: z.number(), within: "1h" })
      .waitFor(long, { payload: z.number(), within: "1h" })
      .build();
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    for (const payload of [1, 2]) await run.signal("go", payload, { key: "k".repeat(2_048) });
    await expect(run.signal("go", 1, { key: "k".repeat(2_049) })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "key must be at most 2048 bytes of UTF-8, got 2049",
      details: { field: "key", limit: 2_048 },
    });
    await engine.settle();
    await run.signal(long, 3, { key: "\u00e9".repeat(1_024) });
    await engine.settle();
    expect(await run.outputOf("go")).toEqual({ received: true, payload: 1 });
    expect(await run.output()).toMatchObject({ value: { received: true, payload: 3 } });
  });
});
