/** Whose the results are that `once` keeps. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

describe.each(["D1", "maps"] as const)("what once keeps over %s", (over) => {
  it("is of one stage and one record of it: others do their own work under the same key", async () => {
    const works: string[] = [];
    const working = (name: string) => () => `${name} ${works.push(name)}`;
    // Ids of one length, whose records have ids of one length too.
    const flow = workflow("keeping", { input: z.null() })
      .stage("one", async ({ once }) => once("k", working("one")))
      .parallel({
        two: async ({ once }) => once("k", working("two")),
        six: async ({ once, attempt }) => {
          const given = await once("k", working("six"));
          if (attempt === 1) throw new Error("once more");
          return given;
        },
      })
      .build();
    const engine = new Engine({ workflows: [flow], over });
    const run = await engine.runs.start(flow, null);
    await engine.settle();
    await engine.pass(60_000);
    expect(works.toSorted()).toEqual(["one", "six", "two"]);
    expect(await run.outputOf("one")).toBe("one 1");
    expect(await run.output()).toMatchObject({
      value: { two: expect.stringMatching(/^two/), six: expect.stringMatching(/^six/) },
    });
    await run.rerun({ from: "one" });
    await engine.settle();
    expect(works.slice(3).toSorted()).toEqual(["one", "six", "two"]);
    expect(await run.outputOf("one")).toBe("one 4");
  });
});
