/**
 * Every crash point there is: a consumer that dies before and after each of its calls to the store, and one whose D1 fails at each
 * call, for good or once. What comes after is nothing but the sweep.
 */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { D1_FAULTS, type D1Fault, type D1FaultPlan } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { type Plan, planOf, told } from "./support/engine.ts";
import { type Death, MortalStore } from "./support/mortal-store.ts";
import { permits } from "./support/queue.ts";
import { Recovery } from "./support/recovery.ts";
import { HOUR_MS, type Part } from "./support/world.ts";

const PLANS = [
  planOf("completes", "completes"),
  planOf("answers", "completes"),
  planOf("retries"),
  planOf("suspends", "completes"),
  planOf("polls"),
  planOf("delays", "completes"),
];
/** Whose first stage's job is over for good within one delivery or two. */
const SHORT = PLANS.filter(({ stages }) => !stages.includes("delays"));
const DEATHS = ["before", "after"] as const satisfies readonly Death[];

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

/** A world in which the runs have begun, and, with `resumed`, in which what their first delivery suspended is due. */
async function prepared(plans: readonly Plan[], resumed: boolean): Promise<Recovery> {
  await emptyDatabase();
  const recovery = new Recovery(plans);
  await recovery.start();
  if (!resumed) return recovery;
  await recovery.world.consume(recovery.world.part(), recovery.engine, permits(plans.length));
  recovery.world.pass(HOUR_MS + 1);
  return recovery;
}

/** Works the batch with a consumer that dies at its `index`th call; null if it makes fewer calls. */
async function killed(recovery: Recovery, index: number, death: Death) {
  let mortal: MortalStore | undefined;
  const part = recovery.world.part((store) => {
    mortal = new MortalStore(store, (call) => (call.index === index ? death : null));
    return mortal;
  });
  const messages = permits(recovery.plans.length);
  const consumed = recovery.world.consume(part, recovery.engine, messages);
  const ended = await Promise.race([mortal?.death, consumed]);
  return ended === undefined ? (mortal?.diedAt ?? null) : null;
}

async function everyDeath(
  plans: readonly Plan[],
  resumed: boolean,
  by: readonly Death[] = DEATHS,
): Promise<number> {
  let deaths = 0;
  for (let index = 0; ; index += 1) {
    for (const death of by) {
      const recovery = await prepared(plans, resumed);
      const diedAt = await killed(recovery, index, death);
      if (diedAt === null) return deaths;
      expect(diedAt.index).toBe(index);
      deaths += 1;
      await recovery.finish();
    }
  }
}

/** The batch with a consumer whose D1 follows the plan; false if the plan's call is never made. */
async function faulted(
  recovery: Recovery,
  fault: D1Fault,
  plan: D1FaultPlan,
): Promise<Part | null> {
  const part = recovery.world.part();
  part.d1.restart(plan);
  await recovery.world.consume(part, recovery.engine, permits(recovery.plans.length));
  const hit = part.d1.calls.filter((call) => call.fault === fault);
  for (const { ran } of hit) expect(ran).toBe(fault.kind === "lost");
  return hit.length === 0 ? null : part;
}

describe("a consumer that dies before or after any of its calls leaves nothing that the sweep does not finish", () => {
  it.each(PLANS)("$run", async (plan) => {
    expect(await everyDeath([plan], false)).toBeGreaterThanOrEqual(6);
  });

  it.each([planOf("suspends", "completes"), planOf("polls")])(
    "$run, when what was suspended is due",
    async (plan) => {
      expect(await everyDeath([plan], true)).toBeGreaterThanOrEqual(2);
    },
  );

  it("several of them in one batch", async () => {
    const together = SHORT.slice(0, 4);
    expect(await everyDeath(together, false, ["after"])).toBeGreaterThanOrEqual(10);
  });
});

describe("a D1 that fails a consumer at any of its calls, once or from then on, changes nothing in the end", () => {
  it.each(SHORT)("$run", async (plan) => {
    let faults = 0;
    for (const fault of [D1_FAULTS.before, D1_FAULTS.lost, D1_FAULTS.late]) {
      for (const lasting of [false, true]) {
        for (let at = 0; ; at += 1) {
          const recovery = await prepared([plan], false);
          const part = await faulted(recovery, fault, ({ index }) =>
            index === at || (lasting && index > at) ? fault : null,
          );
          if (part === null) break;
          faults += 1;
          await recovery.finish();
          // What was still under way lands when nobody expects it any more.
          await part.d1.release();
          await recovery.expectSound();
          await recovery.expectFinished();
        }
      }
    }
    expect(faults).toBeGreaterThanOrEqual(18);
  });
});

describe("a caller that dies before or after any of its calls", () => {
  it.each(DEATHS)("has started the run with its job, or nothing: %s", async (death) => {
    const plan = planOf("completes");
    let [started, nothing] = [0, 0];
    for (let index = 0; index < 2; index += 1) {
      await emptyDatabase();
      const recovery = new Recovery([plan]);
      let mortal: MortalStore | undefined;
      const part = recovery.world.part((store) => {
        mortal = new MortalStore(store, (call) => (call.index === index ? death : null));
        return mortal;
      });
      void recovery.engine.start(part.backend, plan);
      await mortal?.death;
      expect(mortal?.diedAt?.index).toBe(index);
      const rows = await told(recovery.world.part().backend, plan);
      if (rows.run === null) {
        nothing += 1;
        expect(rows).toEqual({ run: null, stages: [], jobs: [], events: [], causes: 0 });
      } else {
        started += 1;
        await recovery.finish();
      }
    }
    expect([started, nothing]).toEqual(death === "after" ? [1, 1] : [0, 2]);
  });
});
