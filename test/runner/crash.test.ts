/**
 * Every commit of every transition of a run: the consumer dies before it, after it, or loses its answer; so does the app's Worker; so
 * do both. What comes after is nothing but the sweep, and time.
 */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Fatal, stage, workflow } from "../../src/engine/index.ts";
import type { Run } from "../../src/engine/runs.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { runsOf } from "../../src/runner/index.ts";
import { DEATHS, MortalStore } from "../../src/testing/engine/mortal-store.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";
import { play, type Scenario, WHO } from "./support/crash.ts";

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

const tries = { retry: { attempts: 5, backoff: "1s" } } as const;
const input = z.null();

const SCENARIOS: readonly Scenario[] = [
  {
    name: "a chain, with a retry, a skipped stage, a condition that is open and what once keeps",
    make: () => {
      let [failed, asked] = [false, false];
      return workflow("chain", { input })
        .stage("first", () => 1, tries)
        .stageIf(
          "skipped",
          () => false,
          () => 0,
          tries,
        )
        .stageIf(
          "open",
          () => {
            if (asked) return true;
            asked = true;
            throw new Error("not yet");
          },
          ({ input: before }) => before,
          tries,
        )
        .stage(
          "flaky",
          async ({ input: before, once }) => {
            const kept = await once("paid", () => before + 1);
            if (failed) return kept;
            failed = true;
            throw new Error("not yet");
          },
          tries,
        )
        .stage("last", ({ input: before }) => before + 1, tries)
        .build();
    },
    ends: { status: "COMPLETED", value: 3 },
  },
  {
    name: "stages side by side, and their join",
    make: () =>
      workflow("group", { input })
        .stage("first", () => 1, tries)
        .parallel({
          p1: stage({ ...tries, run: () => 1 }),
          p2: stage({ ...tries, run: () => 2 }),
          p3: stage({ ...tries, concurrency: { key: "k", limit: 1 }, run: () => 3 }),
        })
        .stage("sum", ({ input: { p1, p2, p3 } }) => p1 + p2 + p3, tries)
        .build(),
    ends: { status: "COMPLETED", value: 6 },
  },
  {
    name: "a suspension with polls, a sleep, and a wait whose signal was there before",
    make: () => {
      let polls = 0;
      return workflow("waits", { input })
        .stage(
          "batch",
          stage({
            ...tries,
            run: ({ suspend }) => suspend({ id: 7 }, { pollIn: "10s", within: "1d" }),
            poll: ({ notReady }, { id }) => {
              polls += 1;
              return polls === 1 ? notReady() : id;
            },
          }),
        )
        .sleep("night", "30s")
        .waitFor("approval", { payload: z.number(), within: "1d" })
        .stage("last", ({ input: waited }) => (waited.received ? waited.payload : 0), tries)
        .build();
    },
    begun: async (run) => run.signal("approval", 5, { key: "k" }),
    ends: { status: "COMPLETED", value: 5 },
  },
  {
    name: "a wait whose signal comes during it, and one that ends without",
    make: () =>
      workflow("asks", { input })
        .waitFor("approval", { payload: z.number(), within: "1d" })
        .waitFor("never", { payload: z.number(), within: "30s" })
        .stage(
          "last",
          async ({ input: never, output }) => [await output("approval"), never.received],
          tries,
        )
        .build(),
    each: async (run, engine) => {
      const waits = (await engine.stages(run.id)).find(({ stageId }) => stageId === "approval");
      if (waits?.status === "SUSPENDED") await run.signal("approval", 5, { key: "k" });
    },
    ends: { status: "COMPLETED", value: [{ received: true, payload: 5 }, false] },
  },
  {
    name: "a failure for good, with a sibling that waits",
    make: () =>
      workflow("fails", { input })
        .parallel({
          p1: stage({
            ...tries,
            run: ({ suspend }) => suspend(null, { pollIn: "1d", within: "2d" }),
            poll: () => 2,
          }),
          p2: stage({
            ...tries,
            run: () => {
              throw new Fatal("never");
            },
          }),
        })
        .build(),
    ends: { status: "FAILED", reason: "never", stage: "p2" },
  },
];

describe.each(SCENARIOS)("$name", (scenario) => {
  it.each(WHO)("ends as ever, whenever the worker dies: %s", async (who) => {
    const undisturbed = await play(scenario, null, null);
    expect(undisturbed.output).toEqual(scenario.ends);
    let faults = 0;
    for (const [commit, kinds] of undisturbed.kinds.entries()) {
      for (const death of DEATHS) {
        const played = await play(scenario, { commit, death, who }, undisturbed);
        const what = `${death} commit ${commit + 1} of ${undisturbed.kinds.length} (${kinds})`;
        expect(played.output, what).toEqual(scenario.ends);
        expect(played.accepted, what).toEqual(undisturbed.accepted);
        if (played.faulted) faults += 1;
      }
    }
    console.log(`${scenario.name}, ${who}: ${faults} of ${undisturbed.kinds.length * 3}`);
    // After the last commit, the app is not called any more.
    expect(faults).toBeGreaterThanOrEqual(
      undisturbed.kinds.length * 3 - (who === "consumer" ? 0 : 6),
    );
  });
});

describe("a worker that dies in the last try of a stage", () => {
  const once = { retry: { attempts: 1 } } as const;
  const ends: Scenario["ends"] = { status: "COMPLETED", value: 3 };
  const scenario: Scenario = {
    name: "stages with one try",
    make: () =>
      workflow("once", { input })
        .parallel({ p1: stage({ ...once, run: () => 1 }), p2: stage({ ...once, run: () => 2 }) })
        .stage("sum", ({ input: { p1, p2 } }) => p1 + p2, once)
        .build(),
    meanwhile: ["failure-unhandled", "run-without-work"],
    ends,
  };

  it.each(WHO)("ends it with the reason, and once: %s", async (who) => {
    const undisturbed = await play(scenario, null, null);
    expect(undisturbed.output).toEqual(ends);
    let failed = 0;
    for (const [commit, kinds] of undisturbed.kinds.entries()) {
      for (const death of DEATHS) {
        const { output, accepted } = await play(scenario, { commit, death, who }, undisturbed);
        if (output.status === "COMPLETED") expect(output).toEqual(ends);
        else {
          failed += 1;
          const what = `${death} commit ${commit + 1} of ${undisturbed.kinds.length} (${kinds})`;
          expect(output, what).toMatchObject({ status: "FAILED", reason: expect.any(String) });
          // All results are there, and only the way to the next stage had to be repeated.
          const isBetween =
            accepted.filter((result) => result === "p stage:completed").length === 2;
          expect(isBetween && !accepted.includes("sum stage:failed"), what).toBe(false);
        }
      }
    }
    expect(failed).toBeGreaterThan(0);
  });
});

describe("a caller that dies before or after the commit of an act, or loses its answer", () => {
  const asks = workflow("asks", { input })
    .stage("first", () => 1, tries)
    .waitFor("approval", { payload: z.number(), within: "1d" })
    .stage("last", ({ input: waited }) => (waited.received ? waited.payload : 0), tries)
    .build();

  /** Acts on a run that waits, and what may come of it: with the act, and without. */
  const ACTS: readonly {
    readonly name: string;
    readonly prepare?: (run: AskingRun) => Promise<void>;
    readonly act: (run: AskingRun) => Promise<void>;
    readonly done: object;
    readonly undone: object;
  }[] = [
    {
      name: "signal",
      act: async (run) => run.signal("approval", 5, { key: "k" }),
      done: { status: "COMPLETED", value: 5 },
      undone: { status: "COMPLETED", value: 0 },
    },
    {
      name: "cancel",
      act: async (run) => run.cancel("enough"),
      done: { status: "CANCELLED", reason: "enough" },
      undone: { status: "COMPLETED", value: 0 },
    },
    {
      name: "pause",
      act: async (run) => run.pause(),
      done: { status: "SUSPENDED" },
      undone: { status: "COMPLETED", value: 0 },
    },
    {
      name: "resume",
      prepare: async (run) => run.pause(),
      act: async (run) => run.resume(),
      done: { status: "COMPLETED", value: 0 },
      undone: { status: "SUSPENDED" },
    },
    {
      name: "rerun",
      prepare: async (run) => run.cancel(),
      act: async (run) => run.rerun({ from: "first" }),
      done: { status: "COMPLETED", value: 0 },
      undone: { status: "CANCELLED" },
    },
  ];
  type AskingRun = Run<typeof asks>;

  it.each(ACTS)(
    "$name: it has happened wholly, or not at all",
    async ({ prepare, act, done, undone }) => {
      for (const death of DEATHS) {
        await emptyDatabase();
        const engine = new Engine({ workflows: [asks] });
        const run = await engine.runs.start(asks, null);
        await engine.settle();
        await prepare?.(run);
        const mortal = new MortalStore(engine.store, { commit: 0, death });
        const acting = act(runsOf(new Connection(mortal)).get(asks, run.id));
        await Promise.race([acting, mortal.death]);
        expect(mortal.commits, death).toHaveLength(1);
        expect(mortal.isDead, death).toBe(death !== "answer lost");
        expect(await engine.connection.audit()).toEqual([]);
        await engine.sweep();
        await engine.settle();
        await engine.pass(86_400_000);
        expect(await run.output(), death).toMatchObject(death === "before" ? undone : done);
        expect(await engine.connection.audit()).toEqual([]);
      }
    },
  );

  it.each(DEATHS)(
    "start, %s: the run is there with its job, or nothing is; with the key it is started once",
    async (death) => {
      const engine = new Engine({ workflows: [asks] });
      const mortal = new MortalStore(engine.store, { commit: 0, death });
      const starting = runsOf(new Connection(mortal)).start(asks, null, { key: "k" });
      await Promise.race([starting, mortal.death]);
      expect(mortal.commits).toHaveLength(1);
      await engine.settle();
      const again = await engine.runs.start(asks, null, { key: "k" });
      await engine.settle();
      const begun = await engine.payloads(again.id, "workflow:started");
      expect(begun).toHaveLength(1);
      expect((await engine.stages(again.id)).map(({ status }) => status)).toEqual([
        "COMPLETED",
        "SUSPENDED",
      ]);
      expect(await engine.connection.audit()).toEqual([]);
    },
  );
});
