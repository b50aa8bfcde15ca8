import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Commit } from "../../src/changes/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import {
  CoordinatedStore,
  type CoordinatorNamespace,
  RunCoordinator,
} from "../../src/coordinator/index.ts";
import { embed } from "../../src/embed.ts";
import { D1Store } from "../../src/store/index.ts";
import { anEvent, upTo } from "../../src/testing/conformance/support.ts";
import { D1_FAULTS, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { anAppend, aCommit, mark, outcomeOf } from "./support.ts";
import { Watching } from "./watching.ts";

/** Shorter than it takes an alarm to come by itself: what arrives has been told of. */
vi.setConfig({ testTimeout: 25_000 });

/** A run of its own for each test: its coordinator has no sockets yet. */
let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

function append(...eventTypes: readonly string[]): Promise<void> {
  const events = eventTypes.map((eventType) => anEvent(RUN, { eventType }));
  return embed(env).persistence.appendOutboxEvents(events);
}

/** Past the coordinator, which nobody tells. */
async function appendUnheard(commit: Commit = anAppend(RUN)): Promise<void> {
  expect(await new D1Store(env.DB).attempt(commit)).toMatchObject({ applied: true });
}

function alarmOf(run = RUN): Promise<number | null> {
  return runInDurableObject(env.RUNS.getByName(run), (_, state) => state.storage.getAlarm());
}

describe("a reader that watches a run", () => {
  it("gets what there is, then what comes, in order", async () => {
    await append("a", "b");
    const watching = await Watching.open(RUN);
    await watching.untilEvents(2);
    await append("c");
    await append("d", "e");
    await watching.untilEvents(5);

    expect(watching.events.map(({ eventType }) => eventType)).toEqual(["a", "b", "c", "d", "e"]);
    expect(watching.sequences).toEqual(upTo(5));
  });

  it("gets each event as the outbox has it", async () => {
    const watching = await Watching.open(RUN);
    const event = anEvent(RUN, { payload: { deep: ["\u2028", null] }, eventType: "new\nline" });
    await embed(env).persistence.appendOutboxEvents([event]);
    await watching.untilEvents(1);

    expect(watching.events[0]).toEqual({
      id: `${RUN}/1`,
      workflowRunId: RUN,
      sequence: 1,
      eventType: "new\nline",
      payload: { deep: ["\u2028", null] },
      causationId: event.causationId,
      occurredAt: event.occurredAt.toISOString(),
      publishedAt: null,
      retryCount: 0,
      dlqAt: null,
    });
  });

  it("goes on after the sequence that it names", async () => {
    await append("a", "b", "c");
    const watching = await Watching.open(RUN, { after: 2 });
    await watching.untilEvents(1);
    await append("d");
    await watching.untilEvents(2);
    expect(watching.sequences).toEqual([3, 4]);
  });

  it("gets nothing of other runs, and what comes after a sequence that is still to come", async () => {
    const [other, future] = [await Watching.open("other"), await Watching.open(RUN, { after: 3 })];
    const all = await Watching.open(RUN);
    for (const type of ["a", "b", "c", "d"]) await append(type);
    await Promise.all([all.untilEvents(4), future.untilEvents(1)]);
    expect(future.sequences).toEqual([4]);
    expect(other.texts).toEqual([]);
  });

  it("gets an event of 1.8 MB whole", async () => {
    const payload = "\u{1f600}".repeat(450_000);
    const watching = await Watching.open(RUN);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    await watching.untilEvents(1);
    expect(watching.events[0]?.payload === payload).toBe(true);
  });

  it("is turned away when it says anything but that it has passed on what it was sent", async () => {
    const watching = await Watching.open(RUN);
    watching.socket.send("let me in");
    await watching.until(({ closed }) => closed !== null);
    expect(watching.closed).toBe(1008);
  });

  it("is turned away with a request that is not ours", async () => {
    for (const [url, upgrade] of [
      ["https://coordinator/events?after=-1", "websocket"],
      ["https://coordinator/events?after=x", "websocket"],
      ["https://coordinator/events", "websocket"],
      ["https://coordinator/events?after=0", "h2c"],
    ] as const) {
      const request = new Request(url, { headers: { Upgrade: upgrade } });
      expect((await env.RUNS.getByName(RUN).fetch(request)).status).toBe(400);
    }
  });

  it("may be many, each with a place of its own", async () => {
    await append(...upTo(40).map(String));
    const all = await Promise.all(upTo(12).map((n) => Watching.open(RUN, { after: n * 3 })));
    await append(...upTo(10).map(String));
    await Promise.all(all.map((one, index) => one.untilEvents(50 - (index + 1) * 3)));
    for (const [index, one] of all.entries()) {
      expect(one.sequences).toEqual(upTo(50).slice((index + 1) * 3));
    }
  });
});

describe("a reader with a long history before it", () => {
  it("keeps nobody waiting, also not when somebody waits for what is still to come", async () => {
    await append(...upTo(800).map(String));
    const far = await Watching.open(RUN, { after: 1_000_000 });
    const near = await Watching.open(RUN, { after: 800 });
    await append("a");
    await near.untilEvents(1);
    // Until nobody looks any more.
    await scheduler.wait(100);
    await appendUnheard();
    const late = await Watching.open(RUN);
    await near.untilEvents(2);
    expect(late.sequences.length).toBeLessThan(400);
    await late.untilEvents(802);
    expect([near.sequences, late.sequences, far.sequences]).toEqual([[801, 802], upTo(802), []]);
  });
});

describe("one connection", () => {
  it("is sent 256 KiB, or one event, before it says that it has passed them on", async () => {
    const payload = "x".repeat(100_000);
    for (const _ of upTo(5)) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    }
    const watching = await Watching.silent(RUN);
    await watching.untilEvents(2);
    await runDurableObjectAlarm(env.RUNS.getByName(RUN));
    await watching.until(({ texts }) => texts.includes("alive"));
    expect(watching.sequences).toEqual([1, 2]);
    watching.socket.send("passed-on");
    await watching.untilEvents(4);
    expect(watching.sequences).toEqual([1, 2, 3, 4]);
  });

  it("is sent an event of any size when nothing waits", async () => {
    const payload = "x".repeat(1_500_000);
    for (const _ of upTo(3)) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    }
    const watching = await Watching.open(RUN);
    await watching.untilEvents(3);
    expect(watching.sequences).toEqual(upTo(3));
  });

  it("is sent a large event also behind a small one, which is not reported as passed on", async () => {
    const watching = await Watching.open(RUN);
    await append("small");
    await watching.untilEvents(1);
    const payload = "x".repeat(1_800_000);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    await watching.untilEvents(2);
    await append("small");
    await watching.untilEvents(3);
    expect(watching.sequences).toEqual([1, 2, 3]);
  });

  it("that its reader has closed is forgotten", async () => {
    const watching = await Watching.open(RUN);
    watching.socket.close(1000);
    await watching.until(({ closed }) => closed !== null);
    const open = await runInDurableObject(env.RUNS.getByName(RUN), (_, state) =>
      state.getWebSockets().filter(({ readyState }) => readyState === WebSocket.OPEN),
    );
    expect(open).toEqual([]);
  });
});

describe("a coordinator", () => {
  it("takes a thousand sockets, and another when one has gone", async () => {
    const all = await Promise.all(upTo(1_000).map(() => Watching.open(RUN)));
    await expect(Watching.open(RUN)).rejects.toThrow("503");
    all[0]?.socket.close(1000);
    await all[0]?.until(({ closed }) => closed !== null);
    const late = await Watching.open(RUN);
    await append("a");
    await Promise.all([...all.slice(1), late].map((one) => one.untilEvents(1)));
    expect(late.sequences).toEqual([1]);
  });
});

describe("a coordinator that hibernates", () => {
  it("keeps its sockets, and where each of them was", async () => {
    const watching = await Watching.open(RUN);
    await append("a", "b");
    await watching.untilEvents(2);
    await evictDurableObject(env.RUNS.getByName(RUN));
    await append("c");
    await watching.untilEvents(3);
    expect(watching.closed).toBeNull();
    expect(watching.sequences).toEqual([1, 2, 3]);
  });

  it("finds by its alarm what came meanwhile", async () => {
    const watching = await Watching.open(RUN, {});
    await evictDurableObject(env.RUNS.getByName(RUN));
    await appendUnheard();
    await runDurableObjectAlarm(env.RUNS.getByName(RUN));
    await watching.until(({ texts }) => texts.length === 2);
    expect(watching.sequences).toEqual([1]);
    expect(watching.texts.at(-1)).toBe("alive");
  });
});

describe("a coordinator that is reset", () => {
  it("closes its sockets; a reader that connects again goes on with the next event", async () => {
    const first = await Watching.open(RUN);
    await append("a");
    await first.untilEvents(1);
    await abortAllDurableObjects();
    await first.until(({ closed }) => closed !== null);
    await append("b");
    const second = await Watching.open(RUN, { after: 1 });
    await second.untilEvents(1);
    expect([...first.sequences, ...second.sequences]).toEqual([1, 2]);
  });
});

describe("commits that do not go through the run's coordinator", () => {
  it("of several runs are told to each of them", async () => {
    const other = crypto.randomUUID();
    const both = [await Watching.open(RUN), await Watching.open(other)];
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN), anEvent(other), anEvent(RUN)]);
    await Promise.all([both[0]?.untilEvents(2), both[1]?.untilEvents(1)]);
    expect(both.map((one) => one.sequences)).toEqual([[1, 2], [1]]);
  });

  it("because it failed are told to it, settled ones and those that pass it by", async () => {
    const watching = await Watching.open(RUN);
    const { connection, attempts } = storeOver((real) => ({
      attempt: async (commit) => {
        await new D1Store(env.DB).attempt(commit as Commit);
        throw new Error("Durable Object reset because its code was updated.");
      },
      notify: () => real.notify(),
    }));
    await connection.persistence.appendOutboxEvents([anEvent(RUN)]);
    await watching.untilEvents(1);
    await connection.persistence.appendOutboxEvents([anEvent(RUN)]);
    await watching.untilEvents(2);
    expect(watching.sequences).toEqual([1, 2]);
    // The first was settled; the second did not go to the coordinator.
    expect(attempts()).toBe(1);
  });

  it("land all the same when it cannot be told, or is of a version that cannot be told", async () => {
    await mark(RUN, "other");
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    for (const notify of [
      undefined,
      () => {
        throw new TypeError('The RPC receiver does not implement the method "notify".');
      },
      () => Promise.reject(new Error("overloaded")),
    ]) {
      const { connection } = storeOver((real) => ({
        attempt: (commit) => real.attempt(commit as Commit),
        ...(notify === undefined ? {} : { notify }),
      }));
      await connection.persistence.appendOutboxEvents([anEvent(RUN), anEvent("other")]);
    }
    expect(warn.mock.calls.filter(([line]) => String(line).includes("wfe-notify"))).toHaveLength(4);
    warn.mockRestore();
    const watching = await Watching.open(RUN);
    await watching.untilEvents(3);
    expect(watching.sequences).toEqual([1, 2, 3]);
  });

  it("do not wait for it where the platform can be asked to", async () => {
    await mark(RUN);
    const never = new Promise<void>(() => undefined);
    const kept: Promise<unknown>[] = [];
    const { connection } = storeOver(
      (real) => ({ attempt: (commit) => real.attempt(commit as Commit), notify: () => never }),
      (promise) => kept.push(promise),
    );
    await connection.persistence.appendOutboxEvents([anEvent(RUN), anEvent("other")]);
    expect(kept).toHaveLength(1);
    await Promise.all(kept);
  });

  it("of more than ten watched runs are told to ten of them, and to no run that is not watched", async () => {
    await mark(...upTo(13).map((n) => `run-${n}`));
    const told: string[] = [];
    const runs: CoordinatorNamespace = {
      getByName: (name) => ({
        attempt: (commit) => env.RUNS.getByName(name).attempt(commit as Commit),
        notify: async () => {
          told.push(name);
        },
      }),
    };
    const store = new CoordinatedStore(new D1Store(env.DB), runs);
    const withEvents = upTo(12).flatMap((n) => [`idle-${n}`, `run-${n}`]);
    await store.attempt(aCommit(withEvents.flatMap((run) => anAppend(run).changes)));
    expect(told).toEqual(upTo(10).map((n) => `run-${n}`));
  });

  it("and that nobody tells of are found by the alarm", async () => {
    const watching = await Watching.open(RUN, {});
    await appendUnheard();
    expect(await alarmOf()).not.toBeNull();
    expect(await runDurableObjectAlarm(env.RUNS.getByName(RUN))).toBe(true);
    await watching.until(({ texts }) => texts.length === 2);
    expect(watching.sequences).toEqual([1]);
    // It is set again, for as long as somebody watches.
    expect(await alarmOf()).not.toBeNull();
  });
});

describe("an alarm", () => {
  it("is not set while nobody watches, and not again when nobody does any more", async () => {
    await append("a");
    expect(await alarmOf()).toBeNull();
    const watching = await Watching.open(RUN);
    watching.socket.close(1000);
    await watching.until(({ closed }) => closed !== null);
    expect(await runDurableObjectAlarm(env.RUNS.getByName(RUN))).toBe(true);
    expect(await alarmOf()).toBeNull();
  });
});

describe("D1", () => {
  it("is not asked for events when nobody watches", async () => {
    await inCoordinator(async (coordinator, { calls }) => {
      expect(outcomeOf(await coordinator.attempt(anAppend(RUN)))).toBe("applied");
      await coordinator.notify();
      expect(calls).toHaveLength(1);
    });
  });

  it("is asked once for all readers at the same place", async () => {
    await inCoordinator(async (coordinator, faulty) => {
      const fetch = (request: Request) => coordinator.fetch(request);
      const all = await Promise.all(upTo(5).map(() => Watching.open(RUN, {}, fetch)));
      await coordinator.attempt(anAppend(RUN));
      await Promise.all(all.map((one) => one.untilEvents(1)));
      faulty.restart();
      await coordinator.attempt(anAppend(RUN));
      await Promise.all(all.map((one) => one.untilEvents(2)));
      expect(all.map((one) => one.sequences)).toEqual(upTo(5).map(() => [1, 2]));
      // The commit, and the look at what it did.
      expect(faulty.calls).toHaveLength(2);
    });
  });

  it("is asked again for what lands while it answers", async () => {
    await inCoordinator(async (coordinator, faulty) => {
      const watching = await Watching.open(RUN, {}, (request) => coordinator.fetch(request));
      await coordinator.attempt(anAppend(RUN));
      await watching.untilEvents(1);
      faulty.restart(({ index }) => (index === 1 ? { kind: "hang" } : null));
      await coordinator.attempt(anAppend(RUN));
      await vi.waitUntil(() => faulty.calls[1]?.ran);
      await coordinator.attempt(anAppend(RUN));
      expect(faulty.calls).toHaveLength(3);
      await faulty.release();
      await watching.untilEvents(3);
      expect(watching.sequences).toEqual([1, 2, 3]);
    });
  });

  it("is asked again when it fails, and nothing is lost or doubled", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    await inCoordinator(async (coordinator, faulty) => {
      const watching = await Watching.open(RUN, {}, (request) => coordinator.fetch(request));
      await coordinator.attempt(anAppend(RUN));
      await watching.untilEvents(1);
      // The commit's answer is lost, though it lands, and the first look at what it did fails.
      faulty.restart(({ index }) => [D1_FAULTS.lost, D1_FAULTS.before][index] ?? null);
      expect(outcomeOf(await coordinator.attempt(anAppend(RUN)))).toBe("UNAVAILABLE");
      await watching.untilEvents(2);
      expect(watching.sequences).toEqual([1, 2]);
    });
    expect(warn).toHaveBeenCalledTimes(1);
    warn.mockRestore();
  });
});

/** Runs the body with a coordinator of the run that uses a faulty database. */
async function inCoordinator(
  body: (coordinator: RunCoordinator, faulty: ReturnType<typeof faultyD1>) => Promise<void>,
): Promise<void> {
  const faulty = faultyD1(env.DB);
  await runInDurableObject(env.RUNS.getByName(RUN), async (_, state) => {
    await body(new RunCoordinator(state, { DB: faulty.db }), faulty);
  });
}

type Stub = ReturnType<CoordinatorNamespace["getByName"]>;

/** A connection whose coordinators are what is made of the real ones; and how often an attempt went to them. */
function storeOver(
  make: (real: ReturnType<typeof env.RUNS.getByName>) => Stub,
  waitUntil?: (promise: Promise<unknown>) => void,
) {
  let attempts = 0;
  const runs: CoordinatorNamespace = {
    getByName: (name) => {
      const stub = make(env.RUNS.getByName(name));
      return {
        ...stub,
        attempt: (commit) => {
          attempts += 1;
          return stub.attempt(commit);
        },
      };
    },
  };
  const store = new CoordinatedStore(new D1Store(env.DB), runs, { waitUntil });
  return { connection: new Connection(store), attempts: () => attempts };
}
