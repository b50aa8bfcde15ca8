import { expect } from "vitest";
import type { Test } from "./harness.ts";
import { aLog, expectCode, forced, seedRun, seedStage, theStage } from "./support.ts";

/** createLog. The contract has no way to read a log, so only its refusals can be seen. */
export function logs(test: Test): void {
  test("createLog takes every level and returns nothing", async ({ a }) => {
    const run = await seedRun(a);

    for (const level of ["DEBUG", "INFO", "WARN", "ERROR"] as const) {
      const log = aLog({ level, workflowRunId: run.id });
      expect(await a.persistence.createLog(log)).toBeUndefined();
    }
  });

  test("createLog takes a log of a run, of a stage, of both and of neither", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    await a.persistence.createLog(aLog({ workflowRunId: run.id }));
    await a.persistence.createLog(aLog({ workflowStageId: stage.id }));
    await a.persistence.createLog(aLog({ workflowRunId: run.id, workflowStageId: stage.id }));
    await a.persistence.createLog(aLog());
    await a.persistence.createLog(
      aLog(forced({ workflowRunId: undefined, workflowStageId: undefined, metadata: undefined })),
    );
  });

  test("createLog takes metadata of any shape", async ({ a }) => {
    const run = await seedRun(a);

    for (const metadata of [null, 0, "text", [1], { at: new Date(0), gone: undefined }]) {
      await a.persistence.createLog(aLog({ workflowRunId: run.id, metadata }));
    }
  });

  test("createLog refuses a run that does not exist", async ({ a }) => {
    await expectCode(a.persistence.createLog(aLog({ workflowRunId: "nobody" })), "NOT_FOUND");
  });

  test("createLog refuses a stage that does not exist", async ({ a }) => {
    const run = await seedRun(a);
    const log = aLog({ workflowRunId: run.id, workflowStageId: "nobody" });

    await expectCode(a.persistence.createLog(log), "NOT_FOUND");
    await expectCode(a.persistence.createLog(aLog({ workflowStageId: "nobody" })), "NOT_FOUND");
  });

  test("createLog wants the record id of a stage, not its stage id", async ({ a }) => {
    const run = await seedRun(a);
    await seedStage(a, run.id, { stageId: "extract" });
    const log = aLog({ workflowRunId: run.id, workflowStageId: "extract" });

    await expectCode(a.persistence.createLog(log), "NOT_FOUND");
  });

  test("createLog leaves the version of its stage alone", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    await a.persistence.createLog(aLog({ workflowRunId: run.id, workflowStageId: stage.id }));

    expect(await theStage(a, stage.id)).toEqual(stage);
  });

  test("createLog takes many logs at once", async ({ a, b }) => {
    const run = await seedRun(a);
    const writes = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? a : b).persistence.createLog(aLog({ workflowRunId: run.id })),
    );

    expect(await Promise.all(writes)).toHaveLength(20);
  });
}
