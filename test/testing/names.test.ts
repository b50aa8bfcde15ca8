/** Stages whose ids are the names of what every object has. */
import { expect, it } from "vitest";
import { Chain } from "../../src/engine/chain.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { testRun } from "../../src/testing/engine/index.ts";
import * as z from "zod";

it.each(["constructor", "toString", "hasOwnProperty", "__defineGetter__"])(
  "%s is in its first attempt, and runs its own code",
  async (id) => {
    const odd: Workflow = Chain.of(id, { input: z.null() })
      .stage("first", () => 1)
      .stage(id, ({ input }: { input: number }) => input + 1)
      .parallel({ [`${id}2`]: () => 2, valueOf: () => 3 })
      .build();
    const t = await testRun(odd, null);
    expect(await t.output()).toEqual({ [`${id}2`]: 2, valueOf: 3 });
    expect(t.stages.map(({ attempt, output }) => [attempt, output])).toEqual([
      [1, 1],
      [1, 2],
      [1, 2],
      [1, 3],
    ]);
  },
);
