/** Commits that go straight to D1, and the readers that watch their runs. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Commit } from "../../src/changes/index.ts";
import type { Backend } from "../../src/contract/index.ts";
import {
  CoordinatedStore,
  type CoordinatorNamespace,
  RunCoordinator,
} from "../../src/coordinator/index.ts";
import { embed } from "../../src/embed.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { D1Store } from "../../src/store/index.ts";
import { MARK_MS } from "../../src/store/watched-runs.ts";
import { anEvent, aRun, present, upTo } from "../../src/testing/conformance/support.ts";
import { faultyD1 } from "../../src/testing/faulty-d1.ts";
import { connect } from "../../src/client/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";
import { anAppend, eventsOf, mark } from "./support.ts";
import { Watching } from "./watching.ts";

/** Shorter than it takes an alarm to come by itself: what arrives has been told of. */
vi.setConfig({ testTimeout: 25_000 });

/** A run of its own for each test: its coordinator has no sockets yet. */
let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

/** A run with a job that the connection holds. */
async function begun({ persistence, jobs }: Backend): Promise<string> {
  await persistence.createRun(aRun({ id: RUN }));
  await jobs.enqueue({ workflowRunId: RUN, workflowId: "w", stageId: "s" });
  return present(await jobs.dequeue()).jobId;
}

/** What a job's holder does when it is done: two events, the job completed. */
async function step({ persistence, jobs }: Backend, jobId: string): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    await tx.updateRun(RUN, { totalTokens: 1 });
    await tx.appendOutboxEvents([
      anEvent(RUN, { eventType: "a" }),
      anEvent(RUN, { eventType: "b" }),
    ]);
    await jobs.complete(jobId);
  });
}

/** Coordinators that note each call; the calls go on to the real ones, or to the one that is given. */
function noting(told?: RunCoordinator) {
  const calls: string[] = [];
  const runs: CoordinatorNamespace = {
    getByName: (name) => ({
      attempt: async (commit) => {
        calls.push(`attempt ${name}`);
        return env.RUNS.getByName(name).attempt(commit as Commit);
      },
      notify: async () => {
        calls.push(`notify ${name}`);
        await (told ?? env.RUNS.getByName(name)).notify();
      },
    }),
  };
  const store = new CoordinatedStore(new D1Store(env.DB), runs);
  return { calls, store, backend: new Connection(store) };
}

const untilOf = async (run: string) =>
  env.DB.prepare(`SELECT "until" FROM "watched_runs" WHERE "workflow_run_id" = ?`)
    .bind(run)
    .first<number>("until");

/** Lets the mark end a second ago, which is the least that D1 tells apart. */
async function endMark(run = RUN): Promise<void> {
  await env.DB.prepare(`UPDATE "watched_runs" SET "until" = ?2 WHERE "workflow_run_id" = ?1`)
    .bind(run, Date.now() - 1_000)
    .run();
}

describe("a step of a job's holder", () => {
  it("asks nothing of the coordinator of a run that nobody watches", async () => {
    const { calls, backend } = noting();
    await step(backend, await begun(backend));
    expect(calls).toEqual([]);
    expect(await eventsOf(RUN)).toHaveLength(2);
  });

  it("that goes straight to D1 tells the coordinator once if somebody watches", async () => {
    const { calls, backend } = noting();
    const jobId = await begun(backend);
    const watching = await Watching.open(RUN);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN)]);
    await watching.untilEvents(1);
    await step(backend, jobId);
    expect(calls).toEqual([`notify ${RUN}`]);
  });

  it.each([
    ["embedded", () => embed(env)],
    ["over a binding", () => connect(service)],
  ])("reaches a reader at once and in order, %s", async (_, open) => {
    const backend = open();
    const jobId = await begun(backend);
    const watching = await Watching.open(RUN);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { eventType: "first" })]);
    await watching.untilEvents(1);
    await step(backend, jobId);
    await watching.untilEvents(3);
    expect(watching.events.map(({ eventType }) => eventType)).toEqual(["first", "a", "b"]);
    expect(watching.sequences).toEqual([1, 2, 3]);
  });

  it("reaches a reader that was there before the run", async () => {
    const watching = await Watching.open(RUN);
    await vi.waitUntil(async () => (await untilOf(RUN)) !== null);
    const backend = embed(env);
    await step(backend, await begun(backend));
    await watching.untilEvents(2);
    expect(watching.sequences).toEqual([1, 2]);
  });

  it("is told to the coordinator if its answer was lost, watched or not", async () => {
    const { calls, store } = noting();
    const commit = anAppend(RUN);
    await new D1Store(env.DB).attempt(commit);
    expect(await store.settle(commit)).toBe("applied");
    expect(calls).toEqual([`notify ${RUN}`]);
  });
});

describe("a run that is created with its first events", () => {
  it("asks nothing of its coordinator, and reaches the reader that waits for it", async () => {
    const { calls, backend } = noting();
    const start = (id: string) =>
      backend.persistence.withTransaction(async (tx) => {
        await tx.createRun(aRun({ id }));
        await tx.appendOutboxEvents([anEvent(id)]);
      });
    await start("unwatched");
    expect(calls).toEqual([]);

    const watching = await Watching.open(RUN);
    await vi.waitUntil(async () => (await untilOf(RUN)) !== null);
    await start(RUN);
    await watching.untilEvents(1);
    expect(calls).toEqual([`notify ${RUN}`]);
  });
});

describe("a commit that lands while a watch begins", () => {
  /** A coordinator over a faulty database, and a way past it. */
  async function racing(
    body: (
      watch: () => Promise<Watching>,
      faulty: ReturnType<typeof faultyD1>,
      past: ReturnType<typeof noting>,
    ) => Promise<void>,
  ): Promise<void> {
    const faulty = faultyD1(env.DB);
    await runInDurableObject(env.RUNS.getByName(RUN), async (_, state) => {
      const coordinator = new RunCoordinator(state, { DB: faulty.db });
      const watch = () => Watching.open(RUN, {}, (request) => coordinator.fetch(request));
      await body(watch, faulty, noting(coordinator));
    });
  }
  const bothRuns = () => ({
    ...anAppend(RUN),
    changes: [...anAppend(RUN).changes, ...anAppend("other").changes],
  });

  it("before the mark is found by the read after it", async () => {
    await racing(async (watch, faulty, { calls, store }) => {
      faulty.restart(({ index }) => (index === 0 ? { kind: "stall" } : null));
      const watching = await watch();
      await vi.waitUntil(() => faulty.calls.length === 1);
      expect(await store.attempt(bothRuns())).toMatchObject({ applied: true });
      expect(calls).toEqual([]);
      await faulty.release();
      await watching.untilEvents(1);
      expect(watching.sequences).toEqual([1]);
    });
  });

  it("between the mark and the read is found by it, and told besides", async () => {
    await racing(async (watch, faulty, { calls, store }) => {
      faulty.restart(({ index }) => (index === 0 ? { kind: "hang" } : null));
      const watching = await watch();
      await vi.waitUntil(() => faulty.calls[0]?.ran);
      expect(await store.attempt(bothRuns())).toMatchObject({ applied: true });
      expect(calls).toEqual([`notify ${RUN}`]);
      await faulty.release();
      await watching.untilEvents(1);
      expect(watching.sequences).toEqual([1]);
    });
  });

  it("after the read is told", async () => {
    await racing(async (watch, faulty, { calls, store }) => {
      faulty.restart(({ index }) => (index === 1 ? { kind: "hang" } : null));
      const watching = await watch();
      await vi.waitUntil(() => faulty.calls[1]?.ran);
      expect(await store.attempt(bothRuns())).toMatchObject({ applied: true });
      expect(calls).toEqual([`notify ${RUN}`]);
      await faulty.release();
      await watching.untilEvents(1);
      expect(watching.sequences).toEqual([1]);
    });
  });
});

describe("the mark of a run that is watched", () => {
  it("is made again by the alarm when it has ended", async () => {
    const watching = await Watching.open(RUN);
    await vi.waitUntil(async () => (await untilOf(RUN)) !== null);
    await endMark();
    // As it does when nothing has happened for a while.
    await evictDurableObject(env.RUNS.getByName(RUN));
    await runDurableObjectAlarm(env.RUNS.getByName(RUN));
    expect(await untilOf(RUN)).toBeGreaterThan(Date.now() + MARK_MS / 2);
    const { calls, store } = noting();
    await store.attempt({
      ...anAppend(RUN),
      changes: [...anAppend(RUN).changes, ...anAppend("other").changes],
    });
    expect(calls).toEqual([`notify ${RUN}`]);
    await watching.untilEvents(1);
  });

  it("is made again by a coordinator that stays awake", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      await runInDurableObject(env.RUNS.getByName(RUN), async (_, state) => {
        const coordinator = new RunCoordinator(state, { DB: env.DB });
        const watching = await Watching.open(RUN, {}, (request) => coordinator.fetch(request));
        await coordinator.attempt(anAppend(RUN));
        await watching.untilEvents(1);
        await endMark();
        vi.setSystemTime(Date.now() + 30_000);
        await coordinator.alarm();
        expect(await untilOf(RUN)).toBeGreaterThan(Date.now());
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it("is not made for a run that nobody watches", async () => {
    await env.RUNS.getByName(RUN).attempt(anAppend(RUN));
    await env.RUNS.getByName(RUN).notify();
    await runInDurableObject(env.RUNS.getByName(RUN), (coordinator) => coordinator.alarm());
    expect(await untilOf(RUN)).toBeNull();
  });

  it("that has ended is told of no more", async () => {
    await mark(RUN);
    await endMark();
    const { calls, backend } = noting();
    await step(backend, await begun(backend));
    expect(calls).toEqual([]);
  });
});

describe("what the database tells of watched runs", () => {
  it("is those among the runs that are asked for, in that order", async () => {
    await mark(...upTo(3).map((n) => `run-${n}`), 'odd "run"');
    await endMark("run-2");
    const store = new D1Store(env.DB);
    const telling = async (...runs: readonly string[]) =>
      (await store.attemptTelling(anAppend(RUN), runs)).watched;
    expect(await telling("run-3", "idle", 'odd "run"', "run-2", "run-1")).toEqual([
      "run-3",
      'odd "run"',
      "run-1",
    ]);
    expect(await telling("run-1")).toEqual(["run-1"]);
    expect(await telling('odd "run"')).toEqual(['odd "run"']);
    expect(await telling("idle")).toEqual([]);
    expect(await telling()).toEqual([]);
  });

  it("is nothing if the commit is refused", async () => {
    await mark(RUN);
    const guards = [{ on: "run", id: "none", expect: { is: "present" } }] as const;
    const attempted = await new D1Store(env.DB).attemptTelling({ ...anAppend(RUN), guards }, [RUN]);
    expect(attempted).toEqual({
      outcome: { applied: false, violation: { guard: 0, actual: -1 } },
      watched: [],
    });
  });

  it("stays as it is when a fresh mark is made again, which writes no row", async () => {
    const faulty = faultyD1(env.DB);
    const store = new D1Store(faulty.db);
    await store.markWatched(RUN);
    const first = present(await untilOf(RUN));
    const after = async (left: number) => {
      await env.DB.prepare(`UPDATE "watched_runs" SET "until" = ?`)
        .bind(first + left)
        .run();
      faulty.restart();
      await store.markWatched(RUN);
      return faulty.calls[0]?.rowsWritten;
    };
    expect(await after(0)).toBe(0);
    expect(await after(10_000 - MARK_MS / 2)).toBe(0);
    // The row, and its place in the index.
    expect(await after(-10_000 - MARK_MS / 2)).toBe(2);
    expect(await untilOf(RUN)).toBeGreaterThanOrEqual(first);
  });
});
