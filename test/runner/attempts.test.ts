/** The numbers of tries that stages and waits keep, and that their events tell. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Fatal, workflow } from "../../src/engine/index.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import { drive } from "../../src/runner/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const asks = workflow("asks", { input: z.null() })
  .stage("draft", () => "draft")
  .waitFor("approval", { payload: z.number(), within: "1d" })
  .build();

describe.each(["D1", "maps"] as const)("an open condition over %s", (over) => {
  it("that its worker decides, and no more, leaves the stage to another delivery, which does not ask again", async () => {
    let asked = 0;
    const maybe = workflow("maybe", { input: z.null() })
      .stageIf(
        "only",
        () => {
          asked += 1;
          if (asked === 1) throw new Error("not yet");
          return asked === 2;
        },
        ({ attempt }) => attempt,
        { retry: { attempts: 3 } },
      )
      .build();
    const engine = new Engine({ workflows: [maybe], over });
    const run = await engine.runs.start(maybe, null);
    const connection = new Connection(engine.store);
    const [job] = await connection.jobs.dequeueMany(1);
    const { jobId = "", workflowRunId = "", stageId = "", attempt = 0 } = job ?? {};
    await drive(
      { workflowRunId, ordinal: jobId.slice(workflowRunId.length + 1), stageId, attempt },
      {
        unit: unitOf(connection),
        runner: stageRunner([maybe], { env: {}, now: () => 0 }),
        signal: new AbortController().signal,
        goesOn: () => false,
      },
    );
    expect(await engine.stages(run.id)).toMatchObject([{ status: "PENDING" }]);
    expect(await engine.connection.jobs.getJobsByWorkflowRun(run.id)).toMatchObject([
      { status: "PENDING", attempt: 1, maxAttempts: 4 },
    ]);
    await engine.settle();
    expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
    expect(asked).toBe(2);
    expect(await engine.connection.audit()).toEqual([]);
  });
});

describe.each(["D1", "maps"] as const)("a wait over %s", (over) => {
  it("is in its first attempt from its beginning, in the row as in its events", async () => {
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "SUSPENDED", attempt: 1 });
    await run.signal("approval", 1);
    await engine.settle();
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "COMPLETED", attempt: 1 });
  });

  it("is in a further attempt when it is run again, also for a signal that came before", async () => {
    const engine = new Engine({ workflows: [asks], over });
    const run = await engine.runs.start(asks, null);
    await run.signal("approval", 1);
    await run.signal("approval", 2);
    await engine.settle();
    await run.rerun({ from: "approval" });
    await engine.settle();
    expect(await run.output()).toMatchObject({ value: { received: true, payload: 2 } });
    expect((await engine.stages(run.id)).at(-1)).toMatchObject({ status: "COMPLETED", attempt: 2 });
    const attempts = await engine.payloads(run.id, "stage:completed");
    expect(attempts.map(({ stageId, attempt }) => [stageId, attempt])).toEqual([
      ["draft", 1],
      ["approval", 1],
      ["approval", 2],
    ]);
  });
});

describe.each(["D1", "maps"] as const)(
  "the stages after one that is run again, over %s",
  (over) => {
    it("go on counting, also those that an earlier rerun has not come to", async () => {
      let broken = false;
      const chain = workflow("chain", { input: z.null() })
        .stage("first", () => 1)
        .parallel({
          left: ({ input }) => input,
          right: () => {
            if (broken) throw new Fatal("broken");
            return 2;
          },
        })
        .waitFor("approval", { payload: z.number(), within: "1d" })
        .stage("last", ({ attempt }) => attempt)
        .build();
      const engine = new Engine({ workflows: [chain], over });
      const run = await engine.runs.start(chain, null);
      for (const key of ["a", "b", "c"]) await run.signal("approval", 1, { key });
      await engine.settle();
      broken = true;
      await run.rerun({ from: "first" });
      await engine.settle();
      expect(await run.output()).toMatchObject({ status: "FAILED" });
      broken = false;
      await run.rerun({ from: "first" });
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: 2 });
      const stages = await engine.stages(run.id);
      expect(stages.map(({ stageId, attempt }) => `${stageId} ${attempt}`)).toEqual([
        "first 3",
        "left 3",
        "right 3",
        "approval 2",
        "last 2",
      ]);
      const ended = await engine.payloads(run.id, "stage:completed");
      const results = ended.map(({ stageId, attempt }) => `${stageId} ${attempt}`);
      expect(new Set(results).size).toBe(results.length);
    });
  },
);
