import { expect } from "vitest";
import { type ErrorCode, isServiceError, type WorkflowPersistence } from "../../contract/index.ts";
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
  rejection,
  seedRun,
  seedStage,
  theRun,
  theStage,
} from "./support.ts";

const HALF_A_ROW = "x".repeat(1_000_000);

/** The code of the call's fault; null: it was done. A callback that asks this goes on in any case. */
async function faultOf(call: Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await call;
    return null;
  } catch (error) {
    if (isServiceError(error)) return error.code;
    throw error;
  }
}

/** Faults are thrown by the call that causes them and leave the transaction usable. */
export function transactionFaults(test: Test): void {
  test("a transaction rethrows the very fault of a call", async ({ a }) => {
    let fault: unknown;

    const caught = await rejection(
      a.persistence.withTransaction(async (tx) => {
        await tx.createRun(aRun({ id: "run-1" }));
        fault = await rejection(tx.updateRun("nobody", {}));
        throw fault;
      }),
    );

    expect(caught).toBe(fault);
    expect(await a.persistence.getRun("run-1")).toBeNull();
  });

  test("a stale version is thrown by the call, and the rest still commits", async ({ a, b }) => {
    const run = await seedRun(a);
    const other = await seedRun(a);

    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(other.id, { status: "RUNNING" });
      await expectStale(tx.updateRun(run.id, { expectedVersion: 7, status: "FAILED" }), {
        entity: "WorkflowRun",
        id: run.id,
        expected: 7,
        actual: 1,
      });
      await tx.appendOutboxEvents([anEvent(run.id)]);
    });

    expect(await theRun(b, run.id)).toEqual(run);
    expect(await theRun(b, other.id)).toMatchObject({ status: "RUNNING", version: 2 });
    expect(await b.persistence.getUnpublishedOutboxEvents()).toHaveLength(1);
  });

  test("a stale version that nobody catches undoes the transaction", async ({ a, b }) => {
    const run = await seedRun(a);

    await expectStale(
      a.persistence.withTransaction(async (tx) => {
        await tx.createRun(aRun({ id: "new" }));
        await tx.updateRun(run.id, { expectedVersion: 2 });
      }),
      { entity: "WorkflowRun", id: run.id, expected: 2, actual: 1 },
    );

    expect(await b.persistence.getRun("new")).toBeNull();
  });

  test("a transaction throws the StaleVersionError class of its connection", async ({
    connect,
  }) => {
    class EngineStaleVersionError extends Error {}
    const engine = await connect({ StaleVersionError: EngineStaleVersionError });
    const { id } = await seedRun(engine);

    await engine.persistence.withTransaction(async (tx) => {
      const error = await rejection(tx.updateRun(id, { expectedVersion: 7 }));
      expect(error).toBeInstanceOf(EngineStaleVersionError);
    });
  });

  test("every fault is thrown by its call, and the rest still commits", async ({ a, b }) => {
    const { id } = await seedRun(a, { id: "run-1" });
    await seedStage(a, id);

    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(id, { totalTokens: 1 });
      await expectCode(tx.createRun(aRun({ id })), "ALREADY_EXISTS");
      await expectCode(tx.createStage(aStage(id)), "ALREADY_EXISTS");
      await expectCode(tx.updateRun("nobody", {}), "NOT_FOUND");
      await expectCode(tx.createStage(aStage("nobody")), "NOT_FOUND");
      const upsert = { stageId: "extract", create: aStage("nobody"), update: {} };
      await expectCode(tx.upsertStage({ workflowRunId: "nobody", ...upsert }), "NOT_FOUND");
      await expectCode(tx.updateStage("nobody", {}), "NOT_FOUND");
      await expectCode(tx.updateStageByRunAndStageId(id, "nobody", {}), "NOT_FOUND");
      await expectCode(tx.deleteStage("nobody"), "NOT_FOUND");
      await expectCode(tx.createLog(aLog({ workflowRunId: "nobody" })), "NOT_FOUND");
      await expectCode(tx.saveArtifact(anArtifact("nobody")), "NOT_FOUND");
      await expectCode(tx.deleteArtifact(id, "nothing"), "NOT_FOUND");
      await expectCode(
        tx.appendAnnotations([anAnnotation(id), anAnnotation("nobody")]),
        "NOT_FOUND",
      );
      await expectCode(tx.incrementOutboxRetryCount("nobody"), "NOT_FOUND");
      await expectCode(tx.moveOutboxEventToDLQ("nobody"), "NOT_FOUND");
      await expectCode(tx.createRun(aRun({ workflowName: "\u0000" })), "INVALID_ARGUMENT");
      await expectStale(tx.updateStage("nobody", { expectedVersion: 1 }), {
        entity: "WorkflowStage",
        id: "nobody",
        expected: 1,
        actual: -1,
      });
      await tx.updateRun(id, { status: "RUNNING" });
    });

    expect(await theRun(b, id)).toMatchObject({ version: 3, totalTokens: 1, status: "RUNNING" });
    expect(await b.persistence.listAnnotations(id)).toEqual([]);
    expect(await b.persistence.getStagesByRun(id)).toHaveLength(1);
  });

  test("faults within a transaction count its own rows", async ({ a }) => {
    const { id } = await seedRun(a);

    await a.persistence.withTransaction(async (tx) => {
      await tx.createRun(aRun({ id: "new" }));
      await expectCode(tx.createRun(aRun({ id: "new" })), "ALREADY_EXISTS");
      const stage = await tx.createStage(aStage(id));
      await expectCode(tx.createStage(aStage(id)), "ALREADY_EXISTS");
      await tx.deleteStage(stage.id);
      await expectCode(tx.updateStage(stage.id, {}), "NOT_FOUND");
      await expectCode(tx.deleteStage(stage.id), "NOT_FOUND");
      await expectCode(tx.createLog(aLog({ workflowStageId: stage.id })), "NOT_FOUND");
    });

    expect(await a.persistence.getRun("new")).toMatchObject({ version: 1 });
    expect(await a.persistence.getStagesByRun(id)).toEqual([]);
  });

  test("a chain of versions holds within a transaction", async ({ a, b }) => {
    const { id } = await seedRun(a);

    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(id, { expectedVersion: 1 });
      await tx.updateRun(id, { status: "COMPLETED", output: 1 });
      await tx.updateRun(id, { expectedVersion: 3, totalTokens: 5 });
      await expectStale(tx.updateRun(id, { expectedVersion: 1 }), {
        entity: "WorkflowRun",
        id,
        expected: 1,
        actual: 4,
      });
    });

    expect(await theRun(b, id)).toMatchObject({ version: 4, status: "COMPLETED", totalTokens: 5 });
  });

  test("creating what exists is refused at its call, and the lists that follow show it", async ({
    a,
  }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    for (const create of [
      (tx: WorkflowPersistence) => tx.createStage(aStage(run.id)),
      (tx: WorkflowPersistence) => tx.createRun(aRun({ id: run.id })),
    ]) {
      const seen = await a.persistence.withTransaction(async (tx) => ({
        fault: await faultOf(create(tx)),
        stages: await tx.getStagesByRun(run.id),
      }));
      expect(seen).toEqual({ fault: "ALREADY_EXISTS", stages: [stage] });
    }
  });

  test("a row that grows too large is refused at its call, whatever is read next", async ({
    a,
    b,
  }) => {
    const { id } = await seedRun(a);
    const stage = await seedStage(a, id, { inputData: HALF_A_ROW });

    const seen = await a.persistence.withTransaction(async (tx) => {
      const write = tx.updateStageByRunAndStageId(id, "extract", { outputData: HALF_A_ROW });
      const fault = await faultOf(write);
      const read = await tx.getStage(id, "extract");
      await tx.updateStageByRunAndStageId(id, "extract", { status: "RUNNING" });
      return { fault, read };
    });

    expect(seen).toEqual({ fault: "PAYLOAD_TOO_LARGE", read: stage });
    expect(await theStage(b, stage.id)).toMatchObject({ status: "RUNNING", version: 2 });
  });

  test("a row that grows too large is what the transaction fails with, though its callback throws later", async ({
    a,
  }) => {
    const { id } = await seedRun(a);
    await seedStage(a, id, { inputData: HALF_A_ROW });

    await expectCode(
      a.persistence.withTransaction(async (tx) => {
        await tx.updateStageByRunAndStageId(id, "extract", { outputData: HALF_A_ROW });
        throw new Error("too late");
      }),
      "PAYLOAD_TOO_LARGE",
    );
  });

  test("an artifact that does not fit beside its metadata is refused at its call", async ({
    a,
    b,
  }) => {
    const { id } = await seedRun(a);
    const metadata = { filling: "m".repeat(1_890_000) };
    await a.persistence.saveArtifact(anArtifact(id, { metadata }));

    const fault = await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(id, { totalTokens: 3 });
      return faultOf(tx.saveArtifact(anArtifact(id, { data: "n".repeat(14_000) })));
    });

    expect(fault).toBe("PAYLOAD_TOO_LARGE");
    expect(await theRun(b, id)).toMatchObject({ totalTokens: 3 });
    expect(await b.persistence.loadArtifact(id, "report.json")).toEqual({ pages: 1 });
  });

  test("of several things that are missing a call names the first, whatever was read before", async ({
    a,
  }) => {
    await a.persistence.withTransaction(async (tx) => {
      expect(await tx.getRun("gone")).toBeNull();
      const error = await expectCode(
        tx.appendAnnotations([anAnnotation("nobody"), anAnnotation("gone")]),
        "NOT_FOUND",
      );
      expect(error.details["id"]).toBe("nobody");
    });
  });
}
