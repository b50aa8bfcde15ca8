/** As many skipped stages as a workflow may have, beside as much else as a commit may have. */
import { expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { testRun } from "../../src/testing/engine/index.ts";

const unmet = () => false;

function skips(chain: Chain, count: number): Chain {
  let to = chain;
  for (let at = 0; at < count; at += 1) to = to.stageIf(`s${at}`, unmet, () => at);
  return to;
}

it("a run begins with 499 of them", async () => {
  const long: Workflow = skips(Chain.of("long", { input: z.number() }), 499)
    .stage("last", ({ input }: { input: number }) => input)
    .build();
  const t = await testRun(long, 7);
  expect(await t.output()).toBe(7);
  expect(t.stages.filter(({ status }) => status === "SKIPPED")).toHaveLength(499);
});

it("a stage that says all that it may is followed by 299 of them, and by a group of 200", async () => {
  const ids = Array.from({ length: 200 }, (_, at) => `p${at}`);
  const first = Chain.of("long", { input: z.number() }).stage(
    "first",
    ({ input, log }: { input: number; log: (message: string) => void }) => {
      for (let at = 0; at < 400; at += 1) log("said");
      return input;
    },
  );
  const long: Workflow = skips(first, 299)
    .parallel(Object.fromEntries(ids.map((id) => [id, ({ input }: { input: number }) => input])))
    .build();
  const t = await testRun(long, 7);
  expect(await t.output()).toEqual(Object.fromEntries(ids.map((id) => [id, 7])));
  expect(t.logs).toHaveLength(400);
  const skipped = t.events.filter(({ type }) => type === "stage:skipped");
  expect(new Set(skipped.map(({ stage }) => stage)).size).toBe(299);
  expect(skipped).toHaveLength(299);
});
