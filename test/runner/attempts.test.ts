/** The numbers of tries that stages and waits keep, and that their events tell. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const asks = workflow("asks", { input: z.null() })
  .stage("draft", () => "draft")
  .waitFor("approval", { payload: z.number(), within: "1d" })
  .build();

describe.each(["D1", "maps"] as const)("a wait over %s", (over) => {
  it("is in its first attempt from its beginning, in the row as in its events", async () => {
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "SUSPENDED", attempt: 1 });
    await run.signal("approval", 1);
    await engine.settle();
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "COMPLETED", attempt: 1 });
  });

  it("is in a further attempt when it is run again, also for a signal that came before", async () => {
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    await run.signal("approval", 1);
    await run.signal("approval", 2);
    await engine.settle();
    await run.rerun({ from: "approval" });
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: { received: true, payload: 2 } });
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    const attempts = await engine.payloads(run.id, "stage:completed");
    expect(attempts.map(({ stageId, attempt }) => [stageId, attempt])).toEqual([
      ["draft", 1],
      ["approval", 1],
      ["approval", 2],
    ]);
  });
});
