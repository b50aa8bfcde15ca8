/** Changes that share a statement travel through JSON, which must not cost their numbers a bit. */
import { describe, expect, it } from "vitest";
import { createRun, stageInput, ways } from "./ways.ts";

const numbers: readonly number[] = [
  0.1 + 0.2,
  1 / 3,
  4.35,
  123_456_789.123_456_78,
  8.41e21,
  1e22,
  1e23,
  1e-7,
  -1.1e-300,
  9.5367431640625e-7,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  2.225_073_858_507_201_4e-308,
  Number.MAX_SAFE_INTEGER + 1,
];

describe.each(ways)("numbers of changes that share a statement, $name", ({ open }) => {
  it("come back as they were given", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.withTransaction(async (tx) => {
      for (const index of numbers.keys()) await tx.createStage(stageInput(run, `s${index}`));
    });
    await a.persistence.withTransaction(async (tx) => {
      for (const [index, value] of numbers.entries()) {
        const update = { pollInterval: value, duration: value };
        await tx.updateStageByRunAndStageId(run, `s${index}`, update);
      }
    });
    for (const [index, value] of numbers.entries()) {
      const stage = await a.persistence.getStage(run, `s${index}`);
      expect([stage?.pollInterval, stage?.duration]).toEqual([value, value]);
    }
  });
});
