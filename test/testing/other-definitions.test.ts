/** Runs in the hands of another definition than the one with which they were started. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { runsOf, workflow } from "../../src/engine.ts";
import { testRun } from "../../src/testing/engine/index.ts";

const input = z.null();
const payload = z.number();
const first = workflow("asks", { input })
  .waitFor("old", { payload, within: "1d" })
  .sleep("pause", "1h")
  .stage("last", () => 1)
  .build();
const second = workflow("asks", { input, version: 2, previous: [first] })
  .waitFor("old", { payload: z.number().max(5), within: "1d" })
  .waitFor("pause", { payload, within: "1d" })
  .build();
const other = workflow("other", { input }).waitFor("old", { payload, within: "1d" }).build();

describe("a run of an earlier definition", () => {
  it("takes the signals for which that waits, and refuses those of the present one", async () => {
    const t = await testRun(first, null);
    const run = runsOf(t.backend).get(second, t.run.id);
    await expect(run.signal("pause", 1)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      details: { field: "name" },
    });
    await run.signal("old", 5);
    expect(await t.output()).toBe(1);
  });
});

describe("a run of another workflow", () => {
  it("is neither sent a signal nor run again", async () => {
    const t = await testRun(first, null);
    const run = runsOf(t.backend).get(other, t.run.id);
    const refusal = { code: "INVALID_ARGUMENT", details: { field: "workflow" } };
    await expect(run.signal("old", 1)).rejects.toMatchObject(refusal);
    await t.run.pause();
    await expect(run.rerun({ from: "old" })).rejects.toMatchObject(refusal);
  });
});
