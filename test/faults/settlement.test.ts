/** What the store finds out about a commit, and that the finding is final. */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Change, type Commit } from "../../src/changes/index.ts";
import { COMMITS_REMEMBERED, newCommitId } from "../../src/model/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { env } from "../support/env.ts";
import { writeDatabase } from "./support/database.ts";
import { HOUR_MS, NOW } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
beforeEach(() => writeDatabase(world.database));

const store = new D1Store(env.DB, { now: () => NOW });
const UPDATE: Change = { kind: "updateRun", id: "idle", set: { totalTokens: 1 }, at: NOW, bump: 1 };

function commitOf(changes: readonly Change[], at = NOW): Commit {
  return { id: newCommitId(at), guards: [], changes, reads: [] };
}

async function overwrite(times: number, at = NOW): Promise<void> {
  for (let n = 0; n < times; n += 1) await store.attempt(commitOf([UPDATE], at));
}

/** A change of each stale or leased job of the world. */
function releases(): Change[] {
  return [world.jobs.completed, world.jobs.stale, world.jobs.leased].map((id) => ({
    kind: "releaseJob",
    workflowRunId: "active",
    ordinal: id.slice("active/".length),
    staleBefore: NOW,
    error: "",
    at: NOW,
  }));
}

describe("settling a commit", () => {
  it("finds one that was applied, as long as its row remembers it", async () => {
    const commit = commitOf([UPDATE]);
    await store.attempt(commit);
    await overwrite(COMMITS_REMEMBERED - 1);
    expect(await store.settle(commit)).toBe("applied");
  });

  it("cannot tell once the row was written too often since", async () => {
    const commit = commitOf([UPDATE]);
    await store.attempt(commit);
    await overwrite(COMMITS_REMEMBERED);
    expect(await store.settle(commit)).toBe("unknown");
  });

  it("knows that one never arrived when the row remembers further back", async () => {
    await overwrite(COMMITS_REMEMBERED + 1, NOW - HOUR_MS);
    const commit = commitOf([UPDATE]);
    expect(await store.settle(commit)).toBe("fenced");
    await expect(store.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("is final", async () => {
    const absent = commitOf([UPDATE]);
    expect(await store.settle(absent)).toBe("fenced");
    const applied = commitOf([UPDATE]);
    await store.attempt(applied);
    expect(await store.settle(applied)).toBe("applied");
    await overwrite(COMMITS_REMEMBERED);
    expect(await store.settle(applied)).toBe("applied");
    expect(await store.settle(absent)).toBe("fenced");
    for (const commit of [absent, applied]) {
      await expect(store.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
  });

  it("looks where the commit surely wrote, not where it may have written nothing", async () => {
    const nothing: Change[] = [
      ...releases().slice(0, 1),
      { kind: "cancelJobs", workflowRunId: "idle", at: NOW },
      {
        kind: "acquireIdempotencyKey",
        key: "held",
        commandType: "start",
        at: NOW,
        staleBefore: null,
      },
    ];
    const commit = commitOf([...nothing, UPDATE]);
    await store.attempt(commit);
    expect(await store.settle(commit)).toBe("applied");
    const without = commitOf(nothing);
    await store.attempt(without);
    expect(await store.settle(without)).toBe("fenced");
  });

  it("looks everywhere when the commit may have written nothing anywhere", async () => {
    const commit = commitOf(releases());
    await store.attempt(commit);
    expect(await store.settle(commit)).toBe("applied");
  });

  it("looks in more places than one statement holds", async () => {
    const [completed, stale] = releases();
    expect.assert(completed !== undefined && stale !== undefined);
    const many = Array.from({ length: 100 }, () => completed);
    const commit = commitOf([...many, stale]);
    await store.attempt(commit);
    expect(await store.settle(commit)).toBe("applied");
    const absent = commitOf([...many, stale]);
    expect(await store.settle(absent)).toBe("fenced");
  });

  it("prefers the place that knows to those that have forgotten", async () => {
    const touch = (id: string): Change => ({
      kind: "touchJob",
      workflowRunId: "active",
      ordinal: id.slice("active/".length),
      at: NOW,
    });
    const commit = commitOf([touch(world.jobs.stale), touch(world.jobs.leased)]);
    await store.attempt(commit);
    for (let n = 0; n < COMMITS_REMEMBERED; n += 1) {
      await store.attempt(commitOf([touch(world.jobs.stale)]));
    }
    expect(await store.settle(commit)).toBe("applied");
    for (let n = 0; n < COMMITS_REMEMBERED; n += 1) {
      await store.attempt(commitOf([touch(world.jobs.leased)]));
    }
    const later = commitOf([touch(world.jobs.stale), touch(world.jobs.leased)]);
    expect(await store.settle(later)).toBe("unknown");
  });
});
