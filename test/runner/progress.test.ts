/** What a running stage tells of its progress. */
import { beforeEach, expect, it, vi } from "vitest";
import * as z from "zod";
import type { CommitOutcome } from "../../src/changes/index.ts";
import { workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";
import { leasesEnd } from "./support/race.ts";

beforeEach(async () => {
  await emptyDatabase();
});

it("is an event while the worker has the lease, and nothing from a worker that has lost it", async () => {
  const { gate, pass } = newGate();
  const told: Promise<CommitOutcome>[] = [];
  const counts = workflow("counts", { input: z.null() })
    .stage("count", async ({ attempt, progress }) => {
      if (attempt > 1) return attempt;
      progress(1, 9);
      await pass();
      progress(8, 9);
      return attempt;
    })
    .build();
  const engine: Engine = new Engine({
    workflows: [counts],
    around: (store) => ({
      now: async () => store.now(),
      read: async (queries) => store.read(queries),
      settle: async (commit) => store.settle(commit),
      async attempt(commit) {
        const outcome = store.attempt(commit);
        const tells = commit.changes.some(
          (change) =>
            change.kind === "appendOutboxEvent" && change.row.eventType === "stage:progress",
        );
        if (tells) told.push(outcome);
        return outcome;
      },
    }),
  });
  const run = await engine.runs.start(counts, null);
  const zombie = engine.consume(1);
  await gate.reached();
  await vi.waitUntil(() => told.length === 1);
  expect(await Promise.all(told)).toMatchObject([{ applied: true }]);
  await leasesEnd(engine);
  engine.now += 60_000;
  await engine.settle();
  gate.open();
  await zombie;
  await vi.waitUntil(() => told.length === 2);
  expect(await Promise.all(told)).toMatchObject([{ applied: true }, { applied: false }]);
  expect(await engine.payloads(run.id, "stage:progress")).toHaveLength(1);
  expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
});
