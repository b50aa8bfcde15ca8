import fc from "fast-check";
import { expect, it } from "vitest";
import { OUTBOX_PAGE_MAX } from "../../src/model/index.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { anEvent } from "../../src/testing/conformance/support.ts";
import { faultOfPage } from "./pages.ts";

const RUNS = ["a", "b", "\uff5e", "\u{1f600}"];
const run = fc.constantFrom(...RUNS);
const id = fc.tuple(run, fc.integer({ min: 1, max: 5 })).map((parts) => parts.join("/"));
const write = fc.oneof(
  fc.record({ does: fc.constant("append" as const), run }),
  fc.record({ does: fc.constantFrom("publish" as const, "bury" as const, "count" as const), id }),
  fc.record({ does: fc.constant("replay" as const), max: fc.integer({ min: 1, max: 3 }) }),
);
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

async function perform(
  persistence: Connection["persistence"],
  writes: readonly Write[],
): Promise<void> {
  for (const one of writes) {
    switch (one.does) {
      case "append":
        await persistence.appendOutboxEvents([anEvent(one.run)]);
        break;
      case "publish":
        await persistence.markOutboxEventsPublished([one.id]);
        break;
      case "bury":
        await persistence.moveOutboxEventToDLQ(one.id).catch(ignoreUnknown);
        break;
      case "count":
        await persistence.incrementOutboxRetryCount(one.id).catch(ignoreUnknown);
        break;
      case "replay":
        await persistence.replayDLQEvents(one.max);
        break;
    }
  }
}

function ignoreUnknown(error: unknown): void {
  expect(error).toMatchObject({ code: "NOT_FOUND" });
}

it("gives every run its turn on each page that a transaction asks for, whatever it has written", async () => {
  const property = fc.asyncProperty(
    fc.array(write, { minLength: 10, maxLength: 40, size: "max" }),
    fc.array(write, { maxLength: 8, size: "max" }),
    fc.integer({ min: 1, max: 8 }),
    async (before, own, limit) => {
      const { persistence } = new Connection(createMemoryStore());
      await perform(persistence, before);
      const page = await persistence.withTransaction(async (tx) => {
        await perform(tx, own);
        return tx.getUnpublishedOutboxEvents(limit);
      });
      const waiting = await persistence.getUnpublishedOutboxEvents(OUTBOX_PAGE_MAX);
      expect(faultOfPage(page, waiting, limit)).toBeNull();
    },
  );
  await fc.assert(property, { numRuns: 400 });
});
