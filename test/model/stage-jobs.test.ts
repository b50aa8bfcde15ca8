/** The payload by which a job is known that takes a run through its stages. */
import { describe, expect, it } from "vitest";
import { STAGE_PAYLOAD, stageJob, takesStages, triedIn } from "../../src/model/index.ts";

describe("the payload of a stage job", () => {
  it.each([[{}], [{ 1: 2 }], [{ 3: 1, 40: 1_000 }]])(
    "is known, by its beginning too, and gives back the tries that it carries: %j",
    (tried) => {
      const payload = stageJob(tried);
      expect(takesStages({ payload })).toBe(true);
      expect(payload.startsWith(STAGE_PAYLOAD)).toBe(true);
      expect(triedIn(payload)).toEqual(tried);
    },
  );
});
