import { beforeEach, describe, expect, it } from "vitest";
import { emptyDatabase } from "../support/database.ts";
import { ANOMALIES } from "./anomalies.ts";
import { opener } from "./anomaly.ts";

beforeEach(async () => {
  await emptyDatabase();
});

for (const { name, race, scenario, finding, mutation } of ANOMALIES) {
  describe(name, () => {
    it("does not occur", async () => {
      expect(await scenario(opener())).toEqual({ race, anomaly: null });
    });

    it(`occurs without ${mutation().removes}`, async () => {
      expect(await scenario(opener(mutation()))).toEqual({ race, anomaly: finding });
    });
  });
}

describe("the list of anomalies", () => {
  it("names each once", () => {
    const names = ANOMALIES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it("holds every anomaly that the storage promises to rule out", () => {
    expect(ANOMALIES.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "lost update",
        "write skew between two stages of one run",
        "dirty read",
        "non-repeatable read inside a callback",
        "phantom stage",
        "partial batch",
        "claim twice",
        "outbox gap",
        "outbox order against commit order",
        "lost answer taken for a conflict",
      ]),
    );
  });
});
