/** Events that cannot be published: each is found, counted and given up, and holds up its own run alone. */
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobHandler, OutboxRecord } from "../../src/contract/index.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { eventOf } from "../schedule/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { Delivery } from "./support/queue.ts";
import { type Part, SECOND_MS, World } from "./support/world.ts";

const handleJob: JobHandler["handleJob"] = async () => ({ status: "completed" });
const named = ({ workflowRunId, sequence }: OutboxRecord) => `${workflowRunId}${sequence}`;

beforeAll(() => {
  withoutPauses();
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
});
beforeEach(async () => {
  await emptyDatabase();
});

/** A handler of the outbox that takes every event but some; what it took, and how often it was called. */
class Publisher {
  readonly taken: string[] = [];
  calls = 0;
  readonly world = new World({ OUTBOX_ATTEMPTS: 3 });
  readonly part: Part = this.world.part();
  refuses: (event: string) => boolean;
  /** What it does with a page that has an event which it refuses. */
  onRefusal: (events: OutboxRecord[]) => Promise<string[]> = () =>
    Promise.reject(new Error("The broker does not take it"));

  constructor(refuses: (event: string) => boolean) {
    this.refuses = refuses;
  }

  async append(runs: Readonly<Record<string, number>>): Promise<void> {
    for (const [run, count] of Object.entries(runs)) {
      const events = Array.from({ length: count }, (_, index) => eventOf(run, index + 1));
      await this.part.backend.persistence.appendOutboxEvents(events);
    }
  }

  async publishEvents(events: OutboxRecord[]): Promise<string[]> {
    this.calls += 1;
    if (events.some((event) => this.refuses(named(event)))) return this.onRefusal(events);
    this.taken.push(...events.map(named));
    return events.map(({ id }) => id);
  }

  /** So many wake-ups, one after the other; the last one's message. */
  async wake(times = 1, embedded = true): Promise<Delivery | undefined> {
    let message: Delivery | undefined;
    for (let call = 0; call < times; call += 1) {
      message = new Delivery({ v: 1, kind: "outbox" });
      const handler = { handleJob, publishEvents: this.publishEvents.bind(this) };
      await this.world.consume(this.part, handler, [message], { embedded });
    }
    return message;
  }

  /** What waits, with its count. */
  async waiting(): Promise<string[]> {
    const events = await this.part.backend.persistence.getUnpublishedOutboxEvents(1_000);
    return events.map((event) => `${named(event)} ${event.retryCount}`);
  }

  async dead(): Promise<string[]> {
    const [rows] = await this.part.store.read([{ q: "deadLetters", limit: 1_000 }]);
    return rows.map((row) => `${row.workflowRunId}${row.sequence}`).toSorted();
  }

  /** Whether each run's events were taken in the order of their sequences, doubles aside. */
  inOrder(): boolean {
    const first = new Map(this.taken.toReversed().map((event, index) => [event, -index]));
    return [...first].every(([event, at]) => {
      const run = event.replace(/\d+$/, "");
      const before = `${run}${Number(event.slice(run.length)) - 1}`;
      return (first.get(before) ?? -Infinity) < at;
    });
  }
}

describe("one event that makes publishEvents throw", () => {
  it("is found at the first wake-up: all others but those behind it in its run are published", async () => {
    const here = new Publisher((event) => event === "b2");
    await here.append({ a: 3, b: 4, c: 3, d: 5 });
    const message = await here.wake();
    expect(message).toMatchObject({ acked: 1, retried: 0 });
    expect(await here.waiting()).toEqual(["b2 1", "b3 0", "b4 0"]);
    expect(here.taken).toHaveLength(12);
    expect(new Set(here.taken).size).toBe(12);
    expect(here.inOrder()).toBe(true);
  });

  it("goes to the DLQ at the ceiling, although nothing else is left to publish, and those behind it go on", async () => {
    const here = new Publisher((event) => event === "b2");
    await here.append({ a: 3, b: 4, c: 3 });
    await here.wake(3);
    expect(await here.dead()).toEqual(["b2"]);
    await here.wake();
    expect(await here.waiting()).toEqual([]);
    expect(here.inOrder()).toBe(true);
    expect((await here.wake())?.acked).toBe(1);
  });

  it("costs later wake-ups one call, and holds up no event that comes meanwhile", async () => {
    const here = new Publisher((event) => event === "b1");
    await here.append({ a: 50, b: 3, c: 47 });
    await here.wake();
    await here.append({ d: 40 });
    here.calls = 0;
    await here.wake();
    // The new ones together, and the one that failed by itself.
    expect(here.calls).toBe(2);
    expect(await here.waiting()).toEqual(["b1 2", "b2 0", "b3 0"]);
  });

  it("is found among a full page in two wake-ups, of the ten calls that a handler in another Worker gets", async () => {
    for (const bad of ["r0-1", "r37-1", "r99-1"]) {
      await emptyDatabase();
      const here = new Publisher((event) => event === bad);
      await here.append(
        Object.fromEntries(Array.from({ length: 100 }, (_, run) => [`r${run}-`, 1])),
      );
      await here.wake(2, false);
      expect(here.calls).toBeLessThanOrEqual(20);
      expect(await here.waiting()).toHaveLength(1);
      await here.wake(2, false);
      expect(await here.dead()).toEqual([bad]);
    }
  });

  it("that is alone in the outbox is counted all the same, and given up", async () => {
    const here = new Publisher(() => true);
    await here.append({ a: 1 });
    const message = await here.wake();
    expect(message).toMatchObject({ acked: 0, retried: 1 });
    expect(await here.waiting()).toEqual(["a1 1"]);
    await here.wake(2);
    expect(await here.dead()).toEqual(["a1"]);
  });
});

describe("several events that make publishEvents throw", () => {
  it("are each found, one of every run, and all goes on when they have been given up", async () => {
    const bad = new Set(["a2", "b1", "c3", "d2"]);
    const here = new Publisher((event) => bad.has(event));
    await here.append({ a: 3, b: 3, c: 3, d: 3, e: 3 });
    await here.wake();
    const held = ["a2 1", "a3 0", "b1 1", "b2 0", "b3 0", "c3 1", "d2 1", "d3 0"];
    expect(await here.waiting()).toEqual(held);
    await here.wake(12);
    expect(await here.waiting()).toEqual([]);
    expect(await here.dead()).toEqual([...bad]);
    expect(here.inOrder()).toBe(true);
  });

  it("of one run are found one after the other", async () => {
    const bad = new Set(["a2", "a3", "a5"]);
    const here = new Publisher((event) => bad.has(event));
    await here.append({ a: 6 });
    await here.wake(12);
    expect(await here.dead()).toEqual([...bad]);
    expect(here.taken).toEqual(["a1", "a4", "a6"]);
  });

  it("at the head of more runs than a page has leave a turn to the others", async () => {
    const here = new Publisher((event) => event.startsWith("bad"));
    const runs = Array.from({ length: 120 }, (_, index) => [`bad${index}-`, 1] as const);
    await here.append(Object.fromEntries([...runs, ["good", 2] as const]));
    let wakes = 0;
    while (here.taken.length < 2 && wakes < 60) {
      await here.wake();
      wakes += 1;
    }
    expect(here.taken).toEqual(["good1", "good2"]);
    expect(await here.dead()).toEqual([]);
  });
});

describe("a publisher that is away", () => {
  it.each([
    ["throws at everything", undefined],
    ["answers that it has published nothing", async () => []],
  ])(
    "and %s: one event is counted a wake-up, they take turns, and none dies while others have failed less",
    async (_, onRefusal) => {
      const here = new Publisher(() => true);
      if (onRefusal !== undefined) here.onRefusal = onRefusal;
      await here.append(
        Object.fromEntries(Array.from({ length: 8 }, (__, run) => [`r${run}-`, 2])),
      );
      await here.wake(16);
      const counts = (await here.waiting()).map((event) => Number(event.split(" ")[1]));
      expect(counts).toEqual(Array.from({ length: 8 }, () => [2, 0]).flat());
      expect(await here.dead()).toEqual([]);
      here.refuses = () => false;
      await here.wake();
      expect(await here.waiting()).toEqual([]);
      expect(here.inOrder()).toBe(true);
    },
  );

  it("is left alone after a dozen calls", async () => {
    const here = new Publisher(() => true);
    await here.append(Object.fromEntries(Array.from({ length: 100 }, (_, run) => [`r${run}-`, 1])));
    await here.wake();
    expect(here.calls).toBe(12);
  });

  it("and lets every call hang until it is given up is not called for longer than a consumer has", async () => {
    const here = new Publisher(() => true);
    here.onRefusal = () => {
      here.world.pass(120 * SECOND_MS);
      return Promise.reject(new Error("It did not answer"));
    };
    await here.append(Object.fromEntries(Array.from({ length: 100 }, (_, run) => [`r${run}-`, 1])));
    await here.wake();
    expect(here.calls).toBe(5);
  });
});

describe("publishEvents that publishes a part", () => {
  it("and throws has what it took again, in order, and loses nothing", async () => {
    const here = new Publisher((event) => event === "a3");
    here.onRefusal = (events) => {
      // One after the other, until one is refused.
      for (const event of events) {
        if (here.refuses(named(event))) break;
        here.taken.push(named(event));
      }
      return Promise.reject(new Error("The connection broke"));
    };
    await here.append({ a: 4, b: 4 });
    await here.wake(4);
    expect(await here.waiting()).toEqual([]);
    expect(await here.dead()).toEqual(["a3"]);
    expect(here.inOrder()).toBe(true);
    expect(new Set(here.taken).size).toBe(7);
  });

  it("and answers ids that nobody asked about, or no list, publishes nothing by that", async () => {
    const here = new Publisher((event) => event.startsWith("a"));
    await here.append({ a: 2, b: 2, c: 1 });
    const [c1] = (await here.part.backend.persistence.getUnpublishedOutboxEvents()).slice(-1);
    here.onRefusal = async (events) =>
      events.length > 2 ? Promise.reject(new Error("no")) : [c1?.id ?? "", "x/1"];
    await here.wake();
    expect(await here.waiting()).toEqual(["a1 1", "a2 0"]);
    here.onRefusal = async () => "a/1" as unknown as string[];
    await here.wake();
    expect(await here.waiting()).toEqual(["a1 2", "a2 0"]);
  });
});

describe("a mark that is lost", () => {
  const marks = /^UPDATE "outbox_events" SET "published_at"/;

  it("is found out when only its answer was: nothing is published twice", async () => {
    const here = new Publisher(() => false);
    await here.append({ a: 2, b: 2 });
    let lost = false;
    here.part.d1.restart(({ statements }) => {
      if (lost || !statements.some((sql) => marks.test(sql))) return null;
      lost = true;
      return D1_FAULTS.lost;
    });
    expect((await here.wake())?.acked).toBe(1);
    expect(lost).toBe(true);
    expect(await here.waiting()).toEqual([]);
    expect(here.taken).toHaveLength(4);
  });

  it("while D1 is away counts no failure, ends the wake-up, and the events come again", async () => {
    const here = new Publisher(() => false);
    await here.append({ a: 2, b: 2 });
    here.part.d1.restart(({ statements }) =>
      statements.some((sql) => marks.test(sql)) ? D1_FAULTS.before : null,
    );
    expect(await here.wake()).toMatchObject({ acked: 0, retried: 1 });
    here.part.d1.restart();
    expect(await here.waiting()).toEqual(["a1 0", "a2 0", "b1 0", "b2 0"]);
    expect((await here.wake())?.acked).toBe(1);
    expect(await here.waiting()).toEqual([]);
  });
});
