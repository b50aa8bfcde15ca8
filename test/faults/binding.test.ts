/** Faults of the way to the service: opening a session, and each of its calls. */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { nameOf, scenarios } from "./scenarios/index.ts";
import { Case } from "./support/case.ts";
import { bound } from "./support/line.ts";
import { faultOf, seen } from "./support/play.ts";
import { Tally } from "./support/tally.ts";
import { NOW, withoutPauses } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

const tally = new Tally("calls over a service binding");
let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
  // The service has no clock to set: it runs in this isolate, with this one.
  vi.spyOn(Date, "now").mockReturnValue(NOW);
  vi.spyOn(performance, "now").mockReturnValue(0);
});

const cases = scenarios.map(
  (scenario) => [nameOf(scenario), new Case(scenario, () => world, bound)] as const,
);
/** Enough of them for what is the same everywhere. */
const third = cases.filter((_, index) => index % 3 === 0);

describe("a call over a service binding", () => {
  it.each(cases)("may fail, before it arrives or after, during %s", async (_name, tested) => {
    const { once, otherCalls } = await tested.expected();
    expect(otherCalls.length).toBeGreaterThan(0);
    for (const [index, call] of otherCalls.entries()) {
      // Every connection begins with these calls.
      const common = call === "open" || call === "now";
      if (common && !third.some(([, one]) => one === tested)) continue;
      for (const fault of ["before", "lost"] as const) {
        const { line, played } = await tested.play({
          others: (made) => (made === index ? fault : null),
        });
        const cell = `${call} ${fault}`;
        expect(tally.add("single", played).text, cell).toBe(once.text);
        expect(line.others.calls[index], cell).toMatchObject({ fault, ran: fault === "lost" });
      }
    }
  });

  it.each(third)("may fail together with the next, during %s", async (_name, tested) => {
    const { once, otherCalls } = await tested.expected();
    for (let index = 0; index < otherCalls.length; index += 1) {
      for (const next of [index + 1, index + 2]) {
        const { line, played } = await tested.play({
          others: (made) => (made === index || made === next ? "lost" : null),
        });
        if (line.others.calls[next] === undefined) continue;
        const cell = `lost at ${index} and ${next}`;
        expect(tally.add("double", played).text, cell).toBe(once.text);
        expect(line.others.calls[index], cell).toMatchObject({ fault: "lost", ran: true });
        expect(line.others.calls[next], cell).toMatchObject({ fault: "lost", ran: true });
      }
    }
  });

  it.each(third)("is UNAVAILABLE in an outage, after which %s converges", async (_n, tested) => {
    const { before, once, twice, otherCalls } = await tested.expected();
    for (let start = 0; start < otherCalls.length; start += 1) {
      for (const fault of ["before", "lost"] as const) {
        const { line, played } = await tested.play({
          others: (made) => (made < start ? null : fault),
        });
        const cell = `${fault} from call ${start} on`;
        expect(faultOf(tally.add("outage", played).outcome), cell).toBe("UNAVAILABLE");
        expect(line.others.calls.slice(start).every((call) => call.fault === fault)).toBe(true);
        expect([before, once.state], cell).toContain(played.state);
        const expected = played.state === before ? once : twice;
        expect((await tested.repeat(line)).text, cell).toBe(expected.text);
      }
    }
  });

  it.each(third)("changes nothing when it arrives late, after %s", async (_name, tested) => {
    const { once, otherCalls } = await tested.expected();
    for (const [index, name] of otherCalls.entries()) {
      const { line, played } = await tested.play({
        others: (made) => (made === index ? "late" : null),
      });
      expect(tally.add("late", played).text, name).toBe(once.text);
      const answers = await line.others.land();
      expect(line.others.calls[index], name).toMatchObject({ fault: "late", ran: true });
      if (name === "attempt") {
        expect(answers).toMatchObject([{ ok: false, error: { code: "UNAVAILABLE" } }]);
      }
      expect((await seen(played.outcome)).text, name).toBe(once.text);
    }
  });
});
