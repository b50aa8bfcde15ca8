/** What each transition of a run costs: round trips to D1, and rows written and read by D1's own count. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import { Fatal, stage, workflow } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { signalId } from "../../src/model/index.ts";
import { unitOf } from "../../src/persistence/connection-core.ts";
import { faultyD1 } from "../../src/testing/faulty-d1.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const input = z.null();

function counted(workflows: readonly Workflow[]) {
  const d1 = faultyD1(env.DB);
  const { calls } = d1;
  const engine = new Engine({ workflows, d1 });
  /** The calls that the act makes of D1, each as "rows written/rows read". */
  const cost = async (act: () => Promise<unknown>): Promise<string> => {
    const from = calls.length;
    await act();
    const made = calls.slice(from);
    return made.map(({ rowsWritten, rowsRead }) => `${rowsWritten}/${rowsRead}`).join(", ");
  };
  return { engine, cost };
}

/** A chain of this many stages that do nothing, each of which notes how many calls were made before it. */
function chainOf(length: number, before: (step: number) => void): Workflow {
  let chain = Chain.of(`chain-${length}`, { input });
  for (let step = 0; step < length; step += 1) chain = chain.stage(`s${step}`, () => before(step));
  return chain.build();
}

describe("a step from one stage to the next", () => {
  it("is one round trip of at most 8 rows written and 12 read, the second like the ninety-ninth", async () => {
    const d1 = faultyD1(env.DB);
    const { calls } = d1;
    const at: number[] = [];
    const chain = chainOf(100, (step) => {
      at[step] = calls.length;
    });
    const engine = new Engine({ workflows: [chain], d1 });
    const run = await engine.runs.start(chain, null);
    await engine.settle();
    expect(await run.output()).toMatchObject({ status: "COMPLETED" });
    const steps = at.slice(1).map((end, index) => calls.slice(at[index], end));
    const figures = steps.map((step) => step.map((c) => [c.rowsWritten, c.rowsRead]));
    expect(figures.at(1)).toEqual([[5, 12]]);
    expect(new Set(figures.slice(1).map((step) => JSON.stringify(step))).size).toBe(1);
  });
});

describe("each transition", () => {
  const pair = workflow("pair", { input })
    .stage("first", () => 1)
    .parallel({ left: () => 1, right: () => 2 })
    .stage("last", () => 3)
    .build();

  it("start: one round trip", async () => {
    const { engine, cost } = counted([pair]);
    expect(await cost(() => engine.runs.start(pair, null))).toBe("8/5");
  });

  it("a delivery of one stage, and the entry into a group of two", async () => {
    const { engine, cost } = counted([pair]);
    await engine.runs.start(pair, null);
    expect(await cost(() => engine.consume(1))).toBe("2/17, 0/6, 2/7, 8/16, 3/14");
  });

  it("a sibling that another one is still open beside, and the last one with the end", async () => {
    const { engine, cost } = counted([pair]);
    await engine.runs.start(pair, null);
    await engine.consume(1);
    expect(await cost(() => engine.consume(1))).toBe("2/17, 0/8, 2/7, 2/14, 0/8, 3/7, 6/19");
  });

  const asks = workflow("asks", { input })
    .waitFor("approval", { payload: z.boolean(), within: "1d" })
    .build();

  it("a wait, its signal, and what follows", async () => {
    const { engine, cost } = counted([asks]);
    const run = await engine.runs.start(asks, null);
    expect(await cost(() => engine.consume(1))).toBe("2/17, 0/6, 2/7, 7/20");
    expect(await cost(() => run.signal("approval", true))).toBe("0/1, 4/3");
    expect(await cost(() => engine.consume(1))).toBe("4/19, 0/6, 7/20");
  });

  it("the look for a signal: none that is taken is read", async () => {
    const { engine, cost } = counted([asks]);
    const { id: workflowRunId } = await engine.runs.start(asks, null);
    const unit = unitOf(engine.connection);
    const look = async () => unit.read([{ q: "nextSignal", workflowRunId, name: "approval" }]);
    const none = await cost(look);
    for (let count = 0; count < 40; count += 1) {
      const row = {
        workflowRunId,
        id: signalId("approval", `${count}`),
        name: "approval",
        ordinal: unit.ordinal(count),
        receivedAt: 0,
        payload: "1",
        takenAt: null,
      };
      await unit.write({ changes: [{ kind: "sendSignal", row }] });
      await unit.write({
        changes: [{ kind: "takeSignal", workflowRunId, id: row.id, at: 1 }],
      });
      // Taken, it still counts once.
      await unit.write({ changes: [{ kind: "sendSignal", row }] });
    }
    expect(await look()).toEqual([null]);
    expect(await cost(look)).toBe(none);
    expect(none).toBe("0/2");
  });

  const polls = workflow("polls", { input })
    .stage(
      "batch",
      stage({
        run: ({ suspend }) => suspend(1, { pollIn: "1s", within: "1d" }),
        poll: ({ notReady }): ReturnType<typeof notReady> | number => notReady(),
      }),
    )
    .build();

  it("a suspension, and a poll that is not ready", async () => {
    const { engine, cost } = counted([polls]);
    await engine.runs.start(polls, null);
    expect(await cost(() => engine.consume(1))).toBe("2/17, 0/6, 2/7, 7/15");
    engine.now += 1_000;
    expect(await cost(() => engine.consume(1))).toBe("4/19, 0/6, 6/10");
  });

  const fails = workflow("fails", { input })
    .stage(
      "flaky",
      ({ attempt }): number => {
        if (attempt === 1) throw new Error("once more");
        throw new Fatal("never");
      },
      { retry: { attempts: 3, backoff: 0 } },
    )
    .build();

  it("a retry, and a failure that ends the run", async () => {
    const { engine, cost } = counted([fails]);
    await engine.runs.start(fails, null);
    expect(await cost(() => engine.consume(1))).toBe("2/17, 0/6, 2/7, 4/15");
    expect(await cost(() => engine.consume(1))).toBe("4/18, 0/6, 2/7, 8/22");
  });

  const flaky = workflow("flaky", { input: z.string().nullable() })
    .stage(
      "flaky",
      ({ attempt, input: wish }) => {
        if (attempt === 1 && wish === "once") throw new Error("once more");
      },
      { retry: { attempts: 2, backoff: 0 } },
    )
    .build();

  it("a completion after a failed try: no row more is written", async () => {
    const ends = async (given: string | null, tries: number) => {
      const { engine, cost } = counted([flaky]);
      await engine.runs.start(flaky, given);
      let last = "";
      for (let count = 0; count < tries; count += 1) last = await cost(() => engine.consume(1));
      return last.split(", ").at(-1);
    };
    expect(await ends(null, 1)).toBe("6/19");
    expect(await ends("once", 2)).toBe("6/21");
  });

  it("the cancel of a run that waits", async () => {
    const { engine, cost } = counted([asks]);
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    expect(await cost(() => run.cancel())).toBe("0/1, 5/11");
  });

  it("the pause of a run that waits", async () => {
    const { engine, cost } = counted([asks]);
    const run = await engine.runs.start(asks, null);
    await engine.settle();
    expect(await cost(() => run.pause())).toBe("0/1, 3/7");
  });

  it("resume, and a rerun of a run that has ended", async () => {
    const { engine, cost } = counted([asks]);
    const run = await engine.runs.start(asks, null);
    await run.pause();
    await engine.consume(1);
    expect(await cost(() => run.resume())).toBe("0/1, 0/1, 6/8");
    await engine.consume(1);
    await run.cancel();
    expect(await cost(() => run.rerun({ from: "approval" }))).toBe("0/1, 0/3, 12/31");
  });
});
