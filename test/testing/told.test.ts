/** What a test of a workflow is told where it goes wrong. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "workflow-engine-cloudflare/engine";
import { testRun } from "workflow-engine-cloudflare/engine/testing";

const input = z.null();
const order = workflow("order", { input })
  .stageIf(
    "shout",
    () => false,
    () => 1,
  )
  .waitFor("approval", { payload: z.boolean(), within: "1d" })
  .stage(
    "last",
    (): number => {
      throw broken;
    },
    { retry: { attempts: 1 } },
  )
  .build();
const broken = new TypeError("Cannot read properties of undefined (reading 'get')");

describe("testRun", () => {
  it("names the stage that failed, and has what it threw as the cause", async () => {
    const t = await testRun(order, null);
    await t.signal("approval", true);
    await expect(t.output()).rejects.toMatchObject({
      message: `The run is FAILED: ${broken.message} (in stage "last")`,
      cause: broken,
    });
    expect(await t.run.output()).toEqual({
      status: "FAILED",
      reason: broken.message,
      stage: "last",
    });
  });

  it("says of a chain that is not built what it lacks", async () => {
    const unbuilt: object = workflow("unbuilt", { input }).stage("a", () => 1);
    await expect(testRun(unbuilt as typeof order, null)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "The workflow is not built: end its chain of stages with .build()",
    });
  });

  it("says of a stage that was skipped that it was, also while the run waits", async () => {
    const t = await testRun(order, null);
    await expect(t.until("shout")).rejects.toThrow('Stage "shout" was skipped');
    await t.until("approval");
    await expect(t.until("shout")).rejects.toThrow('Stage "shout" was skipped');
  });

  it("lists the stages where one is named that is not there", async () => {
    const t = await testRun(order, null);
    const id: string = "aproval";
    const says = 'There is no stage "aproval"; there are: "approval", "shout", "last"';
    await expect(t.until(id as "approval")).rejects.toThrow(says);
    const stages: object = { aproval: () => 1 };
    await expect(testRun(order, null, { stages })).rejects.toThrow(says);
  });

  it("says that deaths of a workflow that waits need a script", async () => {
    await expect(testRun(order, null, { crash: "everywhere" })).rejects.toThrow(
      /^The run waits for the signal "approval" until .* advance\(\); for crash: "everywhere" this needs a script$/,
    );
    const idle = { crash: "everywhere", script: async () => {} } as const;
    await expect(testRun(order, null, idle)).rejects.toThrow(/advance\(\)$/);
  });
});
