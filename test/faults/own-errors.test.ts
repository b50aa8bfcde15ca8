/** A callback throws an error of its own after writes of unread rows, and D1 cannot be asked whether they were allowed. */
import { beforeAll, beforeEach, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { env } from "../support/env.ts";
import { writeDatabase } from "./support/database.ts";
import { embedded } from "./support/line.ts";
import { withoutPauses } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
});
beforeEach(() => writeDatabase(world.database));

const faults = [D1_FAULTS.before, D1_FAULTS.lost, D1_FAULTS.overloaded];
const cases = faults.flatMap((fault) => ["active", "nobody"].map((id) => ({ fault, id })));

it.each(cases)(
  "the very error comes out, and nothing is written: $id, $fault",
  async ({ fault, id }) => {
    const { backend, d1 } = embedded();
    const before = await embed(env).persistence.getRun(id);
    d1.restart(() => fault);
    const own = new Error("own");
    let runs = 0;

    const thrown = backend.persistence.withTransaction(async (tx) => {
      runs += 1;
      await tx.updateRun(id, { totalTokens: 7 });
      throw own;
    });

    await expect(thrown).rejects.toBe(own);
    expect(runs).toBe(1);
    expect(d1.calls.length).toBeGreaterThan(0);
    expect(await embed(env).persistence.getRun(id)).toEqual(before);
  },
);
