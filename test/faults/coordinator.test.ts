/** Faults of the way to a coordinator: claims, and commits that append events to one run's outbox. */
import { beforeAll, describe, expect, it } from "vitest";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { nameOf, type Scenario, scenarios } from "./scenarios/index.ts";
import { Case, planOf } from "./support/case.ts";
import { coordinated, embedded } from "./support/line.ts";
import { seen } from "./support/play.ts";
import { Tally } from "./support/tally.ts";
import { withoutPauses } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

const tally = new Tally("calls to coordinators");
let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
});

const METHODS = new Set<string>([
  "persistence.claimPendingRun",
  "persistence.claimNextPendingRun",
  "persistence.appendOutboxEvents",
]);
const TITLES = new Set(["of rows that it creates and deletes"]);

/** The coordinator keeps order between runs' own commits; events of several runs go past it. */
function goesThrough({ method, title = "" }: Scenario): boolean {
  if (title === "of several runs" || title === "with none left") return false;
  return METHODS.has(method) || TITLES.has(title);
}

describe.each([
  ["a coordinator over the faulty database", embedded],
  ["the real coordinator", coordinated],
] as const)("a call to %s", (_kind, open) => {
  const cases = scenarios
    .filter(goesThrough)
    .map((scenario) => [nameOf(scenario), new Case(scenario, () => world, open)] as const);

  it.each(cases)("is made once by %s", async (_name, tested) => {
    expect((await tested.expected()).otherCalls).toEqual(["attempt"]);
  });

  it.each(cases)("may fail, before it runs or after, during %s", async (_name, tested) => {
    const { once } = await tested.expected();
    for (const fault of ["before", "lost"] as const) {
      const { line, played } = await tested.play({
        others: (index) => (index === 0 ? fault : null),
      });
      expect(tally.add("single", played).text, fault).toBe(once.text);
      // The retry went past the coordinator.
      expect(line.others.calls).toEqual([{ name: "attempt", fault, ran: fault === "lost" }]);
    }
  });

  it.each(cases)("may fail, with a call to D1 around it, during %s", async (_name, tested) => {
    const { once, d1Calls } = await tested.expected();
    for (const fault of ["before", "lost"] as const) {
      for (let index = 0; index < d1Calls + 2; index += 1) {
        for (const other of [D1_FAULTS.before, D1_FAULTS.lost]) {
          const { line, played } = await tested.play({
            d1: planOf({ [index]: other }),
            others: (made) => (made === 0 ? fault : null),
          });
          if (line.d1.calls[index] === undefined) continue;
          const cell = `attempt ${fault}, D1 ${other.kind} at ${index}`;
          expect(tally.add("with D1", played).text, cell).toBe(once.text);
          expect(line.d1.calls[index], cell).toMatchObject({ fault: other });
          expect(line.others.calls[0], cell).toMatchObject({ fault });
        }
      }
    }
  });

  it.each(cases)("may fail always: nothing but order depends on it, in %s", async (_n, tested) => {
    const { once } = await tested.expected();
    for (const fault of ["before", "lost"] as const) {
      const { line, played } = await tested.play({ others: () => fault });
      expect(tally.add("outage", played).text, fault).toBe(once.text);
      expect(line.others.calls).toMatchObject([{ fault }]);
    }
  });

  it.each(cases)("is refused when it lands late, after %s", async (_name, tested) => {
    const { once } = await tested.expected();
    const { line, played } = await tested.play({
      others: (index) => (index === 0 ? "late" : null),
    });
    expect(tally.add("late", played).text).toBe(once.text);
    expect(line.others.calls).toEqual([{ name: "attempt", fault: "late", ran: false }]);
    expect(await line.others.land()).toMatchObject([{ ok: false, error: { code: "UNAVAILABLE" } }]);
    expect(line.others.calls).toEqual([{ name: "attempt", fault: "late", ran: true }]);
    expect((await seen(played.outcome)).text).toBe(once.text);
  });
});
