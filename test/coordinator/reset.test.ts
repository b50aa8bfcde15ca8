import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { isServiceError } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { anEvent, aRun, upTo } from "../../src/testing/conformance/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { eventsOf } from "./support.ts";

const RUN = "run-1";

beforeEach(async () => {
  await emptyDatabase();
});

function append(eventType: string): Promise<void> {
  return embed(env).persistence.appendOutboxEvents([anEvent(RUN, { eventType })]);
}

type Ending = "done" | "unknown";

/** Appends an event through a connection of its own; a fault must be one that leaves the outcome open. */
async function tryToAppend(eventType: string): Promise<Ending> {
  try {
    await append(eventType);
    return "done";
  } catch (error) {
    if (isServiceError(error) && error.code === "UNAVAILABLE") return "unknown";
    throw error;
  }
}

/** Sequences without a gap, no event twice, and every event that its caller was promised. */
async function expectNothingLostOrDoubled(endings: ReadonlyMap<string, Ending>): Promise<void> {
  const events = await eventsOf(RUN);
  const types = events.map(({ type }) => type);
  expect(events.map(({ sequence }) => sequence)).toEqual(upTo(events.length));
  expect(new Set(types).size).toBe(types.length);
  const promised = [...endings].filter(([, ending]) => ending === "done").map(([type]) => type);
  expect(promised.filter((type) => !types.includes(type))).toEqual([]);
  expect(types.filter((type) => !endings.has(type))).toEqual([]);
}

/** Appends by as many connections at once. `enough` resolves when some of them are answered. */
function wave(name: string, commits: number, answered: number) {
  const endings = new Map<string, Ending>();
  const enough = Promise.withResolvers<void>();
  const all = upTo(commits).map(async (n) => {
    const type = `${name}:${n}`;
    endings.set(type, await tryToAppend(type));
    if (endings.size >= answered) enough.resolve();
  });
  return { endings, enough: enough.promise, all: Promise.all(all) };
}

/** Commits whose callers had to find out what became of them: the proof that answers were lost. */
async function settledCommits(): Promise<number> {
  const row = await env.DB.prepare(`SELECT count(*) AS "count" FROM "commits"`).first<{
    count: number;
  }>();
  return row?.count ?? 0;
}

describe("a coordinator that is evicted", () => {
  it("between two commits forgets nothing", async () => {
    await append("before");
    await evictDurableObject(env.RUNS.getByName(RUN));
    await append("after");

    expect(await eventsOf(RUN)).toEqual([
      { sequence: 1, type: "before" },
      { sequence: 2, type: "after" },
    ]);
  });

  it("between two claims lets one win", async () => {
    const { persistence } = embed(env);
    await persistence.createRun(aRun({ id: RUN }));
    expect(await persistence.claimPendingRun(RUN)).toBe(true);
    await evictDurableObject(env.RUNS.getByName(RUN));
    expect(await embed(env).persistence.claimPendingRun(RUN)).toBe(false);
  });

  it("while commits are under way lets each of them land once", async () => {
    const { endings, enough, all } = wave("evicted", 30, 3);
    await enough;
    expect(endings.size).toBeLessThan(30);
    await evictDurableObject(env.RUNS.getByName(RUN));
    await all;

    expect([...endings.values()]).toEqual(upTo(30).map(() => "done"));
    await expectNothingLostOrDoubled(endings);
  });
});

describe("a coordinator that is aborted", () => {
  it("before the first commit changes nothing", async () => {
    await abortAllDurableObjects();
    await append("first");
    expect(await eventsOf(RUN)).toEqual([{ sequence: 1, type: "first" }]);
  });

  it("between two commits forgets nothing", async () => {
    await append("before");
    await abortAllDurableObjects();
    await append("after");

    expect(await eventsOf(RUN)).toEqual([
      { sequence: 1, type: "before" },
      { sequence: 2, type: "after" },
    ]);
  });

  it.each([1, 5, 10, 20])("after %i of 30 answers loses and doubles nothing", async (answered) => {
    const { endings, enough, all } = wave("aborted", 30, answered);
    await enough;
    expect(endings.size).toBeLessThan(30);
    await abortAllDurableObjects();
    await all;

    expect(await settledCommits()).toBeGreaterThan(0);
    await expectNothingLostOrDoubled(endings);
  });

  it("again and again loses and doubles nothing, and the run converges", async () => {
    const waves: ReturnType<typeof wave>[] = [];
    for (const n of upTo(8)) {
      const next = wave(String(n), 10, 2);
      waves.push(next);
      await next.enough;
      expect(next.endings.size).toBeLessThan(10);
      await abortAllDurableObjects();
    }
    await Promise.all(waves.map(({ all }) => all));

    const endings = new Map(waves.flatMap((one) => [...one.endings]));
    expect(endings.size).toBe(80);
    expect(await settledCommits()).toBeGreaterThan(8);
    await expectNothingLostOrDoubled(endings);

    const landed = (await eventsOf(RUN)).length;
    expect(await tryToAppend("afterwards")).toBe("done");
    expect((await eventsOf(RUN)).at(-1)).toEqual({ sequence: landed + 1, type: "afterwards" });
  });

  it("while claims are under way lets at most one win, and somebody has the run", async () => {
    for (const id of ["run-1", "run-2", "run-3", "run-4", "run-5"]) {
      await embed(env).persistence.createRun(aRun({ id }));
      const claims = upTo(10).map(async () => {
        try {
          return await embed(env).persistence.claimPendingRun(id);
        } catch (error) {
          if (isServiceError(error) && error.code === "UNAVAILABLE") return null;
          throw error;
        }
      });
      await abortAllDurableObjects();
      const won = await Promise.all(claims);

      expect(won.filter((claim) => claim === true)).toHaveLength(1);
      expect(await embed(env).persistence.getRun(id)).toMatchObject({
        status: "RUNNING",
        version: 2,
      });
    }
  });
});
