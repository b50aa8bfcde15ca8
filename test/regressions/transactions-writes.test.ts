/** What a transaction keeps of the writes that it makes in between others that it takes back. */
import { expect, it } from "vitest";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { createRun, present, stageInput, ways } from "./ways.ts";

it("a log that is written after a stage was deleted replaces none that was written before", async () => {
  await emptyDatabase();
  const { a } = present(ways[0]).open();
  const run = await createRun(a);
  const stage = await a.persistence.createStage(stageInput(run, "s"));
  await a.persistence.withTransaction(async (tx) => {
    const log = { workflowRunId: run, level: "INFO" } as const;
    await tx.createLog({ ...log, workflowStageId: stage.id, message: "of the stage" });
    await tx.createLog({ ...log, message: "one" });
    await tx.deleteStage(stage.id);
    await tx.createLog({ ...log, message: "two" });
  });
  const { results } = await env.DB.prepare("SELECT message FROM logs ORDER BY ordinal").all();
  expect(results.map(({ message }) => message)).toEqual(["one", "two"]);
});
