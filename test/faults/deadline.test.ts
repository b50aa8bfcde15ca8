/** D1 that does not answer at all. */
import { beforeAll, describe, expect, it } from "vitest";
import { fromWire } from "../../src/changes/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import { toEnvelope } from "../../src/contract/index.ts";
import { CoordinatedStore, type CoordinatorNamespace } from "../../src/coordinator/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { D1_FAULTS, type D1Fault, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { env } from "../support/env.ts";
import { nameOf, scenarios } from "./scenarios/index.ts";
import { FaultyCalls } from "./support/calls.ts";
import { Case, planOf } from "./support/case.ts";
import type { Line } from "./support/line.ts";
import { faultOf, seen } from "./support/play.ts";
import { Tally } from "./support/tally.ts";
import { NOW } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

const DEADLINE_MS = 150;
const tally = new Tally("stalls");
let world: World;
beforeAll(async () => {
  world = await createWorld();
});

function impatient(): Line {
  const d1 = faultyD1(env.DB);
  const store = new D1Store(d1.db, { now: () => NOW, deadlineMs: DEADLINE_MS });
  const runs: CoordinatorNamespace = {
    getByName: () => ({
      attempt: (sent) => toEnvelope(async () => store.attempt(await fromWire(sent))),
    }),
  };
  const backend = new Connection(new CoordinatedStore(store, runs), { workerId: "worker" });
  return { backend, d1, others: new FaultyCalls() };
}

const chosen = new Set([
  "persistence.createRun",
  "persistence.getRun",
  "persistence.claimNextPendingRun",
  "persistence.appendOutboxEvents",
  "jobs.dequeue",
  "aiCalls.logBatchResults",
  "persistence.withTransaction, of many known rows",
]);
const cases = scenarios
  .filter((scenario) => chosen.has(nameOf(scenario)))
  .map((scenario) => [nameOf(scenario), new Case(scenario, () => world, impatient)] as const);

const HANG: D1Fault = { kind: "hang" };

describe("D1 that does not answer", () => {
  it("is tried with each of the chosen methods", () => {
    expect(cases.length).toBe(chosen.size);
  });

  it.each(cases)("is given up, and %s tells the truth", async (_name, tested) => {
    const { once, d1Calls } = await tested.expected();
    for (let index = 0; index < d1Calls; index += 1) {
      for (const fault of [D1_FAULTS.stall, HANG]) {
        const { line, played } = await tested.play({ d1: planOf({ [index]: fault }) });
        const cell = `call ${index} ${fault.kind}`;
        expect(tally.add("single", played).text, cell).toBe(once.text);
        expect(line.d1.calls[index], cell).toMatchObject({ fault, ran: fault === HANG });
        // What was given up runs at last: it is refused, or has been accounted for.
        const [released] = await line.d1.release();
        expect(released, cell).toMatchObject({ index, ran: true });
        const attempt = /wfe:fenced/.test(released?.statements[0] ?? "");
        if (fault !== HANG && attempt) expect(released?.refusal, cell).toMatch(/wfe:fenced/);
        expect((await seen(played.outcome)).text, cell).toBe(once.text);
      }
    }
  });

  it("is UNAVAILABLE when it never answers, after the deadlines of a few tries", async () => {
    const [, tested] = cases[0] ?? [];
    expect.assert(tested !== undefined);
    const { once } = await tested.expected();
    const started = performance.now();
    const { line, played } = await tested.play({ d1: () => D1_FAULTS.stall });
    const took = performance.now() - started;
    expect(faultOf(tally.add("outage", played).outcome)).toBe("UNAVAILABLE");
    expect(line.d1.calls.every(({ fault, ran }) => fault === D1_FAULTS.stall && !ran)).toBe(true);
    expect(took).toBeGreaterThan(line.d1.calls.length * DEADLINE_MS * 0.9);
    expect((await tested.repeat(line)).text).toBe(once.text);
    await line.d1.release();
    expect((await seen(once.outcome)).state).toBe(once.state);
  });
});
