/** A transaction marks the events that it names, and no others. */
import { beforeEach, describe, expect, it } from "vitest";
import { emptyDatabase } from "../support/database.ts";
import { appendEvents, createRun, event, once, outcomeOf, waiting, ways } from "./ways.ts";

beforeEach(() => emptyDatabase());

describe.each(ways)("a mark meant for another's event, $name", ({ open }) => {
  it("spares an event that the transaction appends after listing", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const elsewhere = await createRun(a);
    const append = once(() => b.persistence.appendOutboxEvents([event(run, "theirs")]));
    await a.persistence.withTransaction(async (tx) => {
      await tx.getRunStatus(run);
      await append();
      const page = await waiting(tx, run);
      await tx.markOutboxEventsPublished(page.map(({ id }) => id));
      await tx.appendOutboxEvents([event(run, "mine")]);
      await tx.getRun(elsewhere);
    });
    const left = await waiting(a.persistence, run);
    expect(left.map(({ eventType }) => eventType)).toEqual(["mine"]);
  });

  it("spares an event that the transaction appended before", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const append = once(() => b.persistence.appendOutboxEvents([event(run, "theirs")]));
    await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents([event(run, "mine")]);
      await append();
      const page = await waiting(b.persistence, run);
      await tx.markOutboxEventsPublished(page.map(({ id }) => id));
    });
    const left = await waiting(a.persistence, run);
    expect(left.map(({ eventType }) => eventType)).toEqual(["mine"]);
  });

  it("sends no event to the DLQ that the transaction appended before", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const append = once(() => b.persistence.appendOutboxEvents([event(run, "theirs")]));
    await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents([event(run, "mine")]);
      await append();
      await tx.moveOutboxEventToDLQ(`${run}/1`);
    });
    const left = await waiting(a.persistence, run);
    expect(left.map(({ eventType }) => eventType)).toEqual(["mine"]);
  });
});

describe.each(ways)("a mark in a transaction, $name", ({ open }) => {
  it("is ignored when nobody's event has that id yet", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.withTransaction(async (tx) => {
      await tx.markOutboxEventsPublished([`${run}/1`]);
      await tx.appendOutboxEvents([event(run)]);
    });
    expect(await waiting(a.persistence, run)).toHaveLength(1);
  });

  it("lands on the event that has that id after the commit", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const append = once(() => b.persistence.appendOutboxEvents([event(run, "theirs")]));
    const count = await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents([event(run), event(run)]);
      await append();
      return tx.incrementOutboxRetryCount(`${run}/2`);
    });
    const events = await waiting(a.persistence, run);
    expect(count).toBe(1);
    expect(events.map(({ id, retryCount }) => [id, retryCount])).toEqual([
      [`${run}/1`, 0],
      [`${run}/2`, 1],
      [`${run}/3`, 0],
    ]);
  });

  it("is not written when the call names more events than a transaction takes", async () => {
    const { a } = open();
    const run = await createRun(a);
    const count = 1_001;
    await appendEvents(a, run, count);
    const ids = Array.from({ length: count }, (_, index) => `${run}/${index + 1}`);
    const outcome = await a.persistence.withTransaction((tx) =>
      outcomeOf(tx.markOutboxEventsPublished(ids)),
    );
    const [first] = await waiting(a.persistence, run);
    expect({ outcome, first: first?.sequence }).toEqual({ outcome: "INVALID_ARGUMENT", first: 1 });
  });

  it("makes room for further events on the next page", async () => {
    const { a } = open();
    const run = await createRun(a);
    await appendEvents(a, run, 1_200);
    const sizes = await a.persistence.withTransaction(async (tx) => {
      const page = await tx.getUnpublishedOutboxEvents(1_000);
      await tx.markOutboxEventsPublished(page.map(({ id }) => id));
      return [page.length, (await tx.getUnpublishedOutboxEvents(1_000)).length];
    });
    expect(sizes).toEqual([1_000, 200]);
  });
});
