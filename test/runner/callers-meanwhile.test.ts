/** Callers of the contract that write a run's stages while code of it runs: what they wrote counts. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import type { Status } from "../../src/contract/index.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { sound } from "./support/crash.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";
import { lateLogs } from "./support/race.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();

type Act = (engine: Engine, id: string) => Promise<unknown>;

const setTo =
  (stageId: string, status: Status): Act =>
  async ({ connection: { persistence } }, id) =>
    persistence.updateStageByRunAndStageId(id, stageId, {
      status,
      errorMessage: "not wanted",
      ...(status === "COMPLETED" ? { outputData: "the caller's" } : {}),
    });

const deleted =
  (stageId: string): Act =>
  async (engine, id) => {
    const row = (await engine.stages(id)).find((each) => each.stageId === stageId);
    await engine.connection.persistence.deleteStage(row?.id ?? "");
  };

describe.each(["D1", "maps"] as const)(
  "over %s: a stage that a caller writes while it runs",
  (over) => {
    /** A run whose stage "work" waits at the gate in its first try, and what was seen of it. */
    async function working() {
      const { gate, pass } = newGate();
      let tries = 0;
      const flow = workflow("flow", { input })
        .stage("work", async () => {
          tries += 1;
          if (tries === 1) await pass();
          return "the engine's";
        })
        .stage("after", ({ input: given }) => given)
        .build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, null);
      const consumed = engine.consume(1);
      await gate.reached();
      const ends = async () => {
        gate.open();
        await consumed;
        await engine.settle();
      };
      return { engine, run, ends, tries: () => tries };
    }

    it.each<Status>(["FAILED", "CANCELLED"])(
      "as %s ends its run, and its result is kept as a log",
      async (status) => {
        const { engine, run, ends } = await working();
        await setTo("work", status)(engine, run.id);
        await ends();
        const reason = `Stage work was set to ${status}: not wanted`;
        expect(await run.output()).toMatchObject({ status: "FAILED", reason });
        expect(await lateLogs(engine, run.id)).toHaveLength(1);
        await sound(engine, run.id);
      },
    );

    it("as COMPLETED gives what the caller says", async () => {
      const { engine, run, ends } = await working();
      await setTo("work", "COMPLETED")(engine, run.id);
      await ends();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: "the caller's" });
      await sound(engine, run.id);
    });

    it("by deleting it ends its run, and no event tells that it was completed", async () => {
      const { engine, run, ends } = await working();
      await deleted("work")(engine, run.id);
      await ends();
      const reason = "Stage work was deleted";
      expect(await run.output()).toMatchObject({ status: "FAILED", reason });
      expect(await engine.events(run.id)).not.toContain("stage:completed work");
      await sound(engine, run.id);
    });

    it("by making it anew has it run anew", async () => {
      const { engine, run, ends, tries } = await working();
      await deleted("work")(engine, run.id);
      await engine.connection.persistence.createStage({
        workflowRunId: run.id,
        stageId: "work",
        stageName: "work",
        stageNumber: 1,
        executionGroup: 1,
        status: "PENDING",
      });
      await ends();
      expect(tries()).toBe(2);
      expect(await run.output()).toEqual({ status: "COMPLETED", value: "the engine's" });
      expect(await engine.connection.audit()).toEqual([]);
    });
  },
);

describe.each(["D1", "maps"] as const)(
  "over %s: a member of a group that a caller ends",
  (over) => {
    const flow = workflow("flow", { input })
      .parallel({ a: () => "A", b: () => "B" })
      .stage("after", ({ input: given }) => given)
      .build();

    async function afterAct(act: Act) {
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, null);
      await act(engine, run.id);
      await engine.settle();
      return { engine, run };
    }

    it.each<[string, Act, string]>([
      ["as FAILED", setTo("b", "FAILED"), "Stage b was set to FAILED: not wanted"],
      ["as CANCELLED", setTo("b", "CANCELLED"), "Stage b was set to CANCELLED: not wanted"],
      ["by deleting it", deleted("b"), "Stage b was deleted"],
    ])(
      "%s ends the run with that reason: what comes after the group does not run",
      async (_how, act, reason) => {
        const { engine, run } = await afterAct(act);
        expect(await run.output()).toMatchObject({ status: "FAILED", reason });
        expect((await engine.stages(run.id)).map(({ stageId }) => stageId)).not.toContain("after");
        await sound(engine, run.id);
      },
    );

    it("as FAILED is mended by a rerun from it", async () => {
      const { engine, run } = await afterAct(setTo("b", "FAILED"));
      await run.rerun({ from: "b" });
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: { a: "A", b: "B" } });
      expect(await engine.connection.audit()).toEqual([]);
    });
  },
);

describe.each(["D1", "maps"] as const)(
  "over %s: a stage that a caller has created before the run comes to it",
  (over) => {
    it("ends the run with that reason after one try, and a rerun mends it", async () => {
      let tries = 0;
      const flow = workflow("flow", { input })
        .stage("a", () => {
          tries += 1;
          return "A";
        })
        .stage("b", ({ input: given }) => given)
        .build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, null);
      const { persistence } = engine.connection;
      const row = { stageId: "b", stageName: "b", stageNumber: 2, executionGroup: 2 } as const;
      const made = await persistence.createStage({
        ...row,
        workflowRunId: run.id,
        status: "PENDING",
      });
      await engine.settle();
      const reason = "Stage b was created by others before the run came to it";
      expect(await run.output()).toMatchObject({ status: "FAILED", reason });
      expect(tries).toBe(1);
      await sound(engine, run.id);
      await persistence.deleteStage(made.id);
      await run.rerun({ from: "a" });
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: "A" });
    });
  },
);

describe.each(["D1", "maps"] as const)(
  "over %s: a wait to which a caller gives an interval of polls",
  (over) => {
    it("takes no more than a few looks at a delivery, and ends", async () => {
      const flow = workflow("flow", { input })
        .stage("a", () => 1)
        .waitFor("go", { payload: z.number(), within: "1h" })
        .build();
      let reads = 0;
      const engine = new Engine({
        workflows: [flow],
        over,
        around: (store) => ({
          now: async () => store.now(),
          read: async (queries) => {
            reads += 1;
            return store.read(queries);
          },
          attempt: async (commit) => store.attempt(commit),
          settle: async (commit) => store.settle(commit),
        }),
      });
      const run = await engine.runs.start(flow, null);
      await engine.settle();
      const set = { pollInterval: 5 };
      await engine.connection.persistence.updateStageByRunAndStageId(run.id, "go", set);
      await run.signal("go", 7);
      reads = 0;
      await engine.consume(1);
      expect(reads).toBeLessThan(20);
    });
  },
);

describe.each(["D1", "maps"] as const)(
  "over %s: a pause while a stage's condition is decided",
  (over) => {
    it("keeps the decision, and the stage runs after resume alone", async () => {
      const { gate, pass } = newGate();
      let asked = 0;
      let ran = 0;
      const flow = workflow("flow", { input })
        .stageIf(
          "maybe",
          async () => {
            asked += 1;
            // The first time, what decides fails; then a delivery of its own decides.
            if (asked === 1) throw new Error("not now");
            await pass();
            return true;
          },
          stage({
            run: () => {
              ran += 1;
              return 1;
            },
          }),
        )
        .build();
      const engine = new Engine({ workflows: [flow], over });
      const run = await engine.runs.start(flow, null);
      const consumed = engine.consume(1);
      await gate.reached();
      await run.pause();
      gate.open();
      await consumed;
      await engine.settle();
      expect(await run.output()).toEqual({ status: "SUSPENDED" });
      expect(ran).toBe(0);
      await run.resume();
      await engine.settle();
      expect(await run.output()).toEqual({ status: "COMPLETED", value: 1 });
      expect([asked, ran]).toEqual([2, 1]);
      await sound(engine, run.id);
    });
  },
);
