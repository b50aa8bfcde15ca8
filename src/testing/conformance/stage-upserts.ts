import { expect } from "vitest";
import type { UpdateStageInput, UpsertStageInput } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import {
  anAnnotation,
  anArtifact,
  aLog,
  aStage,
  at,
  expectCode,
  INSTANT,
  seedRun,
  seedStage,
  theStage,
} from "./support.ts";

function anUpsert(
  workflowRunId: string,
  create: Parameters<typeof aStage>[1] = {},
  update: UpdateStageInput = {},
): UpsertStageInput {
  return { workflowRunId, stageId: "extract", create: aStage(workflowRunId, create), update };
}

/** upsertStage, deleteStage. */
export function stageUpserts(test: Test): void {
  test("upsertStage inserts a pending stage that has not started", async ({ a, b }) => {
    const run = await seedRun(a);

    const stage = await a.persistence.upsertStage(anUpsert(run.id));

    expect(stage).toMatchObject({
      workflowRunId: run.id,
      stageId: "extract",
      stageName: "Extract",
      status: "PENDING",
      startedAt: null,
      attempt: 0,
      version: 1,
    });
    expect(await b.persistence.getStage(run.id, "extract")).toEqual(stage);
  });

  test("upsertStage inserts with what create says and ignores update", async ({ a }) => {
    const run = await seedRun(a);
    const create = {
      status: "RUNNING",
      startedAt: INSTANT,
      attempt: 3,
      config: 1,
      inputData: 2,
    } as const;
    const update = { status: "FAILED", errorMessage: "no", expectedVersion: 7 } as const;

    const stage = await a.persistence.upsertStage(anUpsert(run.id, create, update));

    expect(stage).toMatchObject({ ...create, errorMessage: null, version: 1 });
  });

  test("upsertStage updates a stage that exists and ignores create", async ({ a, b }) => {
    const run = await seedRun(a);
    const before = await seedStage(a, run.id);
    const create = { stageName: "Renamed", stageNumber: 9, attempt: 9, config: "ignored" };
    const update = { status: "RUNNING", startedAt: INSTANT, suspendedState: { at: 1 } } as const;

    const stage = await b.persistence.upsertStage(anUpsert(run.id, create, update));

    expect(stage).toEqual({ ...before, ...update, version: 2, updatedAt: stage.updatedAt });
    expect(await theStage(a, before.id)).toEqual(stage);
  });

  test("upsertStage with an empty update keeps the status and bumps the version", async ({ a }) => {
    const run = await seedRun(a);
    await seedStage(a, run.id, { status: "COMPLETED" });

    const stage = await a.persistence.upsertStage(anUpsert(run.id, { status: "PENDING" }));

    expect(stage).toMatchObject({ status: "COMPLETED", version: 2 });
  });

  test("upsertStage leaves undefined fields and clears null ones", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    await a.persistence.updateStage(id, {
      nextPollAt: INSTANT,
      suspendedState: 1,
      outputData: { pages: 1 },
    });

    const update = { nextPollAt: null, suspendedState: undefined, outputData: null };
    const stage = await a.persistence.upsertStage(anUpsert(run.id, {}, update));

    expect(stage).toMatchObject({ nextPollAt: null, suspendedState: 1, outputData: null });
  });

  test("upsertStage ignores an expected version", async ({ a }) => {
    const run = await seedRun(a);
    await seedStage(a, run.id);

    const update = { expectedVersion: 99, status: "RUNNING" } as const;
    const stage = await a.persistence.upsertStage(anUpsert(run.id, {}, update));

    expect(stage).toMatchObject({ status: "RUNNING", version: 2 });
    expect(stage).not.toHaveProperty("expectedVersion");
  });

  test("upsertStage refuses a run that does not exist", async ({ a }) => {
    await expectCode(a.persistence.upsertStage(anUpsert("nobody")), "NOT_FOUND");

    expect(await a.persistence.getStage("nobody", "extract")).toBeNull();
  });

  test("deleteStage removes one stage and no other", async ({ a, b }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    const sibling = await seedStage(a, run.id, { stageId: "review" });

    expect(await a.persistence.deleteStage(id)).toBeUndefined();

    expect(await b.persistence.getStageById(id)).toBeNull();
    expect(await b.persistence.getStage(run.id, "extract")).toBeNull();
    expect(await b.persistence.getStagesByRun(run.id)).toEqual([sibling]);
  });

  test("deleteStage says that a missing stage was not found", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    await a.persistence.deleteStage(id);

    await expectCode(a.persistence.deleteStage(id), "NOT_FOUND");
    await expectCode(a.persistence.deleteStage("nobody"), "NOT_FOUND");
  });

  test("deleteStage keeps annotations, without their stage", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    const sibling = await seedStage(a, run.id, { stageId: "review" });
    await a.persistence.appendAnnotations([
      anAnnotation(run.id, { key: "of.extract", workflowStageRecordId: id }),
      anAnnotation(run.id, { key: "of.review", workflowStageRecordId: sibling.id }),
    ]);
    const before = await a.persistence.listAnnotations(run.id);

    await a.persistence.deleteStage(id);

    expect(before.map((row) => row.workflowStageRecordId)).toEqual([id, sibling.id]);
    expect(await a.persistence.listAnnotations(run.id)).toEqual([
      { ...at(before, 0), workflowStageRecordId: null },
      at(before, 1),
    ]);
  });

  test("deleteStage keeps artifacts, without their stage", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    const sibling = await seedStage(a, run.id, { stageId: "review" });
    const { persistence } = a;
    await persistence.saveArtifact(anArtifact(run.id, { key: "a", workflowStageId: id }));
    await persistence.saveArtifact(anArtifact(run.id, { key: "b", workflowStageId: sibling.id }));

    await persistence.deleteStage(id);

    expect(await persistence.loadArtifact(run.id, "a")).toEqual({ pages: 1 });
    expect(await persistence.listArtifacts(run.id)).toMatchObject([
      { key: "a", workflowStageId: null },
      { key: "b", workflowStageId: sibling.id },
    ]);
  });

  test("deleteStage takes a stage that has logs", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    await a.persistence.createLog(aLog({ workflowRunId: run.id, workflowStageId: id }));

    await a.persistence.deleteStage(id);

    const late = aLog({ workflowRunId: run.id, workflowStageId: id });
    await expectCode(a.persistence.createLog(late), "NOT_FOUND");
  });

  test("a stage id can be created again under a new record id", async ({ a, b }) => {
    const run = await seedRun(a);
    const first = await seedStage(a, run.id);
    await a.persistence.updateStage(first.id, { status: "FAILED", errorMessage: "no" });
    await a.persistence.deleteStage(first.id);

    const second = await seedStage(b, run.id, { attempt: 1 });

    expect(second.id).not.toBe(first.id);
    expect(second).toMatchObject({ attempt: 1, version: 1, status: "PENDING", errorMessage: null });
    expect(await a.persistence.getStage(run.id, "extract")).toEqual(second);
    expect(await a.persistence.getStageById(first.id)).toBeNull();
  });

  test("upsertStage inserts again after a delete", async ({ a }) => {
    const run = await seedRun(a);
    const first = await seedStage(a, run.id, { status: "COMPLETED" });
    await a.persistence.deleteStage(first.id);

    const second = await a.persistence.upsertStage(anUpsert(run.id, {}, { status: "FAILED" }));

    expect(second.id).not.toBe(first.id);
    expect(second).toMatchObject({ status: "PENDING", version: 1 });
  });
}
