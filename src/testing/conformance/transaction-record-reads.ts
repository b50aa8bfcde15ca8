import { expect } from "vitest";
import type { WorkflowPersistence } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import {
  aJob,
  anAnnotation,
  anArtifact,
  aStage,
  at,
  eventsOf,
  keysOfAnnotations,
  present,
  seedEvents,
  seedRun,
  theRun,
  upTo,
} from "./support.ts";

/** Inside the callback, every other read shows what was written so far. */
export function transactionRecordReads(test: Test): void {
  test("in a transaction: artifacts show in every read", async ({ a, b }) => {
    const { id } = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(id, { key: "b", data: "old", metadata: 1 }));
    await a.persistence.saveArtifact(anArtifact(id, { key: "c" }));
    const [before] = await a.persistence.listArtifacts(id);

    await a.persistence.withTransaction(async (tx) => {
      await tx.saveArtifact(anArtifact(id, { key: "a", data: null }));
      await tx.saveArtifact(anArtifact(id, { key: "b", data: "new" }));
      await tx.deleteArtifact(id, "c");
      expect(await tx.loadArtifact(id, "a")).toBeNull();
      expect(await tx.loadArtifact(id, "b")).toBe("new");
      expect(await tx.loadArtifact(id, "c")).toBeUndefined();
      expect(await tx.hasArtifact(id, "a")).toBe(true);
      expect(await tx.hasArtifact(id, "c")).toBe(false);
      expect(await tx.listArtifacts(id)).toMatchObject([
        { key: "a", data: null },
        { key: "b", data: "new", id: before?.id, createdAt: before?.createdAt, metadata: 1 },
      ]);
    });

    const keys = (await b.persistence.listArtifacts(id)).map((artifact) => artifact.key);
    expect(keys).toEqual(["a", "b"]);
    expect(await b.persistence.loadArtifact(id, "b")).toBe("new");
  });

  test("in a transaction: annotations show, in order and without duplicates", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const once = (value: string) => anAnnotation(id, { key: "once", value, idempotencyKey: "k" });
    await a.persistence.appendAnnotations([anAnnotation(id, { key: "1" }), once("stored")]);

    await a.persistence.withTransaction(async (tx) => {
      await tx.appendAnnotations([anAnnotation(id, { key: "2" }), once("own")]);
      await tx.appendAnnotations([anAnnotation(id, { key: "3", idempotencyKey: "x" })]);
      await tx.appendAnnotations([anAnnotation(id, { key: "3", idempotencyKey: "x" })]);
      expect(await keysOfAnnotations(tx, id)).toEqual(["1", "once", "2", "3"]);
      expect(await tx.listAnnotations(id, { key: "once" })).toMatchObject([{ value: "stored" }]);
      expect(await tx.listAnnotations(id, { keyPrefix: "2", limit: 1 })).toHaveLength(1);
    });

    expect(await keysOfAnnotations(b, id)).toEqual(["1", "once", "2", "3"]);
  });

  test("in a transaction: outbox events show with their sequences", async ({ a, b }) => {
    await seedEvents(a, "run-1", "stored");

    const seen = await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents([...eventsOf("run-1", "own"), ...eventsOf("run-2", "own")]);
      await tx.appendOutboxEvents(eventsOf("run-1", "own"));
      const events = await tx.getUnpublishedOutboxEvents();
      const pairs = events.map((event) => [event.workflowRunId, event.sequence]);
      expect(pairs).toEqual([
        ["run-1", 1],
        ["run-1", 2],
        ["run-1", 3],
        ["run-2", 1],
      ]);
      const page = await tx.getUnpublishedOutboxEvents(2);
      expect(page.map((event) => event.workflowRunId)).toEqual(["run-1", "run-2"]);
      return events;
    });

    expect(await b.persistence.getUnpublishedOutboxEvents()).toEqual(seen);
  });

  test("in a transaction: what happens to events shows", async ({ a, b }) => {
    const stored = await seedEvents(a, "run-1", "a", "b", "c");
    const [first, second, third] = stored.map((event) => event.id);

    await a.persistence.withTransaction(async (tx) => {
      const typesOf = async () =>
        (await tx.getUnpublishedOutboxEvents()).map((event) => event.eventType);
      await tx.markOutboxEventsPublished([present(first), "nobody"]);
      expect(await typesOf()).toEqual(["b", "c"]);
      expect(await tx.incrementOutboxRetryCount(present(second))).toBe(1);
      expect(await tx.incrementOutboxRetryCount(present(second))).toBe(2);
      await tx.moveOutboxEventToDLQ(present(second));
      await tx.moveOutboxEventToDLQ(present(first));
      await tx.incrementOutboxRetryCount(present(third));
      expect(await typesOf()).toEqual(["c"]);
      expect(await tx.replayDLQEvents(5)).toBe(1);
      const events = await tx.getUnpublishedOutboxEvents();
      expect(events.map((event) => event.retryCount)).toEqual([0, 1]);
    });

    const events = await b.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => [event.eventType, event.retryCount])).toEqual([
      ["b", 0],
      ["c", 1],
    ]);
    expect(await b.persistence.replayDLQEvents(5)).toBe(0);
  });

  test("in a transaction: pages of events go on where its own changes end", async ({ a, b }) => {
    const events = await seedEvents(a, "run-1", ...upTo(9).map(String));
    for (const { id } of events.slice(4)) await a.persistence.moveOutboxEventToDLQ(id);

    await a.persistence.withTransaction(async (tx) => {
      const sequences = async (limit: number) =>
        (await tx.getUnpublishedOutboxEvents(limit)).map((event) => event.sequence);
      await tx.markOutboxEventsPublished([at(events, 0).id, at(events, 1).id]);
      expect(await sequences(1)).toEqual([3]);
      const replayed: number[] = [];
      for (const max of [2, 2, 2, 2]) replayed.push(await tx.replayDLQEvents(max));
      expect(replayed).toEqual([2, 2, 1, 0]);
      expect(await sequences(4)).toEqual([3, 4, 5, 6]);
      await tx.moveOutboxEventToDLQ(at(events, 2).id);
      expect(await sequences(2)).toEqual([4, 5]);
      expect(await tx.replayDLQEvents(5)).toBe(1);
      expect(await sequences(1)).toEqual([3]);
    });

    const left = await b.persistence.getUnpublishedOutboxEvents();
    expect(left.map((event) => event.sequence)).toEqual([3, 4, 5, 6, 7, 8, 9]);
  });

  test("in a transaction: a page gives every run its turn, also one whose first event it has taken out", async ({
    a,
  }) => {
    await seedEvents(a, "run-1", "a", "b");
    const { id } = at(await seedEvents(a, "run-2", "c", "d"), 0);
    for (const takeOut of [
      (tx: WorkflowPersistence) => tx.markOutboxEventsPublished([id]),
      (tx: WorkflowPersistence) => tx.moveOutboxEventToDLQ(id),
    ]) {
      const undone = new Error("undone");
      const page = a.persistence.withTransaction(async (tx) => {
        await takeOut(tx);
        expect((await tx.getUnpublishedOutboxEvents(2)).map(({ eventType }) => eventType)).toEqual([
          "a",
          "d",
        ]);
        throw undone;
      });
      await expect(page).rejects.toBe(undone);
    }
  });

  test("in a transaction: its own event is on no page before those of its run that are in front of it", async ({
    a,
  }) => {
    for (const run of ["run-2", "run-3", "run-1"]) await seedEvents(a, run, "a", "b");

    await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents(eventsOf("run-1", "own"));
      for (const limit of upTo(7)) {
        const page = await tx.getUnpublishedOutboxEvents(limit);
        const first = page.filter(({ workflowRunId }) => workflowRunId === "run-1");
        expect(page).toHaveLength(limit);
        expect(first.map(({ sequence }) => sequence)).toEqual(upTo(first.length));
      }
    });
  });

  test("in a transaction that has written events, the end of a page is taken by the ids of the runs, in the order of their bytes", async ({
    a,
    b,
  }) => {
    // In the order of UTF-16 units the last two change places.
    const runs = ["run", "\uff5e", "\u{1f600}"];
    for (const run of runs) {
      const { id } = at(await seedEvents(a, run, "a"), 0);
      if (run === "\uff5e") await a.persistence.moveOutboxEventToDLQ(id);
    }

    await a.persistence.withTransaction(async (tx) => {
      expect(await tx.replayDLQEvents(1)).toBe(1);
      const runsOf = async (limit: number) =>
        (await tx.getUnpublishedOutboxEvents(limit)).map(({ workflowRunId }) => workflowRunId);
      expect(await runsOf(2)).toEqual(["run", "\uff5e"]);
      expect(await runsOf(3)).toEqual(runs);
    });

    // By the line, at whose end the run of the replayed event now is.
    const page = await b.persistence.getUnpublishedOutboxEvents(2);
    expect(page.map(({ workflowRunId }) => workflowRunId)).toEqual(["run", "\u{1f600}"]);
  });

  test("in a transaction: its own events can be published and counted", async ({ a, b }) => {
    await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents(eventsOf("run-1", "a", "b"));
      const events = await tx.getUnpublishedOutboxEvents();
      await tx.markOutboxEventsPublished([at(events, 0).id]);
      expect(await tx.incrementOutboxRetryCount(at(events, 1).id)).toBe(1);
    });

    expect(await b.persistence.getUnpublishedOutboxEvents()).toMatchObject([
      { eventType: "b", sequence: 2, retryCount: 1 },
    ]);
  });

  test("in a transaction: idempotency keys show", async ({ a, b }) => {
    const acquired = { status: "acquired" };
    const inProgress = { status: "in_progress" };
    const replay = { status: "replay", result: { x: 1 } };

    await a.persistence.withTransaction(async (tx) => {
      const acquire = () => tx.acquireIdempotencyKey("key", "run.create");
      expect(await acquire()).toEqual(acquired);
      expect(await acquire()).toEqual(inProgress);
      await tx.releaseIdempotencyKey("key", "run.create");
      expect(await acquire()).toEqual(acquired);
      await tx.completeIdempotencyKey("key", "run.create", { x: 1 });
      expect(await acquire()).toEqual(replay);
      await tx.releaseIdempotencyKey("key", "run.create");
      expect(await acquire()).toEqual(replay);
    });

    expect(await b.persistence.acquireIdempotencyKey("key", "run.create")).toEqual(replay);
  });

  test("in a transaction: jobs show to their own connection", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const stored = await a.jobs.enqueue(aJob(id));

    await a.persistence.withTransaction(async (tx) => {
      await tx.getRun(id);
      const own = await a.jobs.enqueueParallel([aJob(id), aJob(id, { priority: 9 })]);
      const ids = async () => (await a.jobs.getJobsByWorkflowRun(id)).map((job) => job.id);
      expect(await ids()).toEqual([stored, ...own]);
      expect(await a.jobs.cancelByRun(id)).toBe(3);
      expect(await a.jobs.cancelByRun(id)).toBe(0);
      const statuses = (await a.jobs.getJobsByWorkflowRun(id)).map((job) => job.status);
      expect(statuses).toEqual(["CANCELLED", "CANCELLED", "CANCELLED"]);
      expect(await b.jobs.getJobsByWorkflowRun(id)).toMatchObject([{ status: "PENDING" }]);
    });

    expect(await b.jobs.getJobsByWorkflowRun(id)).toHaveLength(3);
    expect(await b.jobs.dequeue()).toBeNull();
  });

  test("in a transaction: calls may be made at once", async ({ a, b }) => {
    const { id } = await seedRun(a, { priority: 9 });
    await seedRun(a);
    const numbers = upTo(15);

    await a.persistence.withTransaction(async (tx) => {
      const claims = await Promise.all(upTo(3).map(() => tx.claimNextPendingRun()));
      expect(claims.filter((run) => run !== null)).toHaveLength(2);
      expect(new Set(claims.map((run) => run?.id)).size).toBe(3);
      const create = aStage(id);
      const upsert = { workflowRunId: id, stageId: "extract", create, update: {} };
      const stages = await Promise.all(numbers.map(() => tx.upsertStage(upsert)));
      expect(new Set(stages.map((stage) => stage.id)).size).toBe(1);
      expect(stages.map((stage) => stage.version).toSorted((x, y) => x - y)).toEqual(numbers);
      await Promise.all([
        ...numbers.map((n) => tx.updateRun(id, { totalTokens: n })),
        ...numbers.map((n) => tx.appendOutboxEvents(eventsOf(id, `${n}`))),
        ...numbers.map((n) => tx.appendAnnotations([anAnnotation(id, { key: `${n}` })])),
        ...numbers.map((n) => tx.saveArtifact(anArtifact(id, { key: `${n % 3}`, data: n }))),
      ]);
      expect((await theRun(tx, id)).version).toBe(17);
      expect(await tx.listAnnotations(id)).toHaveLength(15);
    });

    expect((await theRun(b, id)).version).toBe(17);
    const events = await b.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => event.sequence)).toEqual(numbers);
    expect(await b.persistence.listArtifacts(id)).toHaveLength(3);
  });
}
