/** The families of faults in calls to D1, for every scenario given. */
import { beforeAll, describe, expect, it } from "vitest";
import { D1_FAULTS, type D1Fault } from "../../../src/testing/faulty-d1.ts";
import { nameOf, type Scenario } from "../scenarios/index.ts";
import { Case, cellOf, expectInjected, type Faults, planOf } from "./case.ts";
import { embedded } from "./line.ts";
import { faultOf, seen } from "./play.ts";
import { Tally } from "./tally.ts";
import { withoutPauses } from "./time.ts";
import { createWorld, type World } from "./world.ts";

const { lost, late, overloaded } = D1_FAULTS;
const failed = D1_FAULTS.before;
/** Whoever settles a commit makes further attempts at it fail with this. */
const REFUSED = /wfe:fenced/;

export function describeMatrix(name: string, scenarios: readonly Scenario[]): void {
  describe(`faults of D1: ${name}`, () => {
    const tally = new Tally(name);
    let world: World;
    beforeAll(async () => {
      world = await createWorld();
      withoutPauses();
    });
    const cases = scenarios.map(
      (scenario) => [nameOf(scenario), new Case(scenario, () => world, embedded)] as const,
    );
    describe.each(cases)("%s", (_name, tested) => {
      it("does what it says when it is made again", () => repeats(tested));
      it("has one effect, and tells the truth, whichever call fails", () => single(tested, tally));
      it("does so whichever two calls fail", () => double(tested, tally));
      it("is UNAVAILABLE in an outage, after which a repeat converges", () =>
        outage(tested, tally));
      it("is not changed by a call that lands when it is over", () => zombie(tested, tally));
      it("is OVERLOADED only if nothing was written", () => overload(tested, tally));
    });
  });
}

async function repeats(tested: Case): Promise<void> {
  const { once, twice, d1Calls } = await tested.expected();
  const { repeat } = tested.scenario;
  expect(d1Calls).toBeGreaterThan(0);
  if (repeat === "the same") expect(twice.text).toBe(once.text);
  else if ("adds" in repeat) expect(twice.state).not.toBe(once.state);
  else {
    expect(twice.state).toBe(once.state);
    expect(twice.text).not.toBe(once.text);
    if ("fails" in repeat) expect(faultOf(twice.outcome)).toBe(repeat.fails);
    else expect(twice.outcome).toEqual({ answer: repeat.answers });
  }
}

/** As without faults. Answers how many calls it took. */
async function unharmed(tested: Case, faults: Faults, family: string, tally: Tally) {
  const { once } = await tested.expected();
  const { line, played } = await tested.play({ d1: planOf(faults) });
  expect(tally.add(family, played).text, cellOf(faults)).toBe(once.text);
  expectInjected(line.d1.calls, faults, cellOf(faults));
  return line.d1.calls.length;
}

async function single(tested: Case, tally: Tally): Promise<void> {
  const { d1Calls } = await tested.expected();
  for (let index = 0; index < d1Calls; index += 1) {
    for (const fault of [failed, lost]) {
      await unharmed(tested, { [index]: fault }, "single", tally);
    }
  }
}

/** The reads with which a transaction begins are all alike: combinations begin with its last calls. */
function firstOfLast(d1Calls: number): number {
  return Math.max(0, d1Calls - 2);
}

/** The second fault is so near the first that it hits its recovery, or the call that comes next. */
const APART_MAX = 2;

async function double(tested: Case, tally: Tally): Promise<void> {
  const { d1Calls } = await tested.expected();
  for (let first = firstOfLast(d1Calls); first < d1Calls; first += 1) {
    for (const fault of [failed, lost]) {
      const { line } = await tested.play({ d1: planOf({ [first]: fault }) });
      const end = Math.min(line.d1.calls.length, first + 1 + APART_MAX);
      for (let second = first + 1; second < end; second += 1) {
        for (const next of [failed, lost]) {
          await unharmed(tested, { [first]: fault, [second]: next }, "double", tally);
        }
      }
    }
  }
}

async function outage(tested: Case, tally: Tally): Promise<void> {
  const { d1Calls, before, once, twice } = await tested.expected();
  for (let start = 0; start < d1Calls; start += 1) {
    for (const fault of [failed, lost]) {
      const cell = `${fault.kind} from call ${start} on`;
      const { line, played } = await tested.play({
        d1: ({ index }) => (index < start ? null : fault),
      });
      expect(faultOf(tally.add("outage", played).outcome), cell).toBe("UNAVAILABLE");
      const hit = line.d1.calls.slice(start);
      expect(hit.length, cell).toBeGreaterThan(1);
      expect(
        hit.every((call) => call.fault === fault && call.ran === (fault === lost)),
        cell,
      ).toBe(true);
      const landed = landedIn(played.state, before, once.state, cell);
      expect((await tested.repeat(line)).text, cell).toBe((landed ? twice : once).text);
    }
  }
}

/** Whether the call had its effect. It has the whole of it or none. */
function landedIn(state: string, before: string, after: string, cell: string): boolean {
  expect([before, after], cell).toContain(state);
  return state !== before;
}

async function zombie(tested: Case, tally: Tally): Promise<void> {
  const { d1Calls, once } = await tested.expected();
  for (let index = firstOfLast(d1Calls); index < d1Calls; index += 1) {
    for (const next of [null, failed, lost, late]) {
      const faults: Record<number, D1Fault> = { [index]: late };
      if (next !== null) faults[index + 1] = next;
      const cell = cellOf(faults);
      const { line, played } = await tested.play({ d1: planOf(faults) });
      expect(tally.add("late", played).text, cell).toBe(once.text);
      expectInjected(line.d1.calls, faults, cell);
      const landed = await line.d1.release();
      expect(landed.length, cell).toBe(next === late ? 2 : 1);
      for (const { statements, ran, refusal } of landed) {
        expect(ran, cell).toBe(true);
        const attempt = REFUSED.test(statements[0] ?? "");
        expect(REFUSED.test(refusal ?? ""), cell).toBe(attempt);
      }
      expect((await seen(played.outcome)).text, cell).toBe(once.text);
    }
  }
}

/** An overload before anything was written says so; one while a lost answer is looked for must not. */
async function overload(tested: Case, tally: Tally): Promise<void> {
  const { d1Calls, before, once, twice } = await tested.expected();
  for (let index = firstOfLast(d1Calls); index < d1Calls; index += 1) {
    const cells: Faults[] = [
      { [index]: overloaded },
      { [index]: failed, [index + 1]: overloaded },
      { [index]: failed, [index + 2]: overloaded },
      { [index]: lost, [index + 1]: overloaded },
      { [index]: lost, [index + 2]: overloaded },
    ];
    for (const faults of cells) {
      const cell = cellOf(faults);
      const { line, played } = await tested.play({ d1: planOf(faults) });
      // Some methods make fewer calls.
      if (Object.keys(faults).some((call) => line.d1.calls[Number(call)] === undefined)) continue;
      expectInjected(line.d1.calls, faults, cell);
      const fault = faultOf(tally.add("overload", played).outcome);
      if (faults[index] === overloaded) expect(fault, cell).toBe("OVERLOADED");
      if (fault === "OVERLOADED") expect(played.state, cell).toBe(before);
      if (fault === "OVERLOADED" || fault === "UNAVAILABLE") {
        const landed = landedIn(played.state, before, once.state, cell);
        expect((await tested.repeat(line)).text, cell).toBe((landed ? twice : once).text);
      } else expect(played.text, cell).toBe(once.text);
    }
  }
}
