/** The line of the runs with waiting events: what a page takes, what it costs, and that D1 and the memory store keep the same one. */
import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Change, type Store } from "../../src/changes/index.ts";
import { newCommitId } from "../../src/model/index.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { D1Store } from "../../src/store/index.ts";
import { Recorder } from "../ledger/recorder.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const AT = 1_000;

beforeEach(async () => {
  await emptyDatabase();
});

function event(workflowRunId: string, number = 1): Change {
  const row = { workflowRunId, eventType: "e", payload: "{}", causationId: String(number) };
  const state = { occurredAt: AT, publishedAt: null, retryCount: 0, dlqAt: null };
  return { kind: "appendOutboxEvent", row: { ...row, ...state } };
}

function events(workflowRunId: string, count: number): Change[] {
  return Array.from({ length: count }, (_, index) => event(workflowRunId, index));
}

async function commit(store: Store, changes: readonly Change[]): Promise<void> {
  const id = newCommitId(AT);
  const outcome = await store.attempt({ id, guards: [], changes: [...changes], reads: [] });
  expect(outcome.applied).toBe(true);
}

type Place = readonly [run: string, sequence: number];

async function page(store: Store, limit: number): Promise<Place[]> {
  const [rows] = await store.read([{ q: "unpublishedEvents", limit }]);
  return rows.map(({ workflowRunId, sequence }) => [workflowRunId, sequence]);
}

async function publish(store: Store, places: readonly Place[]): Promise<void> {
  await commit(
    store,
    places.map(([workflowRunId, sequence]) => ({
      kind: "publishOutboxEvent",
      workflowRunId,
      sequence,
      at: AT,
    })),
  );
}

const run = (index: number) => `run-${String(index).padStart(4, "0")}`;

describe.each(["D1", "memory"])("a page of the outbox in %s", (where) => {
  const recorder = new Recorder(env.DB);
  const aStore = () => (where === "D1" ? new D1Store(recorder.database) : createMemoryStore());

  /** Rows read by a page of this many, in D1; 0 in memory. */
  async function cost(store: Store, limit: number) {
    recorder.reset();
    await page(store, limit);
    return recorder.figures().rowsRead;
  }

  it("has another run's event beside 10,000 of one run, and reads six rows at most for each event that it answers", async () => {
    const store = aStore();
    for (let part = 0; part < 10; part += 1) await commit(store, events("noisy", 1_000));
    await commit(store, events("quiet", 1));
    const noisy = Array.from({ length: 999 }, (_, index) => ["noisy", index + 1] as const);
    expect(await page(store, 1_000)).toEqual([...noisy, ["quiet", 1]]);
    expect(await page(store, 2)).toEqual([
      ["noisy", 1],
      ["quiet", 1],
    ]);
    expect(await cost(store, 1_000)).toBeLessThanOrEqual(6_000);
    expect(await cost(store, 100)).toBeLessThanOrEqual(600);
  });

  it("begins with those that were left out, when more runs wait than fit", async () => {
    const store = aStore();
    const runs = Array.from({ length: 2_000 }, (_, index) => run(index));
    for (const half of [runs.slice(0, 1_000), runs.slice(1_000)]) {
      await commit(
        store,
        half.map((name) => event(name)),
      );
      await commit(
        store,
        half.map((name) => event(name)),
      );
    }
    const seen: Place[][] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      seen.push(await page(store, 1_000));
      expect(await cost(store, 1_000)).toBeLessThanOrEqual(6_000);
      await publish(store, seen.at(-1) ?? []);
    }
    const half = (first: number, sequence: number) =>
      runs.slice(first, first + 1_000).map((name) => [name, sequence]);
    expect(seen).toEqual([half(0, 1), half(1_000, 1), half(0, 2), half(1_000, 2)]);
    expect(await page(store, 1_000)).toEqual([]);
  });

  it("has a run that joins late behind those that wait, and before those that had their turn", async () => {
    const store = aStore();
    await commit(store, [...events("b", 3), ...events("c", 3)]);
    await publish(store, [["b", 1]]);
    await commit(store, events("a", 1));
    expect(await page(store, 1)).toEqual([["c", 1]]);
    await publish(store, [["c", 1]]);
    expect(await page(store, 2)).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });
});

describe("the line", () => {
  const name = fc.constantFrom("a", "b", "c", "d");
  const sequence = fc.integer({ min: 1, max: 4 });
  const place = { workflowRunId: name, sequence };
  const appended = fc
    .record({ workflowRunId: name, state: fc.constantFrom("waits", "waits", "published", "dead") })
    .map(({ workflowRunId, state }): Change => {
      const change = event(workflowRunId);
      if (change.kind !== "appendOutboxEvent") return change;
      const publishedAt = state === "published" ? AT : null;
      const dlqAt = state === "dead" ? AT : null;
      return { ...change, row: { ...change.row, publishedAt, dlqAt } };
    });
  const change: fc.Arbitrary<Change> = fc.oneof(
    { arbitrary: appended, weight: 3 },
    fc.record({ kind: fc.constant("publishOutboxEvent" as const), ...place, at: fc.constant(AT) }),
    fc.record({
      kind: fc.constant("deadLetterOutboxEvent" as const),
      ...place,
      at: fc.constant(AT),
    }),
    fc.record({ kind: fc.constant("countOutboxRetry" as const), ...place }),
    fc.record({
      kind: fc.constant("putBackEvent" as const),
      ...place,
      seen: fc.constantFrom(0, 0, 1),
      blame: fc.constantFrom("none", "suspected", "certain"),
      at: fc.constantFrom(AT, AT + 100_000),
    }),
    fc.record({ kind: fc.constant("replayOutboxEvent" as const), ...place }),
  );

  /** Runs with waiting events in the order of their turns, and whether each turn is that of the run's first waiting event. */
  async function lineInD1(): Promise<string[]> {
    const { results } = await env.DB.prepare(
      `SELECT "workflow_run_id" AS run, "sequence" = (SELECT min("sequence") FROM "outbox_events" AS o WHERE o."workflow_run_id" = e."workflow_run_id" AND o."published_at" IS NULL AND o."dlq_at" IS NULL) AS first ` +
        `FROM "outbox_events" AS e WHERE "turn" IS NOT NULL ORDER BY "turn", "workflow_run_id"`,
    ).run<{ run: string; first: number | null }>();
    expect(results.filter(({ first }) => first !== 1)).toEqual([]);
    return results.map((row) => row.run);
  }

  it("holds each run with waiting events once, in the same order in D1 and in memory, whatever is done to events", async () => {
    const commits = fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { maxLength: 8 });
    let longest = 0;
    await fc.assert(
      fc.asyncProperty(commits, async (list) => {
        await emptyDatabase();
        const d1 = new D1Store(env.DB);
        const memory = createMemoryStore();
        for (const changes of list) {
          const sent = { id: newCommitId(AT), guards: [], changes, reads: [] };
          await d1.attempt(sent);
          await memory.attempt(sent);
          const { turns } = memory.state.outboxEvents;
          const waiting = new Set((await page(memory, 1_000)).map(([of]) => of));
          expect([...turns.keys()].toSorted()).toEqual([...waiting].toSorted());
          const line = [...turns].toSorted((x, y) => x[1] - y[1] || (x[0] < y[0] ? -1 : 1));
          expect(await lineInD1()).toEqual(line.map(([of]) => of));
          for (const limit of [1, 2, 5]) {
            expect(await page(d1, limit)).toEqual(await page(memory, limit));
          }
          longest = Math.max(longest, line.length);
        }
      }),
      { numRuns: 25, seed: 7 },
    );
    expect(longest).toBe(4);
  });
});
