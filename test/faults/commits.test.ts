/** Methods that make several commits when they are given much: each of them may fail. */
import { beforeAll, describe, expect, it } from "vitest";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { env } from "../support/env.ts";
import type { Scenario } from "./scenarios/index.ts";
import { untilNone } from "./support/calls.ts";
import { Case, planOf } from "./support/case.ts";
import { embedded } from "./support/line.ts";
import { faultOf } from "./support/play.ts";
import { Tally } from "./support/tally.ts";
import { NOW, withoutPauses } from "./support/time.ts";
import { AI_CALL, createWorld, type World } from "./support/world.ts";

const tally = new Tally("methods of several commits");
let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
});

/** More than one commit holds. */
const MANY = 1_001;
const numbers = Array.from({ length: MANY }, (_, n) => n);
const ids = numbers.map((n) => `idle/${n + 1}`);

const appended: Scenario["prepare"] = ({ persistence }) =>
  persistence.withTransaction((tx) =>
    tx.appendOutboxEvents(
      numbers.slice(1).map((n) => ({
        workflowRunId: "idle",
        eventType: "e",
        payload: n,
        causationId: "test",
        occurredAt: new Date(NOW),
      })),
    ),
  );

const scenarios: readonly Scenario[] = [
  {
    method: "persistence.markOutboxEventsPublished",
    prepare: appended,
    call: ({ persistence }) => persistence.markOutboxEventsPublished(ids),
    repeat: "the same",
  },
  {
    method: "persistence.replayDLQEvents",
    prepare: async (backend, given, other) => {
      await appended(backend, given, other);
      await env.DB.prepare(
        `UPDATE "outbox_events" SET "dlq_at" = ? WHERE "workflow_run_id" = 'idle'`,
      )
        .bind(NOW)
        .run();
    },
    call: ({ persistence }) => persistence.replayDLQEvents(MANY),
    repeat: { answers: 0 },
  },
  {
    method: "jobs.releaseStaleJobs",
    prepare: async ({ jobs }) => {
      const job = { workflowRunId: "idle", workflowId: "report", stageId: "extract" };
      await jobs.enqueueParallel(Array.from({ length: 105 }, () => job));
      await untilNone(() => jobs.dequeue());
    },
    call: ({ jobs }) => jobs.releaseStaleJobs(-1),
    repeat: { answers: 0 },
  },
  {
    method: "aiCalls.logBatchResults",
    call: ({ aiCalls }) =>
      aiCalls.logBatchResults(
        "large",
        numbers.map((n) => ({ ...AI_CALL, prompt: `Summarise ${n}` })),
      ),
    repeat: "the same",
  },
];

const cases = scenarios.map(
  (scenario) => [scenario.method, new Case(scenario, () => world, embedded)] as const,
);

describe("a method of several commits", () => {
  it.each(cases)("has one effect, whichever call fails: %s", async (_name, tested) => {
    const { once, d1Calls } = await tested.expected();
    expect(d1Calls).toBeGreaterThan(1);
    for (let index = 0; index < d1Calls; index += 1) {
      for (const fault of [D1_FAULTS.before, D1_FAULTS.lost]) {
        const { line, played } = await tested.play({ d1: planOf({ [index]: fault }) });
        const cell = `call ${index} ${fault.kind}`;
        expect(tally.add("single", played).text === once.text, cell).toBe(true);
        expect(line.d1.calls[index], cell).toMatchObject({ fault });
      }
    }
  });

  it.each(cases)("is OVERLOADED only if nothing was written: %s", async (_name, tested) => {
    const { before, once, d1Calls } = await tested.expected();
    const faults = new Set<unknown>();
    for (let index = 0; index < d1Calls; index += 1) {
      const { line, played } = await tested.play({
        d1: planOf({ [index]: D1_FAULTS.overloaded }),
      });
      const fault = faultOf(tally.add("overload", played).outcome);
      faults.add(fault);
      expect(fault === "OVERLOADED", `call ${index}`).toBe(played.state === before);
      expect(["OVERLOADED", "UNAVAILABLE"], `call ${index}`).toContain(fault);
      // A repeat does the rest.
      const repeated = await tested.repeat(line);
      expect(repeated.state === once.state, `call ${index}`).toBe(true);
    }
    expect([...faults]).toEqual(["OVERLOADED", "UNAVAILABLE"]);
  });
});
