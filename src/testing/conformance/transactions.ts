import { expect } from "vitest";
import type { WorkflowPersistence } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import {
  aLog,
  anAICall,
  anAnnotation,
  anArtifact,
  aRun,
  aStage,
  at,
  eventsOf,
  expectCode,
  keysOfAnnotations,
  rejection,
  seedEvents,
  seedRun,
  seedStage,
  theRun,
  theStage,
} from "./support.ts";

/** Writes a row of every kind for the run "run-1" and makes the idempotency key "key". */
async function writeEverything(tx: WorkflowPersistence): Promise<void> {
  await tx.createRun(aRun({ id: "run-1" }));
  const stage = await tx.createStage(aStage("run-1"));
  await tx.createLog(aLog({ workflowRunId: "run-1", workflowStageId: stage.id }));
  await tx.saveArtifact(anArtifact("run-1", { workflowStageId: stage.id }));
  await tx.appendAnnotations([anAnnotation("run-1", { workflowStageRecordId: stage.id })]);
  await tx.appendOutboxEvents(eventsOf("run-1", "a", "b"));
  await tx.completeIdempotencyKey("key", "run.create", "result");
}

/** What somebody else sees of {@link writeEverything}; all of it is false or all of it is true. */
async function seenOf(persistence: WorkflowPersistence): Promise<boolean[]> {
  return [
    (await persistence.getRun("run-1")) !== null,
    (await persistence.getStage("run-1", "extract")) !== null,
    await persistence.hasArtifact("run-1", "report.json"),
    (await persistence.listAnnotations("run-1")).length === 1,
    (await persistence.getUnpublishedOutboxEvents()).length === 2,
  ];
}

const NOTHING_SEEN = [false, false, false, false, false];
const ALL_SEEN = [true, true, true, true, true];

/** Commit, rollback, nesting, the end of a transaction. */
export function transactions(test: Test): void {
  test("a transaction returns what its callback returns", async ({ a }) => {
    const result = { any: "value" };

    expect(await a.persistence.withTransaction(async () => result)).toBe(result);
    expect(await a.persistence.withTransaction(async () => undefined)).toBeUndefined();
  });

  test("a transaction commits everything it wrote", async ({ a, b }) => {
    await a.persistence.withTransaction(writeEverything);

    expect(await seenOf(b.persistence)).toEqual(ALL_SEEN);
    const replay = await b.persistence.acquireIdempotencyKey("key", "run.create");
    expect(replay).toEqual({ status: "replay", result: "result" });
  });

  test("nobody else sees what a transaction has not committed", async ({ a, b }) => {
    await a.persistence.withTransaction(async (tx) => {
      await writeEverything(tx);
      expect(await seenOf(b.persistence)).toEqual(NOTHING_SEEN);
      expect(await seenOf(tx)).toEqual(ALL_SEEN);
    });

    expect(await seenOf(b.persistence)).toEqual(ALL_SEEN);
  });

  test("a transaction whose callback throws writes nothing", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async (tx) => {
        await writeEverything(tx);
        throw new Error("no");
      }),
    );

    expect(await seenOf(b.persistence)).toEqual(NOTHING_SEEN);
    const acquired = await b.persistence.acquireIdempotencyKey("key", "run.create");
    expect(acquired).toEqual({ status: "acquired" });
  });

  test("a transaction rethrows the very object that its callback threw", async ({ a }) => {
    class PrivateError extends Error {
      readonly #secret = 42;
      reveal(): number {
        return this.#secret;
      }
    }
    const thrown = [new PrivateError("no"), Object.freeze(new Error("frozen")), "text", { x: 1 }];

    for (const object of thrown) {
      const caught = await rejection(
        a.persistence.withTransaction(async (tx) => {
          await tx.createRun(aRun());
          throw object;
        }),
      );
      expect(caught).toBe(object);
    }
    expect(await a.persistence.getRunsByStatus("PENDING")).toEqual([]);
  });

  test("a callback that throws before it returns a promise is rethrown too", async ({ a }) => {
    const error = new Error("at once");

    const caught = await rejection(
      a.persistence.withTransaction(() => {
        throw error;
      }),
    );

    expect(caught).toBe(error);
  });

  test("a rollback restores every kind of row that was changed or removed", async ({ a, b }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    const sibling = await seedStage(a, run.id, { stageId: "review" });
    await a.persistence.saveArtifact(anArtifact(run.id, { workflowStageId: stage.id }));
    const events = await seedEvents(a, run.id, "a", "b", "c");
    await a.persistence.moveOutboxEventToDLQ(at(events, 2).id);
    await a.persistence.acquireIdempotencyKey("key", "run.create");
    const artifacts = await a.persistence.listArtifacts(run.id);

    await rejection(
      a.persistence.withTransaction(async (tx) => {
        expect(await tx.claimPendingRun(run.id)).toBe(true);
        await tx.updateStage(sibling.id, { status: "RUNNING" });
        await tx.deleteStage(stage.id);
        await tx.deleteArtifact(run.id, "report.json");
        await tx.markOutboxEventsPublished([at(events, 0).id]);
        await tx.incrementOutboxRetryCount(at(events, 1).id);
        expect(await tx.replayDLQEvents(5)).toBe(1);
        await tx.releaseIdempotencyKey("key", "run.create");
        throw new Error("no");
      }),
    );

    expect(await theRun(b, run.id)).toEqual(run);
    expect(await b.persistence.getStagesByRun(run.id)).toEqual([stage, sibling]);
    expect(await b.persistence.listArtifacts(run.id)).toEqual(artifacts);
    expect(await b.persistence.getUnpublishedOutboxEvents()).toEqual(events.slice(0, 2));
    expect(await b.persistence.replayDLQEvents(5)).toBe(1);
    const acquired = await b.persistence.acquireIdempotencyKey("key", "run.create");
    expect(acquired).toEqual({ status: "in_progress" });
  });

  test("a nested transaction joins the one around it", async ({ a, b }) => {
    const { id } = await seedRun(a);

    const result = await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(id, { totalTokens: 1 });
      const viaTx = await tx.withTransaction(async (inner) => {
        expect((await theRun(inner, id)).totalTokens).toBe(1);
        await inner.updateRun(id, { totalTokens: 2 });
        return "tx";
      });
      const viaConnection = await a.persistence.withTransaction(async (inner) => {
        expect((await theRun(inner, id)).totalTokens).toBe(2);
        await inner.updateRun(id, { totalTokens: 3 });
        return "connection";
      });
      expect((await theRun(tx, id)).totalTokens).toBe(3);
      expect((await theRun(b, id)).totalTokens).toBe(0);
      return [viaTx, viaConnection];
    });

    expect(result).toEqual(["tx", "connection"]);
    expect(await theRun(b, id)).toMatchObject({ totalTokens: 3, version: 4 });
  });

  test("what a nested transaction wrote is undone with the one around it", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.withTransaction((inner) => inner.createRun(aRun({ id: "by-tx" })));
        await a.persistence.withTransaction((inner) => inner.createRun(aRun({ id: "by-a" })));
        throw new Error("no");
      }),
    );

    expect(await b.persistence.getRunsByStatus("PENDING")).toEqual([]);
  });

  test("what a nested callback throws arrives unchanged", async ({ a, b }) => {
    const error = new Error("no");

    const caught = await rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.createRun(aRun());
        await tx.withTransaction(() => Promise.reject(error));
      }),
    );

    expect(caught).toBe(error);
    expect(await b.persistence.getRunsByStatus("PENDING")).toEqual([]);
  });

  test("two transactions of one connection at once stay apart", async ({ a, b }) => {
    const one = await seedRun(a);
    const two = await seedRun(a);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });

    const failing = rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.updateRun(one.id, { totalTokens: 1 });
        await opened;
        throw new Error("no");
      }),
    );
    await a.persistence.withTransaction(async (tx) => {
      expect((await theRun(tx, one.id)).totalTokens).toBe(0);
      await tx.updateRun(two.id, { totalTokens: 2 });
    });
    open();
    await failing;

    expect((await theRun(b, one.id)).totalTokens).toBe(0);
    expect((await theRun(b, two.id)).totalTokens).toBe(2);
  });

  test("a handle that outlives its transaction is refused", async ({ a }) => {
    const { id } = await seedRun(a);
    const handles: WorkflowPersistence[] = [];
    await a.persistence.withTransaction(async (tx) => {
      handles.push(tx);
      await tx.updateRun(id, { totalTokens: 1 });
    });
    await rejection(
      a.persistence.withTransaction(async (tx) => {
        handles.push(tx);
        throw new Error("no");
      }),
    );

    for (const tx of handles) {
      await expectCode(tx.getRun(id), "INVALID_ARGUMENT");
      await expectCode(tx.updateRun(id, { totalTokens: 9 }), "INVALID_ARGUMENT");
      await expectCode(tx.createRun(aRun()), "INVALID_ARGUMENT");
      await expectCode(
        tx.withTransaction(async () => 1),
        "INVALID_ARGUMENT",
      );
    }
    expect(handles).toHaveLength(2);
    expect(await theRun(a, id)).toMatchObject({ totalTokens: 1, version: 2 });
  });

  test("the handle of a discarded run is refused too", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const handles: WorkflowPersistence[] = [];
    await a.persistence.withTransaction(async (tx) => {
      handles.push(tx);
      await tx.getRun(id);
      if (handles.length === 1) await b.persistence.updateRun(id, {});
      await tx.updateRun(id, { totalTokens: 1 });
    });

    expect(handles).toHaveLength(2);
    for (const tx of handles) {
      await expectCode(tx.updateRun(id, { totalTokens: 9 }), "INVALID_ARGUMENT");
    }
  });

  test("AI calls are never part of a transaction", async ({ a, b }) => {
    await rejection(
      a.persistence.withTransaction(async () => {
        await a.aiCalls.logBatchResults("batch-1", [anAICall()]);
        expect(await b.aiCalls.isRecorded("batch-1")).toBe(true);
        throw new Error("no");
      }),
    );

    expect(await b.aiCalls.getStats("")).toMatchObject({ totalCalls: 1 });
  });

  test("an update that lands in the middle of a transaction is not lost", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const stage = await seedStage(a, id);

    await a.persistence.withTransaction(async (tx) => {
      await tx.updateStage(stage.id, { status: "RUNNING" });
      if ((await theStage(b, stage.id)).errorMessage === null) {
        await b.persistence.updateStage(stage.id, { errorMessage: "from b" });
      }
    });

    expect(await theStage(a, stage.id)).toMatchObject({
      status: "RUNNING",
      errorMessage: "from b",
      version: 3,
    });
  });

  test("a transaction that does nothing commits", async ({ a }) => {
    expect(await a.persistence.withTransaction(async (tx) => tx.getRun("nobody"))).toBeNull();
    const nothing = await a.persistence.withTransaction(async (tx) => {
      await tx.appendAnnotations([]);
      await tx.appendOutboxEvents([]);
      await tx.markOutboxEventsPublished([]);
      return keysOfAnnotations(tx, "nobody");
    });

    expect(nothing).toEqual([]);
  });
}
