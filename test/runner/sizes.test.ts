/** What is too much for one row. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const text = z.object({ text: z.string() });

describe.each(["D1", "maps"] as const)("a run over %s", (over) => {
  it.each([
    ["one stage", (large: () => string) => large],
    ["a group", (large: () => string) => ({ large, small: () => 1 })],
  ])(
    "fails at its end where what %s gives does not fit beside its input, and tries nothing again",
    async (_what, last) => {
      let calls = 0;
      const large = () => {
        calls += 1;
        return "x".repeat(1_800_000);
      };
      const made = last(large);
      const empty = Chain.of("large", { input: text });
      const ends = typeof made === "function" ? empty.stage("large", made) : empty.parallel(made);
      const flow: Workflow = ends.build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, { text: "y".repeat(1_000_000) });
      await engine.settle();
      await engine.pass(3_600_000);
      expect(calls).toBe(1);
      expect(await run.output()).toMatchObject({
        status: "FAILED",
        reason: expect.stringMatching(/output .*limit is 1900000/),
      });
      expect((await engine.events(run.id)).at(-1)).toMatch("workflow:failed");
      expect(await engine.connection.audit()).toEqual([]);
    },
  );
});
