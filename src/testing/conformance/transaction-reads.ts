import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  AN_HOUR_MS,
  anAnnotation,
  anArtifact,
  aRun,
  aStage,
  eventsOf,
  fromNow,
  INSTANT,
  nap,
  present,
  seedRun,
  seedRunningRun,
  seedStage,
  theRun,
  theStage,
  upTo,
} from "./support.ts";

/** Inside the callback, the reads of runs and stages show what was written so far. */
export function transactionReads(test: Test): void {
  test("in a transaction: createRun shows in every read of runs", async ({ a, b }) => {
    const run = await a.persistence.withTransaction(async (tx) => {
      const created = await tx.createRun(aRun({ id: "run-1", metadata: { tenant: "acme" } }));
      expect(created).toMatchObject({ id: "run-1", version: 1, status: "PENDING" });
      expect(await tx.getRun("run-1")).toEqual(created);
      expect(await tx.getRunStatus("run-1")).toBe("PENDING");
      expect(await tx.getRunsByStatus("PENDING")).toEqual([created]);
      return created;
    });

    expect(await theRun(b, "run-1")).toEqual(run);
  });

  test("in a transaction: updateRun shows in every read of runs", async ({ a, b }) => {
    const { id } = await seedRun(a);
    await seedRun(a, { id: "other" });

    const updated = await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(id, { status: "FAILED", output: { why: "no" } });
      const run = await theRun(tx, id);
      expect(run).toMatchObject({ status: "FAILED", output: { why: "no" }, version: 2 });
      expect(await tx.getRunStatus(id)).toBe("FAILED");
      expect(await tx.getRunsByStatus("FAILED")).toEqual([run]);
      expect((await tx.getRunsByStatus("PENDING")).map((other) => other.id)).toEqual(["other"]);
      return run;
    });

    expect(await theRun(b, id)).toEqual(updated);
  });

  test("in a transaction: claims show, and no run is claimed twice", async ({ a, b }) => {
    await seedRun(a, { id: "low", priority: 1 });
    await seedRun(a, { id: "by-id", priority: 9 });
    await seedRun(a, { id: "high", priority: 8 });

    await a.persistence.withTransaction(async (tx) => {
      await tx.createRun(aRun({ id: "own", priority: 5 }));
      expect(await tx.claimPendingRun("by-id")).toBe(true);
      expect(await tx.claimPendingRun("by-id")).toBe(false);
      expect(await tx.claimPendingRun("nobody")).toBe(false);
      for (const id of ["high", "own", "low"]) {
        const claimed = present(await tx.claimNextPendingRun());
        expect(claimed).toMatchObject({ id, status: "RUNNING", version: 2 });
        expect(claimed.startedAt).toBeInstanceOf(Date);
        expect(await tx.getRun(id)).toEqual(claimed);
      }
      expect(await tx.claimNextPendingRun()).toBeNull();
      expect(await tx.getRunsByStatus("PENDING")).toEqual([]);
    });

    const running = (await b.persistence.getRunsByStatus("RUNNING")).map((run) => run.id);
    expect(running).toEqual(["low", "by-id", "high", "own"]);
  });

  test("in a transaction: one run after another is claimed until none is left", async ({
    a,
    b,
  }) => {
    const ids = upTo(30).map((n) => `run-${n}`);
    await a.persistence.withTransaction(async (tx) => {
      for (const id of ids) await tx.createRun(aRun({ id }));
    });

    const claimed = await a.persistence.withTransaction(async (tx) => {
      const runs: string[] = [];
      while (runs.length <= ids.length) {
        const run = await tx.claimNextPendingRun();
        if (run === null) break;
        runs.push(run.id);
      }
      return runs;
    });

    expect(claimed).toEqual(ids);
    expect(await b.persistence.claimNextPendingRun()).toBeNull();
  });

  test("in a transaction: claims that are undone leave the runs to others", async ({ a, b }) => {
    await seedRun(a, { id: "run-1" });
    const gaveUp = a.persistence.withTransaction(async (tx) => {
      await tx.claimNextPendingRun();
      throw new Error("no");
    });
    await gaveUp.catch(() => undefined);

    expect(await b.persistence.claimNextPendingRun()).toMatchObject({ id: "run-1", version: 2 });
  });

  test("in a transaction: getStuckRuns knows what was written", async ({ a }) => {
    const old = await seedRunningRun(a, { id: "old" });
    const ended = await seedRunningRun(a, { id: "ended" });
    const waits = await seedRunningRun(a, { id: "waits" });
    await nap();

    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(ended.id, { status: "FAILED" });
      const stage = await tx.createStage(aStage(waits.id, { status: "SUSPENDED" }));
      await tx.updateStage(stage.id, { nextPollAt: fromNow(AN_HOUR_MS) });
      await tx.createRun(aRun({ id: "own" }));
      await tx.claimPendingRun("own");
      const idsOf = async (since: Date) => (await tx.getStuckRuns(since)).map((run) => run.id);
      expect(await idsOf(fromNow(AN_HOUR_MS))).toEqual(["old", "own"]);
      expect(await idsOf(waits.updatedAt)).toEqual(["old"]);
      await tx.updateRun(old.id, {});
      expect(await idsOf(waits.updatedAt)).toEqual([]);
    });
  });

  test("in a transaction: createStage shows in every read of stages", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const early = await seedStage(a, id, { stageId: "early", executionGroup: 0 });

    const stage = await a.persistence.withTransaction(async (tx) => {
      const created = await tx.createStage(aStage(id, { config: { strict: true } }));
      expect(created).toMatchObject({ version: 1, status: "PENDING", attempt: 0 });
      expect(await tx.getStage(id, "extract")).toEqual(created);
      expect(await tx.getStageById(created.id)).toEqual(created);
      expect(await tx.getStagesByRun(id)).toEqual([early, created]);
      expect(await tx.getStagesByRun(id, { orderBy: "desc" })).toEqual([created, early]);
      expect(await tx.getStageIdForArtifact(id, "extract")).toBe(created.id);
      return created;
    });

    expect(await theStage(b, stage.id)).toEqual(stage);
  });

  test("in a transaction: a new run takes stages and all that goes with them", async ({ a, b }) => {
    const stage = await a.persistence.withTransaction(async (tx) => {
      const run = await tx.createRun(aRun({ id: "run-1" }));
      const create = aStage(run.id, { status: "RUNNING", startedAt: INSTANT });
      const upsert = { workflowRunId: run.id, stageId: "extract", create, update: {} };
      const inserted = await tx.upsertStage(upsert);
      expect(inserted).toMatchObject({ status: "RUNNING", startedAt: INSTANT, version: 1 });
      const updated = await tx.upsertStage(upsert);
      expect(updated).toMatchObject({ id: inserted.id, status: "RUNNING", version: 2 });
      const key = await tx.saveStageOutput(run.id, "invoices", "extract", [1]);
      expect(await tx.listArtifacts(run.id)).toMatchObject([
        { key, workflowStageId: inserted.id, size: 3, data: [1] },
      ]);
      await tx.appendAnnotations([anAnnotation(run.id, { workflowStageRecordId: inserted.id })]);
      await tx.createLog({ level: "INFO", message: "ok", workflowStageId: inserted.id });
      await tx.appendOutboxEvents(eventsOf(run.id, "created"));
      return updated;
    });

    expect(await b.persistence.getStage("run-1", "extract")).toEqual(stage);
    expect(await b.persistence.listArtifacts("run-1")).toHaveLength(1);
    expect(await b.persistence.listAnnotations("run-1")).toMatchObject([
      { workflowStageRecordId: stage.id },
    ]);
    expect(await b.persistence.getUnpublishedOutboxEvents()).toMatchObject([{ sequence: 1 }]);
  });

  test("in a transaction: updates show in every query of stages", async ({ a, b }) => {
    const { id } = await seedRun(a);
    for (const [index, stageId] of ["one", "two", "three", "four"].entries()) {
      await seedStage(a, id, { stageId, executionGroup: index + 1 });
    }

    await a.persistence.withTransaction(async (tx) => {
      const { id: one } = present(await tx.getStage(id, "one"));
      await tx.updateStage(one, { status: "COMPLETED", outputData: 1 });
      await tx.updateStageByRunAndStageId(id, "two", { status: "SUSPENDED", nextPollAt: INSTANT });
      await tx.updateStageByRunAndStageId(id, "three", { status: "FAILED", errorMessage: "no" });
      expect(await tx.getLastCompletedStage(id)).toMatchObject({ stageId: "one", version: 2 });
      expect(await tx.getLastCompletedStageBefore(id, 2)).toMatchObject({ stageId: "one" });
      expect(await tx.getLastCompletedStageBefore(id, 1)).toBeNull();
      expect(await tx.getFirstFailedStage(id)).toMatchObject({ errorMessage: "no" });
      expect(await tx.getSuspendedStages(INSTANT)).toMatchObject([{ stageId: "two" }]);
      expect(await tx.getFirstSuspendedStageReadyToResume(id)).toBeNull();
      await tx.updateStageByRunAndStageId(id, "two", { nextPollAt: null });
      expect(await tx.getSuspendedStages(INSTANT)).toEqual([]);
      const ready = await tx.getFirstSuspendedStageReadyToResume(id);
      expect(ready).toMatchObject({ stageId: "two", version: 3 });
      expect(await tx.getStagesByRun(id, { status: "PENDING" })).toMatchObject([
        { stageId: "four" },
      ]);
    });

    const stored = await b.persistence.getStagesByRun(id);
    expect(stored.map((stage) => stage.version)).toEqual([2, 3, 2, 1]);
  });

  test("in a transaction: a deleted stage is gone and can be created again", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const old = await seedStage(a, id, { status: "FAILED" });
    await a.persistence.saveArtifact(anArtifact(id, { workflowStageId: old.id }));
    await a.persistence.appendAnnotations([anAnnotation(id, { workflowStageRecordId: old.id })]);

    const created = await a.persistence.withTransaction(async (tx) => {
      await tx.deleteStage(old.id);
      expect(await tx.getStage(id, "extract")).toBeNull();
      expect(await tx.getStageById(old.id)).toBeNull();
      expect(await tx.getStagesByRun(id)).toEqual([]);
      expect(await tx.getFirstFailedStage(id)).toBeNull();
      expect(await tx.listArtifacts(id)).toMatchObject([{ workflowStageId: null }]);
      expect(await tx.listAnnotations(id)).toMatchObject([{ workflowStageRecordId: null }]);
      const again = await tx.createStage(aStage(id, { attempt: 1 }));
      expect(await tx.getStagesByRun(id)).toEqual([again]);
      return again;
    });

    expect(created.id).not.toBe(old.id);
    expect(await b.persistence.getStage(id, "extract")).toEqual(created);
    expect(await b.persistence.getStageById(old.id)).toBeNull();
    expect(await b.persistence.listArtifacts(id)).toMatchObject([{ workflowStageId: null }]);
    expect(await b.persistence.listAnnotations(id)).toMatchObject([
      { workflowStageRecordId: null },
    ]);
  });

  test("in a transaction: a stage may be created, deleted and created again", async ({ a, b }) => {
    const { id } = await seedRun(a);

    const last = await a.persistence.withTransaction(async (tx) => {
      const first = await tx.createStage(aStage(id, { attempt: 0 }));
      await tx.updateStage(first.id, { status: "FAILED" });
      await tx.deleteStage(first.id);
      const second = await tx.createStage(aStage(id, { attempt: 1 }));
      expect(second.id).not.toBe(first.id);
      return second;
    });

    expect(await b.persistence.getStagesByRun(id)).toEqual([last]);
  });
}
