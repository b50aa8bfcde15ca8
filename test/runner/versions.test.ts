/** Runs of an earlier definition, in the hands of callers that have a later one, or another workflow. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { emptyDatabase } from "../support/database.ts";
import type { AnyRun } from "./support/crash.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();
type Named = Readonly<Record<string, unknown>>;

describe.each(["D1", "maps"] as const)("a run of an earlier definition, on %s", (over) => {
  const first = workflow("asks", { input })
    .waitFor("go", { payload: z.number(), within: "1h" })
    .stage("old", ({ input: waited }) => (waited.received ? waited.payload : null))
    .build();
  const later = { input, version: 2, previous: [first] };

  async function waiting(deployed: Workflow<unknown, unknown, Named, Named>): Promise<AnyRun> {
    const engine = new Engine({ workflows: [first], over });
    const { id } = await engine.runs.start(first, null);
    await engine.settle();
    engine.workflows = [deployed];
    const run: AnyRun = engine.runs.get(deployed, id);
    return { ...run, output: async () => engine.settle().then(async () => run.output()) };
  }

  it("takes the signal that its own wait takes, where the later one has another payload", async () => {
    const run = await waiting(
      workflow("asks", later)
        .waitFor("go", { payload: z.string(), within: "1h" })
        .stage("new", () => 0)
        .build(),
    );
    await expect(run.signal("go", "text")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await run.signal("go", 5);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 5 });
  });

  it("takes it also where the later definition has no such wait, and refuses what that has", async () => {
    const run = await waiting(
      workflow("asks", later)
        .waitFor("ok", { payload: z.string(), within: "1h" })
        .stage("new", () => 0)
        .build(),
    );
    await expect(run.signal("ok", "text")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      details: { field: "name" },
    });
    await run.signal("go", 6);
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 6 });
  });
});

it("the output of a run is given to no handle of another workflow", async () => {
  const made = workflow("made", { input })
    .stage("only", () => 1)
    .build();
  const other = workflow("other", { input })
    .stage("only", () => 2)
    .build();
  const engine = new Engine({ workflows: [made, other] });
  const { id } = await engine.runs.start(made, null);
  const refusal = { code: "INVALID_ARGUMENT", details: { field: "workflow" } };
  const foreign = engine.runs.get(other, id);
  await expect(foreign.output()).rejects.toMatchObject(refusal);
  await engine.settle();
  await expect(foreign.output({ within: "1s" })).rejects.toMatchObject(refusal);
  expect(await engine.runs.get(made, id).output()).toMatchObject({ value: 1 });
});
