import { expect } from "vitest";
import type { UpdateStageInput } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import {
  aStage,
  expectCode,
  expectStale,
  forced,
  INSTANT,
  nap,
  seedRun,
  seedStage,
  shifted,
  theStage,
} from "./support.ts";

/** Every field that an update can change. */
const FULL_UPDATE = {
  status: "SUSPENDED",
  startedAt: INSTANT,
  completedAt: shifted(INSTANT, 1),
  duration: 1_234,
  outputData: { pages: 3 },
  config: { model: "large" },
  suspendedState: { batch: "b-1" },
  resumeData: [1, 2],
  nextPollAt: shifted(INSTANT, 2),
  pollInterval: 30_000,
  maxWaitUntil: shifted(INSTANT, 3),
  metrics: { ms: 12.5 },
  embeddingInfo: { dimensions: 3 },
  errorMessage: "once failed",
} as const satisfies UpdateStageInput;

/** createStage, updateStage, updateStageByRunAndStageId, getStage, getStageById. */
export function stages(test: Test): void {
  test("createStage fills in every default", async ({ a }) => {
    const run = await seedRun(a);

    const stage = await a.persistence.createStage(aStage(run.id));

    expect(stage).toEqual({
      id: stage.id,
      createdAt: stage.createdAt,
      updatedAt: stage.createdAt,
      version: 1,
      workflowRunId: run.id,
      stageId: "extract",
      stageName: "Extract",
      stageNumber: 1,
      executionGroup: 1,
      attempt: 0,
      status: "PENDING",
      startedAt: null,
      completedAt: null,
      duration: null,
      inputData: null,
      outputData: null,
      config: null,
      suspendedState: null,
      resumeData: null,
      nextPollAt: null,
      pollInterval: null,
      maxWaitUntil: null,
      metrics: null,
      embeddingInfo: null,
      errorMessage: null,
    });
    expect(stage.createdAt).toBeInstanceOf(Date);
  });

  test("createStage stores what it is given", async ({ a }) => {
    const run = await seedRun(a);
    const given = {
      stageId: "review",
      stageName: "Review by a person",
      stageNumber: 7,
      executionGroup: 3,
      attempt: 2,
      status: "RUNNING",
      startedAt: INSTANT,
      config: { strict: true },
      inputData: ["page"],
    } as const;

    const stage = await seedStage(a, run.id, forced(given));

    expect(stage).toMatchObject({ workflowRunId: run.id, version: 1, ...given });
  });

  test("a stage's record id is its own, apart from its stage id", async ({ a }) => {
    const one = await seedStage(a, (await seedRun(a)).id);
    const two = await seedStage(a, (await seedRun(a)).id);

    expect(one.id).not.toBe("extract");
    expect(one.id).not.toBe(two.id);
    expect(await a.persistence.getStageById("extract")).toBeNull();
  });

  test("createStage refuses a stage id that the run has already", async ({ a, b }) => {
    const run = await seedRun(a);
    const first = await seedStage(a, run.id, { stageName: "first" });

    await expectCode(seedStage(b, run.id, { stageName: "second" }), "ALREADY_EXISTS");

    expect(await b.persistence.getStagesByRun(run.id)).toEqual([first]);
  });

  test("createStage refuses a run that does not exist", async ({ a }) => {
    await expectCode(seedStage(a, "nobody"), "NOT_FOUND");

    expect(await a.persistence.getStagesByRun("nobody")).toEqual([]);
  });

  test("getStage and getStageById return the same record on every connection", async ({ a, b }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id, { config: { strict: true } });

    expect(await a.persistence.getStage(run.id, "extract")).toEqual(stage);
    expect(await b.persistence.getStage(run.id, "extract")).toEqual(stage);
    expect(await b.persistence.getStageById(stage.id)).toEqual(stage);
  });

  test("getStage and getStageById return null for a stage that does not exist", async ({ a }) => {
    const run = await seedRun(a);
    await seedStage(a, run.id);

    expect(await a.persistence.getStage(run.id, "review")).toBeNull();
    expect(await a.persistence.getStage("nobody", "extract")).toBeNull();
    expect(await a.persistence.getStageById("nobody")).toBeNull();
  });

  test("updateStage stores every field that it can change", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id, { inputData: { pages: 3 } });

    expect(await a.persistence.updateStage(stage.id, FULL_UPDATE)).toBeUndefined();

    const updated = await theStage(a, stage.id);
    expect(updated).toEqual({
      ...stage,
      ...FULL_UPDATE,
      version: 2,
      updatedAt: updated.updatedAt,
    });
  });

  test("updateStageByRunAndStageId does what updateStage does", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    await a.persistence.updateStageByRunAndStageId(run.id, "extract", FULL_UPDATE);

    const updated = await theStage(a, stage.id);
    expect(updated).toEqual({
      ...stage,
      ...FULL_UPDATE,
      version: 2,
      updatedAt: updated.updatedAt,
    });
  });

  test("updateStage leaves absent and undefined fields alone", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    await a.persistence.updateStage(stage.id, FULL_UPDATE);

    const nothing = Object.fromEntries(Object.keys(FULL_UPDATE).map((key) => [key, undefined]));
    await a.persistence.updateStage(stage.id, forced({ ...nothing, expectedVersion: undefined }));

    expect(await theStage(a, stage.id)).toMatchObject({ ...FULL_UPDATE, version: 3 });
  });

  test("updateStage clears with null whatever may be absent", async ({ a, b }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    const none: UpdateStageInput = {
      startedAt: null,
      completedAt: null,
      duration: null,
      outputData: null,
      config: null,
      suspendedState: null,
      resumeData: null,
      nextPollAt: null,
      pollInterval: null,
      maxWaitUntil: null,
      metrics: null,
      embeddingInfo: null,
      errorMessage: null,
    };
    await a.persistence.updateStage(stage.id, FULL_UPDATE);
    await a.persistence.updateStage(stage.id, none);
    expect(await theStage(b, stage.id)).toMatchObject({ ...none, status: "SUSPENDED", version: 3 });

    await a.persistence.updateStage(stage.id, FULL_UPDATE);
    await a.persistence.upsertStage({
      workflowRunId: run.id,
      stageId: stage.stageId,
      create: aStage(run.id),
      update: { status: "COMPLETED", ...none },
    });
    expect(await theStage(b, stage.id)).toMatchObject({ ...none, status: "COMPLETED" });
  });

  test("null is no status", async ({ a }) => {
    const stage = await seedStage(a, (await seedRun(a)).id);
    const update = a.persistence.updateStage(stage.id, forced({ status: null }));

    await expectCode(update, "INVALID_ARGUMENT");
  });

  test("updateStage ignores what has no storage or cannot be updated", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    await a.persistence.updateStage(
      stage.id,
      forced({ artifacts: { a: 1 }, stageId: "x", stageNumber: 9, attempt: 9, extra: 1 }),
    );

    const updated = await theStage(a, stage.id);
    expect(updated).toEqual({ ...stage, version: 2, updatedAt: updated.updatedAt });
  });

  test("updateStage with nothing to change still bumps version and updatedAt", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    await nap();

    await a.persistence.updateStage(stage.id, {});
    await a.persistence.updateStageByRunAndStageId(run.id, "extract", {});

    const updated = await theStage(a, stage.id);
    expect(updated.version).toBe(3);
    expect(updated.updatedAt.getTime()).toBeGreaterThan(stage.updatedAt.getTime());
  });

  test("a stage that failed and then completes keeps its old error message", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    await a.persistence.updateStage(id, { status: "FAILED", errorMessage: "timed out" });

    await a.persistence.updateStage(id, { status: "COMPLETED", outputData: 1 });

    expect(await theStage(a, id)).toMatchObject({
      status: "COMPLETED",
      errorMessage: "timed out",
    });
  });

  test("updateStage applies only to the expected version", async ({ a, b }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    await a.persistence.updateStage(id, { expectedVersion: 1, status: "RUNNING" });
    const before = await theStage(a, id);

    await expectStale(b.persistence.updateStage(id, { expectedVersion: 1, status: "FAILED" }), {
      entity: "WorkflowStage",
      id,
      expected: 1,
      actual: 2,
    });

    expect(await theStage(a, id)).toEqual(before);
    await b.persistence.updateStage(id, { expectedVersion: 2, status: "COMPLETED" });
    expect(await theStage(a, id)).toMatchObject({ version: 3, status: "COMPLETED" });
  });

  test("updateStageByRunAndStageId on a stale version names the record's id", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    const stale = { expectedVersion: 5, status: "FAILED" } as const;

    await expectStale(a.persistence.updateStageByRunAndStageId(run.id, "extract", stale), {
      entity: "WorkflowStage",
      id,
      expected: 5,
      actual: 1,
    });

    expect(await theStage(a, id)).toMatchObject({ version: 1, status: "PENDING" });
  });

  test("updating a missing stage says that it was not found", async ({ a }) => {
    const run = await seedRun(a);

    const byId = await expectCode(a.persistence.updateStage("nobody", {}), "NOT_FOUND");
    const byKey = await expectCode(
      a.persistence.updateStageByRunAndStageId(run.id, "extract", {}),
      "NOT_FOUND",
    );

    expect(byId.message).toMatch(/not found/i);
    expect(byKey.message).toMatch(/not found/i);
    expect(await a.persistence.getStagesByRun(run.id)).toEqual([]);
  });

  test("updating a missing stage with an expected version is stale at -1", async ({ a }) => {
    const run = await seedRun(a, { id: "run-1" });
    const update = { expectedVersion: 2 };

    await expectStale(a.persistence.updateStage("nobody", update), {
      entity: "WorkflowStage",
      id: "nobody",
      expected: 2,
      actual: -1,
    });
    await expectStale(a.persistence.updateStageByRunAndStageId(run.id, "extract", update), {
      entity: "WorkflowStage",
      id: "run-1/extract",
      expected: 2,
      actual: -1,
    });
  });

  test("updating a stage leaves its siblings and its namesakes alone", async ({ a }) => {
    const run = await seedRun(a);
    const { id } = await seedStage(a, run.id);
    const sibling = await seedStage(a, run.id, { stageId: "review" });
    const namesake = await seedStage(a, (await seedRun(a)).id);

    await a.persistence.updateStage(id, { status: "RUNNING" });
    await a.persistence.updateStageByRunAndStageId(run.id, "extract", { status: "FAILED" });

    expect(await theStage(a, sibling.id)).toEqual(sibling);
    expect(await theStage(a, namesake.id)).toEqual(namesake);
  });
}
