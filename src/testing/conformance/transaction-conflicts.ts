import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  anAnnotation,
  aRun,
  aStage,
  at,
  disturbed,
  eventsOf,
  expectCode,
  expectStale,
  rejection,
  seedEvents,
  seedRun,
  seedStage,
  theRun,
} from "./support.ts";

const RUN = "run-1";
/** "runs again on fresh data, up to 25 times": with or without the first time. */
const MOST_RUNS = { least: 25, most: 26 };

/** What a transaction comes to when others write in the middle of it. */
export function transactionConflicts(test: Test): void {
  test("what a discarded run of the callback wrote is not committed", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    let runs = 0;

    await a.persistence.withTransaction(async (tx) => {
      runs += 1;
      await tx.getRun(RUN);
      if (runs === 1) await b.persistence.updateRun(RUN, {});
      await tx.createRun(aRun({ id: `new-${runs}` }));
      await tx.appendOutboxEvents(eventsOf(RUN, `event-${runs}`));
      await tx.appendAnnotations([anAnnotation(RUN, { key: `key-${runs}`, idempotencyKey: "k" })]);
    });

    expect(runs).toBe(2);
    expect(await b.persistence.getRun("new-1")).toBeNull();
    expect(await b.persistence.getRun("new-2")).not.toBeNull();
    expect(await b.persistence.listAnnotations(RUN)).toMatchObject([{ key: "key-2" }]);
    expect(await b.persistence.getUnpublishedOutboxEvents()).toMatchObject([
      { sequence: 1, eventType: "event-2" },
    ]);
  });

  test("a callback that throws on its second run writes nothing", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const error = new Error("no longer pending");

    const caught = await rejection(
      disturbed(
        a,
        () => b.persistence.updateRun(RUN, { status: "CANCELLED" }),
        async (tx, interfere) => {
          if ((await tx.getRunStatus(RUN)) !== "PENDING") throw error;
          await interfere();
          await tx.createRun(aRun({ id: "new" }));
        },
      ),
    );

    expect(caught).toBe(error);
    expect(await b.persistence.getRun("new")).toBeNull();
  });

  test("an expected version that someone else overtakes is stale on the second run", async ({
    a,
    b,
  }) => {
    await seedRun(a, { id: RUN });
    let runs = 0;

    await expectStale(
      a.persistence.withTransaction(async (tx) => {
        runs += 1;
        await tx.updateRun(RUN, { expectedVersion: 1, status: "RUNNING" });
        if (runs === 1) await b.persistence.updateRun(RUN, {});
      }),
      { entity: "WorkflowRun", id: RUN, expected: 1, actual: 2 },
    );

    expect(runs).toBe(2);
    expect(await theRun(b, RUN)).toMatchObject({ version: 2, status: "PENDING" });
  });

  test("a run id that someone else takes meanwhile is taken on the second run", async ({
    a,
    b,
  }) => {
    let runs = 0;

    await expectCode(
      a.persistence.withTransaction(async (tx) => {
        runs += 1;
        await tx.createRun(aRun({ id: RUN, input: "a" }));
        if (runs === 1) await seedRun(b, { id: RUN, input: "b" });
      }),
      "ALREADY_EXISTS",
    );

    expect(runs).toBe(2);
    expect(await theRun(a, RUN)).toMatchObject({ input: "b" });
  });

  test("an upsert becomes an update when someone else inserts meanwhile", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const upsert = { workflowRunId: RUN, stageId: "extract", create: aStage(RUN) };

    const { result, runs } = await disturbed(
      a,
      () => seedStage(b, RUN, { status: "RUNNING" }),
      async (tx, interfere) => {
        const stage = await tx.upsertStage({ ...upsert, update: { resumeData: 1 } });
        await interfere();
        return stage;
      },
    );

    expect(runs).toBe(2);
    expect(result).toMatchObject({ status: "RUNNING", resumeData: 1, version: 2 });
    expect(await b.persistence.getStagesByRun(RUN)).toEqual([result]);
  });

  test("a stage that someone else deletes meanwhile is not found on the second run", async ({
    a,
    b,
  }) => {
    await seedRun(a, { id: RUN });
    const { id } = await seedStage(a, RUN);

    const failing = disturbed(
      a,
      () => b.persistence.deleteStage(id),
      async (tx, interfere) => {
        await tx.updateStage(id, { status: "RUNNING" });
        await interfere();
      },
    );
    await expectCode(failing, "NOT_FOUND");

    expect(await b.persistence.getStagesByRun(RUN)).toEqual([]);
  });

  test("a run that someone else claims meanwhile is not claimed twice", async ({ a, b }) => {
    await seedRun(a, { id: "first" });
    await seedRun(a, { id: "second" });
    let ofOther: string | undefined;

    const { result, runs } = await disturbed(
      a,
      async () => {
        ofOther = (await b.persistence.claimNextPendingRun())?.id;
      },
      async (tx, interfere) => {
        const claimed = await tx.claimNextPendingRun();
        await interfere();
        return claimed?.id;
      },
    );

    expect({ result, ofOther, runs }).toEqual({ result: "second", ofOther: "first", runs: 2 });
    expect(await b.persistence.getRunsByStatus("RUNNING")).toMatchObject([
      { version: 2 },
      { version: 2 },
    ]);
  });

  test("a key that someone else acquires meanwhile is in progress on the second run", async ({
    a,
    b,
  }) => {
    const { result, runs } = await disturbed(
      a,
      () => b.persistence.acquireIdempotencyKey("key", "run.create"),
      async (tx, interfere) => {
        const acquired = await tx.acquireIdempotencyKey("key", "run.create");
        await interfere();
        return acquired;
      },
    );

    expect(result).toEqual({ status: "in_progress" });
    expect(runs).toBe(2);
  });

  test("a retry that someone else counts meanwhile is counted as well", async ({ a, b }) => {
    const { id } = at(await seedEvents(a, RUN, "a"), 0);

    const { result, runs } = await disturbed(
      a,
      () => b.persistence.incrementOutboxRetryCount(id),
      async (tx, interfere) => {
        const count = await tx.incrementOutboxRetryCount(id);
        await interfere();
        return count;
      },
    );

    expect({ result, runs }).toEqual({ result: 2, runs: 2 });
    expect(await b.persistence.getUnpublishedOutboxEvents()).toMatchObject([{ retryCount: 2 }]);
  });

  test("an event that someone else publishes meanwhile does not go to the DLQ", async ({
    a,
    b,
  }) => {
    const { id } = at(await seedEvents(a, RUN, "a"), 0);

    await disturbed(
      a,
      () => b.persistence.markOutboxEventsPublished([id]),
      async (tx, interfere) => {
        await tx.moveOutboxEventToDLQ(id);
        await interfere();
      },
    );

    expect(await b.persistence.replayDLQEvents(5)).toBe(0);
    expect(await b.persistence.getUnpublishedOutboxEvents()).toEqual([]);
  });

  test("sequences follow the order of commits", async ({ a, b }) => {
    await disturbed(
      a,
      () => b.persistence.appendOutboxEvents(eventsOf(RUN, "b-1", "b-2")),
      async (tx, interfere) => {
        await tx.appendOutboxEvents(eventsOf(RUN, "a-1", "a-2"));
        await interfere();
      },
    );

    const events = await b.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => [event.sequence, event.eventType])).toEqual([
      [1, "b-1"],
      [2, "b-2"],
      [3, "a-1"],
      [4, "a-2"],
    ]);
  });

  test("a rollback leaves no gap in the sequences", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.appendOutboxEvents(eventsOf(RUN, "undone", "undone"));
        throw new Error("no");
      }),
    );

    await b.persistence.appendOutboxEvents(eventsOf(RUN, "kept"));

    expect(await a.persistence.getUnpublishedOutboxEvents()).toMatchObject([
      { sequence: 1, eventType: "kept" },
    ]);
  });

  test("a transaction that is overtaken every time ends in CONFLICT", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    let runs = 0;

    await expectCode(
      a.persistence.withTransaction(async (tx) => {
        runs += 1;
        const { totalTokens } = await theRun(tx, RUN);
        await b.persistence.updateRun(RUN, {});
        await tx.updateRun(RUN, { totalTokens: totalTokens + 1 });
      }),
      "CONFLICT",
    );

    expect(runs).toBeGreaterThanOrEqual(MOST_RUNS.least);
    expect(runs).toBeLessThanOrEqual(MOST_RUNS.most);
    expect(await theRun(b, RUN)).toMatchObject({ totalTokens: 0, version: runs + 1 });
  });
}
