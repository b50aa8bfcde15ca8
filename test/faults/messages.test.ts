/** What D1 says when it fails. */
import { beforeAll, describe, expect, it } from "vitest";
import { D1_MESSAGES } from "../../src/testing/faulty-d1.ts";
import { nameOf, scenarios } from "./scenarios/index.ts";
import { Case, planOf } from "./support/case.ts";
import { embedded } from "./support/line.ts";
import { faultOf } from "./support/play.ts";
import { withoutPauses } from "./support/time.ts";
import { createWorld, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
});

const cases = scenarios
  .filter((scenario) => ["jobs.dequeue", "persistence.getRun"].includes(nameOf(scenario)))
  .map((scenario) => new Case(scenario, () => world, embedded));
const overload = new Set<string>([D1_MESSAGES.queuedTooLong, D1_MESSAGES.tooManyQueued]);
const messages = Object.values(D1_MESSAGES);

describe("D1's message", () => {
  it.each(messages.filter((message) => !overload.has(message)))(
    "leaves the outcome unknown, which is found out: %s",
    async (message) => {
      for (const tested of cases) {
        const { once } = await tested.expected();
        for (const kind of ["before", "lost"] as const) {
          const { line, played } = await tested.play({ d1: planOf({ 0: { kind, message } }) });
          expect(played.text).toBe(once.text);
          expect(line.d1.calls[0]).toMatchObject({ fault: { kind, message } });
        }
      }
    },
  );

  it.each([...overload])("says that nothing was run: %s", async (message) => {
    for (const tested of cases) {
      const { before } = await tested.expected();
      const { line, played } = await tested.play({
        d1: planOf({ 0: { kind: "before", message } }),
      });
      expect(faultOf(played.outcome)).toBe("OVERLOADED");
      expect(played.state).toBe(before);
      // It is not for us to press on: the caller decides when to come back.
      expect(line.d1.calls.length).toBe(1);
    }
  });
});
