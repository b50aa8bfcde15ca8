/** Events that cannot be published: each is found, counted and given up, and holds up its own run alone. */
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobHandler, OutboxRecord } from "../../src/contract/index.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { eventOf } from "../schedule/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { Delivery } from "./support/queue.ts";
import { HOUR_MS, MINUTE_MS, type Part, SECOND_MS, World } from "./support/world.ts";

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
  readonly world: World;
  readonly part: Part;
  refuses: (event: string) => boolean;
  /** What it does with a page that has an event which it refuses. */
  onRefusal: (events: OutboxRecord[]) => Promise<string[]> = () =>
    Promise.reject(new Error("The broker does not take it"));

  constructor(refuses: (event: string) => boolean, attempts = 3) {
    this.refuses = refuses;
    this.world = new World({ OUTBOX_ATTEMPTS: attempts });
    this.part = this.world.part();
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

  /** So many wake-ups, with a pause after each; the last one's message. */
  async wake(times = 1, { embedded = true, pauseMs = 0 } = {}): Promise<Delivery | undefined> {
    let message: Delivery | undefined;
    for (let call = 0; call < times; call += 1) {
      message = new Delivery({ v: 1, kind: "outbox" });
      const handler = { handleJob, publishEvents: this.publishEvents.bind(this) };
      await this.world.consume(this.part, handler, [message], { embedded });
      this.world.pass(pauseMs);
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

  it("is found among a full page in one wake-up, of the ten calls that a handler in another Worker gets", async () => {
    for (const bad of ["r0-1", "r37-1", "r99-1"]) {
      await emptyDatabase();
      const here = new Publisher((event) => event === bad);
      await here.append(
        Object.fromEntries(Array.from({ length: 100 }, (_, run) => [`r${run}-`, 1])),
      );
      await here.wake(1, { embedded: false });
      expect(here.calls).toBeLessThanOrEqual(10);
      expect(await here.waiting()).toEqual([`${bad} 1`]);
      await here.wake(2, { embedded: false });
      expect(await here.dead()).toEqual([bad]);
    }
  });

  it("that is alone in the outbox is counted all the same, and given up", async () => {
    const here = new Publisher(() => true);
    await here.append({ a: 1 });
    const message = await here.wake();
    expect(message).toMatchObject({ acked: 0, retried: 1 });
    expect(await here.waiting()).toEqual(["a1 1"]);
    await here.wake(30);
    expect(await here.waiting()).toEqual(["a1 1"]);
    here.world.pass(MINUTE_MS);
    await here.wake(2, { pauseMs: 2 * MINUTE_MS });
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
    await here.wake(12, { pauseMs: HOUR_MS });
    expect(await here.waiting()).toEqual([]);
    expect(await here.dead()).toEqual([...bad]);
    expect(here.inOrder()).toBe(true);
  });

  it("of one run are found one after the other", async () => {
    const bad = new Set(["a2", "a3", "a5"]);
    const here = new Publisher((event) => bad.has(event));
    await here.append({ a: 6 });
    await here.wake(12, { pauseMs: HOUR_MS });
    expect(await here.dead()).toEqual([...bad]);
    expect(here.taken).toEqual(["a1", "a4", "a6"]);
  });

  it("at the head of 500 runs leave a turn to a run behind them within ten wake-ups", async () => {
    const here = new Publisher((event) => event.startsWith("bad"));
    const runs = Array.from({ length: 500 }, (_, index) => [`bad${index}-`, 1] as const);
    await here.append(Object.fromEntries(runs));
    await here.append({ good: 2 });
    let wakes = 0;
    while (here.taken.length < 2 && wakes < 10) {
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
  ])("and %s, for three hours and however many wake-ups, loses no event", async (_, onRefusal) => {
    const here = new Publisher(() => true, 10);
    if (onRefusal !== undefined) here.onRefusal = onRefusal;
    await here.append({ a: 2, b: 1 });
    await here.wake(90, { pauseMs: 2 * MINUTE_MS });
    expect(await here.dead()).toEqual([]);
    here.refuses = () => false;
    await here.wake();
    expect(await here.waiting()).toEqual([]);
    expect(here.inOrder()).toBe(true);
  });

  it("and is back has all that waits published with the next wake-up, however often it has failed", async () => {
    const here = new Publisher(() => true);
    await here.append(Object.fromEntries(Array.from({ length: 60 }, (_, run) => [`r${run}-`, 1])));
    await here.wake(60);
    expect((await here.waiting()).filter((event) => event.endsWith(" 1")).length).toBeGreaterThan(
      5,
    );
    here.refuses = () => false;
    here.calls = 0;
    await here.wake(1, { embedded: false });
    expect(await here.waiting()).toEqual([]);
  });

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

describe("one event of which the consumer dies", () => {
  /** One delivery of the wake-up. Resolves when it is over, or its consumer has died; answers whether it has. */
  async function deliver(here: Publisher, attempts: number): Promise<boolean> {
    let die = (_: boolean) => {};
    const death = new Promise<boolean>((resolve) => {
      die = resolve;
    });
    here.onRefusal = () => {
      die(true);
      return new Promise<never>(() => {});
    };
    const handler = { handleJob, publishEvents: here.publishEvents.bind(here) };
    const message = new Delivery({ v: 1, kind: "outbox" }, attempts);
    const over = here.world.consume(here.part, handler, [message]).then(() => false);
    return Promise.race([death, over]);
  }

  it("is found by the deliveries that follow, counted, and given up; all others are published", async () => {
    const here = new Publisher((event) => event === "r25-1");
    await here.append(Object.fromEntries(Array.from({ length: 60 }, (_, run) => [`r${run}-`, 2])));
    const waiting: string[][] = [];
    for (let wakeUp = 0; wakeUp < 5; wakeUp += 1) {
      // As often as the queue delivers a message.
      for (let attempts = 1; attempts <= 4; attempts += 1) {
        if (!(await deliver(here, attempts))) break;
      }
      waiting.push(await here.waiting());
      here.world.pass(HOUR_MS);
    }
    expect(waiting[1]).toEqual([expect.stringMatching(/^r25-1 /), "r25-2 0"]);
    expect(await here.dead()).toEqual(["r25-1"]);
    expect(await here.waiting()).toEqual([]);
  });
});

describe("events of many bytes", () => {
  it("are published a few at a time: no page has more than an isolate can hold", async () => {
    const here = new Publisher(() => false);
    const payload = "x".repeat(1_800_000);
    for (let run = 0; run < 12; run += 1) {
      const event = { ...eventOf(`r${run}`, 1), payload };
      await here.part.backend.persistence.appendOutboxEvents([event]);
    }
    const sizes: number[] = [];
    const { publishEvents } = here;
    here.publishEvents = async (events) => {
      sizes.push(events.length);
      return publishEvents.call(here, events);
    };
    await here.wake();
    expect(here.taken).toHaveLength(12);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(3);
  });
});

describe("two wake-ups at once", () => {
  it("count a failure once", async () => {
    const here = new Publisher((event) => event === "a1");
    await here.append({ a: 1, b: 1 });
    let entered = 0;
    let both = () => {};
    const met = new Promise<void>((resolve) => {
      both = resolve;
    });
    here.onRefusal = async () => {
      entered += 1;
      if (entered === 2) both();
      await met;
      throw new Error("no");
    };
    await Promise.all([here.wake(), here.wake()]);
    expect(await here.waiting()).toEqual(["a1 1"]);
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
