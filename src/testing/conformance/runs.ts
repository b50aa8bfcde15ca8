import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  aLog,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
  aStage,
  expectCode,
  expectStale,
  forced,
  INSTANT,
  nap,
  rejection,
  seedRun,
  shifted,
  theRun,
} from "./support.ts";

/** createRun, updateRun, getRun, getRunStatus. */
export function runs(test: Test): void {
  test("createRun fills in every default", async ({ a }) => {
    const run = await a.persistence.createRun(aRun({ id: "run-1" }));

    expect(run).toEqual({
      id: "run-1",
      createdAt: run.createdAt,
      updatedAt: run.createdAt,
      version: 1,
      workflowId: "invoices",
      workflowName: "Invoices",
      workflowType: "invoices",
      status: "PENDING",
      startedAt: null,
      completedAt: null,
      duration: null,
      input: { file: "invoice.pdf" },
      output: null,
      config: {},
      totalCost: 0,
      totalTokens: 0,
      priority: 5,
      metadata: null,
    });
    expect(run.createdAt).toBeInstanceOf(Date);
  });

  test("createRun stores what it is given", async ({ a }) => {
    const run = await seedRun(a, {
      workflowId: "letters-2",
      workflowName: "Letters, second edition",
      workflowType: "letters",
      input: [1, 2],
      config: { model: "small" },
      priority: 9,
      metadata: { tenant: "acme" },
    });

    expect(run).toMatchObject({
      workflowId: "letters-2",
      workflowName: "Letters, second edition",
      workflowType: "letters",
      input: [1, 2],
      config: { model: "small" },
      priority: 9,
      metadata: { tenant: "acme" },
    });
  });

  test("createRun makes up a different id each time when none is given", async ({ a }) => {
    const ids = [(await seedRun(a)).id, (await seedRun(a)).id, (await seedRun(a)).id];

    expect(new Set(ids).size).toBe(3);
    expect(ids).not.toContain("");
  });

  test("createRun stamps the present instant", async ({ a }) => {
    const { createdAt } = await seedRun(a);

    expect(Math.abs(createdAt.getTime() - Date.now())).toBeLessThan(60_000);
  });

  test("createRun refuses an id that is taken and keeps the first run", async ({ a, b }) => {
    const first = await seedRun(a, { id: "run-1", input: "first" });

    await expectCode(seedRun(b, { id: "run-1", input: "second" }), "ALREADY_EXISTS");

    expect(await theRun(b, "run-1")).toEqual(first);
  });

  test("createRun keeps metadata as one value, apart from the columns", async ({ a }) => {
    const metadata = { status: "FAILED", priority: 99, version: 7, id: "other" };

    const run = await seedRun(a, { id: "run-1", metadata });

    expect(run).toMatchObject({
      id: "run-1",
      status: "PENDING",
      priority: 5,
      version: 1,
      metadata,
    });
  });

  test("createRun takes a priority of zero at its word", async ({ a }) => {
    expect((await seedRun(a, { priority: 0 })).priority).toBe(0);
  });

  test("getRun returns on every connection what createRun returned", async ({ a, b }) => {
    const run = await seedRun(a, { metadata: { tenant: "acme" } });

    expect(await a.persistence.getRun(run.id)).toEqual(run);
    expect(await b.persistence.getRun(run.id)).toEqual(run);
  });

  test("getRun and getRunStatus return null for a run that does not exist", async ({ a }) => {
    await seedRun(a, { id: "run-1" });

    expect(await a.persistence.getRun("run-2")).toBeNull();
    expect(await a.persistence.getRunStatus("run-2")).toBeNull();
  });

  test("getRunStatus returns the status as it is now", async ({ a, b }) => {
    const { id } = await seedRun(a);
    expect(await b.persistence.getRunStatus(id)).toBe("PENDING");

    await a.persistence.updateRun(id, { status: "CANCELLED" });

    expect(await b.persistence.getRunStatus(id)).toBe("CANCELLED");
  });

  test("updateRun stores every field that it can change", async ({ a }) => {
    const run = await seedRun(a);
    const change = {
      status: "COMPLETED",
      startedAt: INSTANT,
      completedAt: shifted(INSTANT, 1),
      duration: 1_234,
      output: { total: 42 },
      totalCost: 0.125,
      totalTokens: 9_000,
    } as const;

    await a.persistence.updateRun(run.id, change);

    const updated = await theRun(a, run.id);
    expect(updated).toEqual({ ...run, ...change, version: 2, updatedAt: updated.updatedAt });
  });

  test("updateRun returns nothing", async ({ a }) => {
    const { id } = await seedRun(a);

    expect(await a.persistence.updateRun(id, { status: "RUNNING" })).toBeUndefined();
  });

  test("updateRun leaves absent and undefined fields alone", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.updateRun(id, { status: "RUNNING", startedAt: INSTANT, output: 1 });

    await a.persistence.updateRun(
      id,
      forced({
        status: undefined,
        startedAt: undefined,
        completedAt: undefined,
        duration: undefined,
        output: undefined,
        totalCost: undefined,
        totalTokens: undefined,
        expectedVersion: undefined,
      }),
    );

    expect(await theRun(a, id)).toMatchObject({
      status: "RUNNING",
      startedAt: INSTANT,
      output: 1,
      totalCost: 0,
      version: 3,
    });
  });

  test("updateRun clears with null", async ({ a }) => {
    const { id } = await seedRun(a);
    const times = { startedAt: INSTANT, completedAt: INSTANT };
    await a.persistence.updateRun(id, { ...times, duration: 5, output: { total: 1 } });

    const none = { startedAt: null, completedAt: null, duration: null, output: null };
    await a.persistence.updateRun(id, none);

    expect(await theRun(a, id)).toMatchObject(none);
  });

  test("updateRun stores false, zero and the empty string as values", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.updateRun(id, { duration: 5, totalCost: 1, totalTokens: 1 });

    for (const output of [false, 0, ""]) {
      await a.persistence.updateRun(id, { output, duration: 0, totalCost: 0, totalTokens: 0 });
      expect(await theRun(a, id)).toMatchObject({
        output,
        duration: 0,
        totalCost: 0,
        totalTokens: 0,
      });
    }
  });

  test("updateRun ignores what cannot be updated", async ({ a }) => {
    const run = await seedRun(a);

    await a.persistence.updateRun(
      run.id,
      forced({ id: "other", config: 1, priority: 1, metadata: 1, input: 1, version: 9, extra: 1 }),
    );

    const updated = await theRun(a, run.id);
    expect(updated).toEqual({ ...run, version: 2, updatedAt: updated.updatedAt });
  });

  test("updateRun allows any status to follow any other", async ({ a }) => {
    const { id } = await seedRun(a);

    for (const status of ["COMPLETED", "PENDING", "FAILED", "RUNNING", "CANCELLED"] as const) {
      await a.persistence.updateRun(id, { status });
      expect(await a.persistence.getRunStatus(id)).toBe(status);
    }
  });

  test("updateRun with nothing to change still bumps version and updatedAt", async ({ a }) => {
    const run = await seedRun(a);
    await nap();

    await a.persistence.updateRun(run.id, {});

    const updated = await theRun(a, run.id);
    expect(updated.version).toBe(2);
    expect(updated.updatedAt.getTime()).toBeGreaterThan(run.updatedAt.getTime());
    expect(updated.createdAt).toEqual(run.createdAt);
  });

  test("updateRun with only an expected version claims the run once", async ({ a, b }) => {
    const { id } = await seedRun(a);

    await a.persistence.updateRun(id, { expectedVersion: 1 });

    await expectStale(b.persistence.updateRun(id, { expectedVersion: 1 }), {
      entity: "WorkflowRun",
      id,
      expected: 1,
      actual: 2,
    });
    expect((await theRun(a, id)).version).toBe(2);
  });

  test("updateRun accepts the versions of a chain of updates", async ({ a }) => {
    const { id } = await seedRun(a);

    await a.persistence.updateRun(id, { expectedVersion: 1 });
    await a.persistence.updateRun(id, { status: "RUNNING" });
    await a.persistence.updateRun(id, { expectedVersion: 3, totalTokens: 7 });

    expect(await theRun(a, id)).toMatchObject({ version: 4, status: "RUNNING", totalTokens: 7 });
  });

  test("updateRun on a stale version changes nothing", async ({ a, b }) => {
    const { id } = await seedRun(a);
    await a.persistence.updateRun(id, { status: "RUNNING" });
    const before = await theRun(a, id);

    for (const expected of [0, 1, 3]) {
      await expectStale(
        b.persistence.updateRun(id, { status: "FAILED", expectedVersion: expected }),
        { entity: "WorkflowRun", id, expected, actual: 2 },
      );
    }

    expect(await theRun(a, id)).toEqual(before);
  });

  test("updateRun says that a missing run was not found", async ({ a }) => {
    const error = await expectCode(a.persistence.updateRun("nobody", {}), "NOT_FOUND");

    expect(error.message).toMatch(/not found/i);
    expect(await a.persistence.getRun("nobody")).toBeNull();
  });

  test("updateRun with an expected version on a missing run is stale at -1", async ({ a }) => {
    await expectStale(a.persistence.updateRun("nobody", { expectedVersion: 4 }), {
      entity: "WorkflowRun",
      id: "nobody",
      expected: 4,
      actual: -1,
    });
  });

  test("a connection throws the StaleVersionError class that it was given", async ({ connect }) => {
    class EngineStaleVersionError extends Error {
      readonly facts: unknown[];
      constructor(entity: string, id: string, expected: number, actual: number) {
        super("the engine's own");
        this.facts = [entity, id, expected, actual];
      }
    }
    const engine = await connect({ StaleVersionError: EngineStaleVersionError });
    const { id } = await seedRun(engine);
    const stage = await engine.persistence.createStage(aStage(id));

    const ofRun = await rejection(engine.persistence.updateRun(id, { expectedVersion: 9 }));
    const ofStage = await rejection(
      engine.persistence.updateStage(stage.id, { expectedVersion: 8 }),
    );

    expect(ofRun).toBeInstanceOf(EngineStaleVersionError);
    expect(ofRun).toMatchObject({ facts: ["WorkflowRun", id, 9, 1] });
    expect(ofStage).toBeInstanceOf(EngineStaleVersionError);
    expect(ofStage).toMatchObject({ facts: ["WorkflowStage", stage.id, 8, 1] });
  });

  test("what is written beside a run leaves the run's version alone", async ({ a }) => {
    const { persistence } = a;
    const { id } = await seedRun(a);

    const stage = await persistence.createStage(aStage(id));
    await persistence.updateStage(stage.id, { status: "RUNNING" });
    await persistence.createLog(aLog({ workflowRunId: id }));
    await persistence.saveArtifact(anArtifact(id));
    await persistence.appendAnnotations([anAnnotation(id)]);
    await persistence.appendOutboxEvents([anEvent(id)]);
    await persistence.deleteStage(stage.id);

    expect((await theRun(a, id)).version).toBe(1);
  });

  test("updateRun leaves other runs alone", async ({ a }) => {
    const { id } = await seedRun(a, { id: "run-1" });
    const other = await seedRun(a, { id: "run-10" });

    await a.persistence.updateRun(id, { status: "FAILED" });

    expect(await theRun(a, "run-10")).toEqual(other);
  });
}
