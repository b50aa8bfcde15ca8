import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { commitIdAt, newCommitId } from "../../src/model/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { Recorder } from "../ledger/recorder.ts";
import { DAY_MS, NOW, World } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { addCommitRecord } from "./support.ts";

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

describe("the purge", () => {
  async function keysLeft(): Promise<string[]> {
    const { results } = await env.DB.prepare(
      `SELECT "key" FROM "idempotency_keys" ORDER BY 1`,
    ).all<{
      key: string;
    }>();
    return results.map(({ key }) => key);
  }

  it.each([
    [{}, ["29 days", "now"]],
    [{ IDEMPOTENCY_KEYS_DAYS: 1 }, ["now"]],
    [{ IDEMPOTENCY_KEYS_DAYS: 0 }, ["29 days", "31 days", "now"]],
  ])("deletes idempotency keys that are older than %j says", async (vars, left) => {
    const world = new World(vars);
    const part = world.part();
    for (const [key, days] of [
      ["31 days", 31],
      ["29 days", 29],
      ["now", 0],
    ] as const) {
      const options = { now: new Date(NOW - days * DAY_MS) };
      await part.backend.persistence.acquireIdempotencyKey(key, "c", options);
    }
    await world.sweep(part);
    expect(await keysLeft()).toEqual(left);
  });

  const countOf = async (table: string) =>
    env.DB.prepare(`SELECT count(*) AS "count" FROM "${table}"`).first<number>("count");

  /** Rows of both tables, one for each millisecond before these instants. */
  async function addExpired(count: number, before: { key: number; record: number }): Promise<void> {
    const numbers = `WITH RECURSIVE n("n") AS (SELECT 1 UNION ALL SELECT "n" + 1 FROM n WHERE "n" < ${count})`;
    const instants = Array.from({ length: count }, (_, index) =>
      commitIdAt(before.record - index - 1).padEnd(newCommitId(NOW).length, "0"),
    );
    await env.DB.batch([
      env.DB.prepare(
        `INSERT INTO "idempotency_keys" ("key", "command_type", "created_at", "state", "acquired_at", "result", "commits") ` +
          `${numbers} SELECT 'k' || "n", 'c', ?1 - "n", 'completed', ?1 - "n", '1', '' FROM n`,
      ).bind(before.key),
      env.DB.prepare(
        `INSERT INTO "commits" ("id", "outcome") SELECT value, 'applied' FROM json_each(?)`,
      ).bind(JSON.stringify(instants)),
    ]);
  }

  it("deletes what commits have noted more than a day ago, and nothing that is younger", async () => {
    const world = new World();
    const part = world.part();
    await addExpired(1_001, { key: NOW - 30 * DAY_MS, record: NOW - DAY_MS });
    await addCommitRecord(NOW - DAY_MS + 1_000);
    expect(await world.sweep(part)).toMatchObject({ purged: 2 });
    expect(await countOf("commits")).toBe(1);
    expect(await world.sweep(part)).toMatchObject({ purged: 0 });
  });

  it("deletes the marks of watched runs that have ended, a thousand a commit, and no others", async () => {
    const part = new World().part();
    const add = async (name: string, count: number, fromMs: number) =>
      env.DB.prepare(
        `INSERT INTO "watched_runs" ("workflow_run_id", "until") WITH RECURSIVE n("n") AS (SELECT 0 UNION ALL SELECT "n" + 1 FROM n WHERE "n" + 1 < ?2) ` +
          `SELECT ?1 || "n", ?3 - "n" FROM n`,
      )
        .bind(name, count, Date.now() + fromMs)
        .run();
    await add("watched", 3, 60_000);
    expect(await new World().sweep(part)).toMatchObject({ purged: 0 });
    await add("ended", 1_001, -1_000);
    expect(await new World().sweep(part)).toMatchObject({ purged: 2, failed: [] });
    expect(await countOf("watched_runs")).toBe(3);
  });

  it("deletes 20,000 expired keys and as many commit records in one tick, a thousand a commit", async () => {
    const world = new World();
    const part = world.part();
    await addExpired(20_000, { key: NOW - 30 * DAY_MS, record: NOW - DAY_MS });
    await part.backend.persistence.acquireIdempotencyKey("young", "c");
    expect(await world.sweep(part)).toMatchObject({ purged: 20, failed: [] });
    expect([await countOf("idempotency_keys"), await countOf("commits")]).toEqual([1, 0]);
  });

  it("goes on with the next tick after 100,000 keys, or when a tick has taken half a minute", async () => {
    const world = new World();
    let purges = 0;
    const part = world.part((store) => ({
      now: () => store.now(),
      read: (queries) => store.read(queries),
      settle: (commit) => store.settle(commit),
      attempt: async (commit) => {
        if (commit.changes.some(({ kind }) => kind === "purgeExpired")) {
          purges += 1;
          if (purges > 100) world.pass(10_000);
        }
        return store.attempt(commit);
      },
    }));
    await addExpired(105_000, { key: NOW - 30 * DAY_MS, record: NOW - DAY_MS });
    expect(await world.sweep(part)).toMatchObject({ purged: 100 });
    expect(await countOf("idempotency_keys")).toBe(5_000);
    expect(await world.sweep(part)).toMatchObject({ purged: 3 });
    expect(await countOf("idempotency_keys")).toBe(2_000);
  });

  it("looks once when there is nothing to delete, whatever is kept", async () => {
    const world = new World();
    const part = world.part();
    await addExpired(5_000, { key: NOW, record: NOW });
    const recorder = new Recorder(env.DB);
    const store = new D1Store(recorder.database, { now: () => world.now });
    expect(await world.sweep({ ...part, store })).toMatchObject({ purged: 0, failed: [] });
    const { roundTrips, rowsRead, rowsWritten } = recorder.figures();
    expect(roundTrips).toBeLessThanOrEqual(8);
    expect(rowsRead).toBeLessThanOrEqual(14);
    expect(rowsWritten).toBe(0);
    expect(await countOf("idempotency_keys")).toBe(5_000);
  });
});
