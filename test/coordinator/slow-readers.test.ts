import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PASSED_ON, RECONNECT } from "../../src/coordinator/index.ts";
import { embed } from "../../src/embed.ts";
import { D1Store } from "../../src/store/index.ts";
import { anEvent, upTo } from "../../src/testing/conformance/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { Watching } from "./watching.ts";

interface Attachment {
  readonly waiting: number;
  readonly since: number;
}

vi.setConfig({ testTimeout: 60_000 });

let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

describe("a coordinator with readers that do not read", () => {
  it("lets no more than 16 MiB wait for all its readers: the slow ones go, and come back from where they were", async () => {
    const silent = await Promise.all(upTo(40).map(() => Watching.silent(RUN)));
    const reading = await Watching.open(RUN);
    const waiting = async () => (await attachments()).reduce((sum, one) => sum + one.waiting, 0);
    const payload = "x".repeat(1_000_000);
    for (const n of upTo(4)) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
      await reading.untilEvents(n);
      expect(await waiting()).toBeLessThanOrEqual(16 * 1_024 * 1_024);
    }
    await Promise.all(
      silent.map((one) => one.until(({ events, closed }) => events.length > 0 || closed !== null)),
    );
    const gone = silent.filter(({ closed }) => closed === RECONNECT);
    expect(gone.length).toBeGreaterThan(0);
    const back = await Watching.open(RUN, { after: gone[0]?.sequences.at(-1) ?? 0 });
    await back.until(({ sequences }) => sequences.at(-1) === 4);
    expect([...(gone[0]?.sequences ?? []), ...back.sequences]).toEqual(upTo(4));
  });

  it("takes no reader for slow that was sent too little to say that it has passed it on", async () => {
    const reading = await Watching.open(RUN);
    const silent = await Promise.all(upTo(40).map(() => Watching.silent(RUN)));
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN)]);
    await Promise.all([reading, ...silent].map((one) => one.untilEvents(1)));
    await growOlder();
    const payload = "x".repeat(1_000_000);
    for (const n of upTo(4)) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
      await reading.untilEvents(n + 1);
    }
    expect(silent.filter(({ closed }) => closed === RECONNECT)).not.toEqual([]);
    expect([reading.closed, reading.sequences]).toEqual([null, upTo(5)]);
  });

  it("counts a reader's time from the event after which it has to say that it has passed all on", async () => {
    const began = Date.now();
    const silent = await Watching.silent(RUN);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN)]);
    await silent.untilEvents(1);
    await growOlder();
    const payload = "x".repeat(100_000);
    for (const n of [2, 3]) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
      await silent.untilEvents(n);
      const [state] = await attachments();
      expect(state?.since).toBeGreaterThanOrEqual(began - (n - 2) * HOUR_MS);
      expect(state?.since).toBeLessThanOrEqual(Date.now() - (n - 2) * HOUR_MS);
      await growOlder();
    }
  });
});

describe("a coordinator with many readers that read", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("sends more as soon as some have passed on what they have, without a pause", async () => {
    // No timer ends: a coordinator that waited for one would wait for ever.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const readers = await Promise.all(upTo(40).map(() => Watching.silent(RUN)));
    const payload = "x".repeat(1_000_000);
    await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
    const spoken = new Set<Watching>();
    while (spoken.size < readers.length) {
      // Until nobody is sent anything any more.
      await scheduler.wait(50);
      for (const one of readers) {
        if (one.events.length === 0 || spoken.has(one)) continue;
        spoken.add(one);
        one.socket.send(PASSED_ON);
      }
    }
    for (const one of readers) expect([one.closed, one.sequences]).toEqual([null, [1]]);
  });

  it("reads no more of large events at a time than half a megabyte, and the event that exceeds it", async () => {
    const sizes = [1_800_000, 200_000, 200_000, 200_000, 200_000, 1_800_000];
    for (const size of sizes) {
      await embed(env).persistence.appendOutboxEvents([
        anEvent(RUN, { payload: "x".repeat(size) }),
      ]);
    }
    const read = vi.spyOn(D1Store.prototype, "read");
    const reader = await Watching.open(RUN);
    await reader.untilEvents(sizes.length);
    const pages = await Promise.all(read.mock.results.map(({ value }) => value as unknown));
    read.mockRestore();
    expect(reader.sequences).toEqual(upTo(sizes.length));
    const most = Math.max(...pages.map((page) => JSON.stringify(page).length));
    expect(most).toBeLessThan(2_400_000);
  });
});

const HOUR_MS = 3_600_000;

/** What the run's coordinator notes of each of its sockets. */
function attachments(): Promise<Attachment[]> {
  return runInDurableObject(env.RUNS.getByName(RUN), (_, state) =>
    state.getWebSockets().map((socket) => socket.deserializeAttachment() as Attachment),
  );
}

/** As if what waits had been sent an hour earlier. */
function growOlder(): Promise<void> {
  return runInDurableObject(env.RUNS.getByName(RUN), (_, state) => {
    for (const socket of state.getWebSockets()) {
      const { since, ...rest } = socket.deserializeAttachment() as Attachment;
      socket.serializeAttachment({ ...rest, since: since - HOUR_MS });
    }
  });
}
