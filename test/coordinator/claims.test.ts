import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { aRun, present, upTo } from "../../src/testing/conformance/support.ts";
import { databaseVia } from "../anomalies/database.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { aClaim, count, outcomeOf, signal, withCoordinators } from "./support.ts";

beforeEach(async () => {
  await emptyDatabase();
});

async function seedRuns(priorities: readonly number[]): Promise<string[]> {
  const { persistence } = embed(env);
  const ids: string[] = [];
  for (const priority of priorities) ids.push((await persistence.createRun(aRun({ priority }))).id);
  return ids;
}

/** Claims of as many connections at once; the ids that were won. */
async function claimNext(claimers: number): Promise<(string | null)[]> {
  const connections = upTo(claimers).map(() => embed(env));
  const claimed = await Promise.all(
    connections.map(({ persistence }) => persistence.claimNextPendingRun()),
  );
  return claimed.map((run) => run?.id ?? null);
}

describe("racing claimers", () => {
  it("win each of ten runs once, thirty of them", async () => {
    const ids = await seedRuns(upTo(10).map(() => 5));

    const won = await claimNext(30);

    expect(won.filter((id) => id !== null).toSorted()).toEqual(ids.toSorted());
    expect(won).toHaveLength(30);
  });

  it("win a run that was named once, three of them for each of ten", async () => {
    const ids = await seedRuns(upTo(10).map(() => 5));
    const claims = ids.flatMap((id) => upTo(3).map(() => ({ id, backend: embed(env) })));

    const won = await Promise.all(
      claims.map(async ({ id, backend }) =>
        (await backend.persistence.claimPendingRun(id)) ? [id] : [],
      ),
    );

    expect(won.flat().toSorted()).toEqual(ids.toSorted());
  });

  it("each get a run while enough are pending", async () => {
    await seedRuns(upTo(30).map(() => 5));

    const won = await claimNext(20);

    expect(won).not.toContain(null);
    expect(new Set(won).size).toBe(20);
  });

  it("take the highest priorities, and the oldest of these", async () => {
    const ids = await seedRuns([1, 9, 5, 9, 1, 5, 9, 5, 1, 5]);
    const best = [1, 3, 6, 2, 5].map((index) => ids[index]);

    const won = await claimNext(5);

    expect(won.toSorted()).toEqual(best.toSorted());
  });

  it("one after the other take them in that order", async () => {
    const ids = await seedRuns([1, 9, 5, 9]);
    const won: unknown[] = [];
    for (const _ of ids) won.push(...(await claimNext(1)));

    expect(won).toEqual([1, 3, 2, 0].map((index) => ids[index]));
  });

  it("leave the run with one step of its version", async () => {
    const [id = ""] = await seedRuns([5]);
    await claimNext(10);
    const run = present(await embed(env).persistence.getRun(id));
    expect(run).toMatchObject({ status: "RUNNING", version: 2 });
  });
});

describe("a coordinator", () => {
  it("asks D1 once for ten claims that wait for it together", async () => {
    const [id = ""] = await seedRuns([5]);
    let batches = 0;
    const counting = databaseVia(env.DB, async (batch, send) => {
      batches += 1;
      return send(batch);
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(counting);
      return Promise.all(upTo(10).map(() => coordinator.attempt(aClaim(id))));
    });

    expect(count(outcomes.map(outcomeOf), "applied")).toBe(1);
    expect(count(outcomes.map(outcomeOf), "refused")).toBe(9);
    expect(batches).toBe(1);
  });

  it("asks D1 once more for all the claims that come while D1 decides", async () => {
    const [id = ""] = await seedRuns([5]);
    let batches = 0;
    const [asked, proceed] = [signal(), signal()];
    const slow = databaseVia(env.DB, async (batch, send) => {
      batches += 1;
      asked.give();
      await proceed.given;
      return send(batch);
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(slow);
      const first = coordinator.attempt(aClaim(id));
      await asked.given;
      const rest = upTo(9).map(() => coordinator.attempt(aClaim(id)));
      proceed.give();
      return Promise.all([first, ...rest]);
    });

    expect(outcomes.map(outcomeOf)).toEqual(["applied", ...upTo(9).map(() => "refused")]);
    expect(batches).toBe(2);
  });

  it("does not refuse a claim for what D1 said of the run before the claim came", async () => {
    const id = "late";
    const [answered, proceed] = [signal(), signal()];
    let first = true;
    const slow = databaseVia(env.DB, async (batch, send) => {
      const wasFirst = first;
      first = false;
      try {
        return await send(batch);
      } finally {
        if (wasFirst) {
          answered.give();
          await proceed.given;
        }
      }
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(slow);
      const early = coordinator.attempt(aClaim(id));
      await answered.given;
      await embed(env).persistence.createRun(aRun({ id }));
      const late = coordinator.attempt(aClaim(id));
      proceed.give();
      return Promise.all([early, late]);
    });

    expect(outcomes.map(outcomeOf)).toEqual(["refused", "applied"]);
  });

  it("claims a run that is PENDING again", async () => {
    const [id = ""] = await seedRuns([5]);
    const { persistence } = embed(env);
    await withCoordinators(async (create) => {
      const coordinator = create();
      expect(outcomeOf(await coordinator.attempt(aClaim(id)))).toBe("applied");
      expect(outcomeOf(await coordinator.attempt(aClaim(id)))).toBe("refused");
      await persistence.updateRun(id, { status: "PENDING" });
      expect(outcomeOf(await coordinator.attempt(aClaim(id)))).toBe("applied");
    });
  });

  it("lets the next claim decide when D1 failed with the first", async () => {
    const [id = ""] = await seedRuns([5]);
    let first = true;
    const failing = databaseVia(env.DB, async (batch, send) => {
      if (!first) return send(batch);
      first = false;
      throw new Error("D1_ERROR: Network connection lost.");
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(failing);
      return Promise.all(upTo(3).map(() => coordinator.attempt(aClaim(id))));
    });

    expect(outcomes.map(outcomeOf)).toEqual(["UNAVAILABLE", "applied", "refused"]);
  });
});
