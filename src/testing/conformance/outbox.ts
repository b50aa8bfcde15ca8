import { expect } from "vitest";
import type { OutboxRecord } from "../../contract/index.ts";
import type { ConformanceBackend, Test } from "./harness.ts";
import {
  anEvent,
  at,
  eventsOf,
  expectCode,
  forced,
  INSTANT,
  nap,
  seedEvents,
  seedRun,
  upTo,
} from "./support.ts";

function summaryOf(events: readonly OutboxRecord[]): string[] {
  return events.map((event) => `${event.workflowRunId} ${event.sequence} ${event.eventType}`);
}

async function waiting(backend: ConformanceBackend, limit?: number): Promise<string[]> {
  return summaryOf(await backend.persistence.getUnpublishedOutboxEvents(limit));
}

/** appendOutboxEvents and getUnpublishedOutboxEvents. */
export function outbox(test: Test): void {
  test("appendOutboxEvents stores a whole record", async ({ a, b }) => {
    const event = anEvent("run-1", { payload: { pages: [1, 2] } });

    expect(await a.persistence.appendOutboxEvents([event])).toBeUndefined();

    const events = await b.persistence.getUnpublishedOutboxEvents();
    const { id } = at(events, 0);
    expect(events).toEqual([
      { id, ...event, sequence: 1, publishedAt: null, retryCount: 0, dlqAt: null },
    ]);
    expect(id).not.toBe("");
  });

  test("appendOutboxEvents of nothing does nothing", async ({ a }) => {
    expect(await a.persistence.appendOutboxEvents([])).toBeUndefined();
    expect(await waiting(a)).toEqual([]);
  });

  test("events never look at runs", async ({ a }) => {
    await a.persistence.appendOutboxEvents([anEvent("nobody")]);

    expect(await waiting(a)).toEqual(["nobody 1 stage:completed"]);
    expect(await a.persistence.getRun("nobody")).toBeNull();
  });

  test("sequences start at 1 and go on from call to call", async ({ a, b }) => {
    await a.persistence.appendOutboxEvents(eventsOf("run-1", "a", "b"));
    await b.persistence.appendOutboxEvents(eventsOf("run-1", "c"));
    await a.persistence.appendOutboxEvents(eventsOf("run-1", "d", "e"));

    expect(await waiting(a)).toEqual([
      "run-1 1 a",
      "run-1 2 b",
      "run-1 3 c",
      "run-1 4 d",
      "run-1 5 e",
    ]);
  });

  test("sequences keep the order of the input, whatever occurred first", async ({ a }) => {
    const instants = [30, 10, 20].map((ms) => new Date(INSTANT.getTime() + ms));

    await a.persistence.appendOutboxEvents(
      instants.map((occurredAt) => anEvent("run-1", { occurredAt })),
    );

    const events = await a.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => event.occurredAt)).toEqual(instants);
    expect(events.map((event) => event.sequence)).toEqual([1, 2, 3]);
  });

  test("a call that mixes runs numbers each of them on its own", async ({ a }) => {
    await a.persistence.appendOutboxEvents(eventsOf("run-2", "before"));

    await a.persistence.appendOutboxEvents([
      ...eventsOf("run-1", "a"),
      ...eventsOf("run-2", "b"),
      ...eventsOf("run-1", "c"),
      ...eventsOf("run-2", "d"),
    ]);

    expect(await waiting(a)).toEqual([
      "run-1 1 a",
      "run-1 2 c",
      "run-2 1 before",
      "run-2 2 b",
      "run-2 3 d",
    ]);
  });

  test("a call that is refused leaves no gap", async ({ a }) => {
    await a.persistence.appendOutboxEvents(eventsOf("run-1", "a"));
    const bad = [anEvent("run-1"), anEvent("run-1", { payload: 1n })];
    await expectCode(a.persistence.appendOutboxEvents(bad), "INVALID_ARGUMENT");

    await a.persistence.appendOutboxEvents(eventsOf("run-1", "b"));

    expect(await waiting(a)).toEqual(["run-1 1 a", "run-1 2 b"]);
  });

  test("a sequence is not used again after its event was published", async ({ a }) => {
    const events = await seedEvents(a, "run-1", "a", "b");
    await a.persistence.markOutboxEventsPublished(events.map((event) => event.id));

    await a.persistence.appendOutboxEvents(eventsOf("run-1", "c"));

    expect(await waiting(a)).toEqual(["run-1 3 c"]);
  });

  test("a large call keeps its order", async ({ a }) => {
    const types = upTo(250).map((n) => `type-${(n * 101) % 251}`);

    await a.persistence.appendOutboxEvents(eventsOf("run-1", ...types));

    const events = await a.persistence.getUnpublishedOutboxEvents(1_000);
    expect(events.map((event) => event.eventType)).toEqual(types);
    expect(events.map((event) => event.sequence)).toEqual(upTo(250));
  });

  test("getUnpublishedOutboxEvents returns 100 unless told otherwise", async ({ a }) => {
    await a.persistence.appendOutboxEvents(eventsOf("run-1", ...upTo(105).map(String)));

    const unlimited = await a.persistence.getUnpublishedOutboxEvents();

    expect(unlimited.map((event) => event.sequence)).toEqual(upTo(100));
    expect(await a.persistence.getUnpublishedOutboxEvents(105)).toHaveLength(105);
    expect(await a.persistence.getUnpublishedOutboxEvents(1_000)).toHaveLength(105);
    expect(await a.persistence.getUnpublishedOutboxEvents(1)).toHaveLength(1);
    const undefinedLimit = await a.persistence.getUnpublishedOutboxEvents(forced(undefined));
    expect(undefinedLimit).toHaveLength(100);
  });

  test("events go by run id in the order of its UTF-8 bytes, then by sequence", async ({ a }) => {
    const inOrder = ["RUN", "a", "a!", "ab", "run", "é", "\ufffd", "🙂"];
    for (const runId of [...inOrder.slice(3), ...inOrder.slice(0, 3)]) {
      await a.persistence.appendOutboxEvents(eventsOf(runId, "x", "y"));
    }

    const events = await a.persistence.getUnpublishedOutboxEvents();

    const pairs = events.map((event) => [event.workflowRunId, event.sequence]);
    expect(pairs).toEqual(inOrder.flatMap((runId) => [1, 2].map((n) => [runId, n])));
  });

  test("when more events wait than fit, every run gets its turn", async ({ a }) => {
    await seedEvents(a, "run-a", "1", "2", "3", "4", "5");
    await seedEvents(a, "run-b", "1", "2");
    await seedEvents(a, "run-c", "1");

    expect(await waiting(a, 3)).toEqual(["run-a 1 1", "run-b 1 1", "run-c 1 1"]);
    expect(await waiting(a, 5)).toEqual([
      "run-a 1 1",
      "run-a 2 2",
      "run-b 1 1",
      "run-b 2 2",
      "run-c 1 1",
    ]);
    expect(await waiting(a, 6)).toEqual([
      "run-a 1 1",
      "run-a 2 2",
      "run-a 3 3",
      "run-b 1 1",
      "run-b 2 2",
      "run-c 1 1",
    ]);
  });

  test("a run's turn goes to the first of its events that waits", async ({ a }) => {
    const events = await seedEvents(a, "run-a", "1", "2", "3");
    await seedEvents(a, "run-b", "1", "2");
    await a.persistence.markOutboxEventsPublished([at(events, 0).id]);

    expect(await waiting(a, 2)).toEqual(["run-a 2 2", "run-b 1 1"]);
  });

  test("reading events does not take them", async ({ a, b }) => {
    await seedEvents(a, "run-1", "a");

    const first = await a.persistence.getUnpublishedOutboxEvents();

    expect(await b.persistence.getUnpublishedOutboxEvents()).toEqual(first);
  });
}

/** Publishing, retries and the DLQ. */
export function outboxDelivery(test: Test): void {
  test("markOutboxEventsPublished takes events out of the list", async ({ a, b }) => {
    const [first, , third] = await seedEvents(a, "run-1", "a", "b", "c");

    const ids = [first, third].map((event) => event?.id ?? "");
    expect(await b.persistence.markOutboxEventsPublished(ids)).toBeUndefined();

    expect(await waiting(a)).toEqual(["run-1 2 b"]);
  });

  test("markOutboxEventsPublished ignores unknown ids and an empty list", async ({ a }) => {
    const [first] = await seedEvents(a, "run-1", "a", "b");

    await a.persistence.markOutboxEventsPublished([]);
    await a.persistence.markOutboxEventsPublished(["nobody", first?.id ?? "", "nobody"]);

    expect(await waiting(a)).toEqual(["run-1 2 b"]);
  });

  test("markOutboxEventsPublished may be repeated", async ({ a, b }) => {
    const events = await seedEvents(a, "run-1", "a", "b");
    const ids = events.map((event) => event.id);

    await a.persistence.markOutboxEventsPublished([...ids, ...ids]);
    await b.persistence.markOutboxEventsPublished(ids);

    expect(await waiting(a)).toEqual([]);
  });

  test("markOutboxEventsPublished takes hundreds of ids", async ({ a }) => {
    const events = await seedEvents(a, "run-1", ...upTo(250).map(String));

    await a.persistence.markOutboxEventsPublished(events.slice(0, 249).map((event) => event.id));

    expect(await waiting(a)).toEqual(["run-1 250 250"]);
  });

  test("incrementOutboxRetryCount returns the new count", async ({ a, b }) => {
    const [first] = await seedEvents(a, "run-1", "a", "b");
    const id = first?.id ?? "";

    expect(await a.persistence.incrementOutboxRetryCount(id)).toBe(1);
    expect(await b.persistence.incrementOutboxRetryCount(id)).toBe(2);

    const events = await a.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => event.retryCount)).toEqual([2, 0]);
  });

  test("an unknown event was not found", async ({ a }) => {
    await expectCode(a.persistence.incrementOutboxRetryCount("nobody"), "NOT_FOUND");
    await expectCode(a.persistence.moveOutboxEventToDLQ("nobody"), "NOT_FOUND");
  });

  test("an event in the DLQ does not wait to be published", async ({ a }) => {
    const [first] = await seedEvents(a, "run-1", "a", "b");

    expect(await a.persistence.moveOutboxEventToDLQ(first?.id ?? "")).toBeUndefined();

    expect(await waiting(a)).toEqual(["run-1 2 b"]);
  });

  test("replayDLQEvents puts an event back with its retries forgotten", async ({ a, b }) => {
    const events = await seedEvents(a, "run-1", "a", "b");
    const { id } = at(events, 0);
    await a.persistence.incrementOutboxRetryCount(id);
    await a.persistence.moveOutboxEventToDLQ(id);

    expect(await b.persistence.replayDLQEvents(10)).toBe(1);

    expect(await a.persistence.getUnpublishedOutboxEvents()).toEqual(events);
    expect(await a.persistence.replayDLQEvents(10)).toBe(0);
  });

  test("replayDLQEvents returns 0 when the DLQ is empty", async ({ a }) => {
    await seedEvents(a, "run-1", "a");

    expect(await a.persistence.replayDLQEvents(10)).toBe(0);
  });

  test("replayDLQEvents takes the longest waiting first, up to its maximum", async ({ a }) => {
    const events = await seedEvents(a, "run-1", "a", "b", "c");
    for (const index of [2, 0, 1]) {
      await a.persistence.moveOutboxEventToDLQ(at(events, index).id);
      await nap();
    }

    expect(await a.persistence.replayDLQEvents(1)).toBe(1);
    expect(await waiting(a)).toEqual(["run-1 3 c"]);
    expect(await a.persistence.replayDLQEvents(1)).toBe(1);
    expect(await waiting(a)).toEqual(["run-1 1 a", "run-1 3 c"]);
    expect(await a.persistence.replayDLQEvents(5)).toBe(1);
    expect(await waiting(a)).toEqual(["run-1 1 a", "run-1 2 b", "run-1 3 c"]);
  });

  test("replayDLQEvents of at most 0 leaves the DLQ alone", async ({ a }) => {
    const [event] = await seedEvents(a, "run-1", "a");
    await a.persistence.moveOutboxEventToDLQ(event?.id ?? "");

    expect(await a.persistence.replayDLQEvents(0)).toBe(0);
    expect(await waiting(a)).toEqual([]);
  });

  test("moveOutboxEventToDLQ may be repeated", async ({ a, b }) => {
    const [event] = await seedEvents(a, "run-1", "a");
    const id = event?.id ?? "";

    await a.persistence.moveOutboxEventToDLQ(id);
    await b.persistence.moveOutboxEventToDLQ(id);

    expect(await a.persistence.replayDLQEvents(10)).toBe(1);
  });

  test("a published event does not go to the DLQ", async ({ a }) => {
    const [event] = await seedEvents(a, "run-1", "a");
    const id = event?.id ?? "";
    await a.persistence.markOutboxEventsPublished([id]);

    await a.persistence.moveOutboxEventToDLQ(id);

    expect(await a.persistence.replayDLQEvents(10)).toBe(0);
    expect(await waiting(a)).toEqual([]);
  });

  test("publishing an event takes it out of the DLQ", async ({ a }) => {
    const [event] = await seedEvents(a, "run-1", "a");
    const id = event?.id ?? "";
    await a.persistence.moveOutboxEventToDLQ(id);

    await a.persistence.markOutboxEventsPublished([id]);

    expect(await a.persistence.replayDLQEvents(10)).toBe(0);
    expect(await waiting(a)).toEqual([]);
  });

  test("what happens to events leaves their run alone", async ({ a }) => {
    const run = await seedRun(a);
    const [event] = await seedEvents(a, run.id, "a");
    const id = event?.id ?? "";

    await a.persistence.incrementOutboxRetryCount(id);
    await a.persistence.moveOutboxEventToDLQ(id);
    await a.persistence.replayDLQEvents(1);
    await a.persistence.markOutboxEventsPublished([id]);

    expect(await a.persistence.getRun(run.id)).toMatchObject({ version: 1, status: "PENDING" });
  });
}
