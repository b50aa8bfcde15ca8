/** What a transaction has read decides whether it commits, however it came to read it. */
import { describe, expect, it } from "vitest";
import { createRun, once, outcomeOf, present, stageInput, ways } from "./ways.ts";

describe.each(ways)("a stage that is replaced during a transaction, $name", ({ open }) => {
  it("does not take an update that names the record before it", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const stage = await a.persistence.createStage(stageInput(run, "s"));
    const replace = once(async () => {
      await b.persistence.deleteStage(stage.id);
      await b.persistence.createStage(stageInput(run, "s"));
    });
    const outcome = await outcomeOf(
      a.persistence.withTransaction(async (tx) => {
        await tx.updateStageByRunAndStageId(run, "s", { status: "RUNNING" });
        await replace();
        await tx.updateStage(stage.id, { outputData: "for the record before" });
      }),
    );
    const now = present(await a.persistence.getStage(run, "s"));
    expect(now.id).not.toBe(stage.id);
    expect(outcome).toBe("NOT_FOUND");
    expect(now).toMatchObject({ status: "PENDING", outputData: null });
  });

  it("is the one that the output of the stage refers to", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const stage = await a.persistence.createStage(stageInput(run, "s"));
    const replace = once(async () => {
      await b.persistence.deleteStage(stage.id);
      await b.persistence.createStage(stageInput(run, "s"));
    });
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateStageByRunAndStageId(run, "s", { status: "COMPLETED" });
      await replace();
      await tx.saveStageOutput(run, "t", "s", { ok: true });
    });
    const now = present(await a.persistence.getStage(run, "s"));
    const artifacts = await a.persistence.listArtifacts(run);
    expect(now.id).not.toBe(stage.id);
    expect(artifacts.map((one) => one.workflowStageId)).toEqual([now.id]);
  });
});

describe.each(ways)("a stage that another transaction changes, $name", ({ open }) => {
  it("conflicts when a list shows it for a status that is the transaction's own", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const { id } = await a.persistence.createStage({
      ...stageInput(run, "s"),
      status: "RUNNING",
    });
    const other = once(() =>
      b.persistence.withTransaction(async (tx) => {
        const seen = await tx.getRun(run);
        await tx.updateStage(id, { outputData: { outputOfRun: seen?.output } });
      }),
    );
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateStage(id, { status: "COMPLETED" });
      const [completed] = await tx.getStagesByRun(run, { status: "COMPLETED" });
      await other();
      await tx.updateRun(run, { output: { outputOfStage: completed?.outputData } });
    });
    const stage = await a.persistence.getStageById(id);
    expect(stage?.outputData).toEqual({ outputOfRun: null });
    // The other saw no output of the run, so it came first, and its own output was there to see.
    const after = await a.persistence.getRun(run);
    expect(after?.output).toEqual({ outputOfStage: { outputOfRun: null } });
  });

  it("conflicts when it was not ready to resume, though its status is the transaction's own", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const { id } = await a.persistence.createStage({
      ...stageInput(run, "s"),
      status: "RUNNING",
    });
    await a.persistence.updateStage(id, { nextPollAt: new Date(5) });
    const other = once(() =>
      b.persistence.withTransaction(async (tx) => {
        const seen = await tx.getRun(run);
        await tx.updateStage(id, { nextPollAt: null, metrics: { outputOfRun: seen?.output } });
      }),
    );
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateStage(id, { status: "SUSPENDED" });
      const ready = await tx.getFirstSuspendedStageReadyToResume(run);
      await other();
      await tx.updateRun(run, { output: { ready: ready?.id ?? null } });
    });
    const stage = await a.persistence.getStageById(id);
    expect(stage?.metrics).toEqual({ outputOfRun: null });
    // The other saw no output of the run, so it came first, and the stage was ready.
    const after = await a.persistence.getRun(run);
    expect(after?.output).toEqual({ ready: id });
  });
});
