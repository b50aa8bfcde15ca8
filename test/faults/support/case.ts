/** One scenario over one kind of connection, with what it comes to without faults. */
import { expect } from "vitest";
import type { D1Call, D1Fault, D1FaultPlan } from "../../../src/testing/faulty-d1.ts";
import type { Scenario } from "../scenarios/index.ts";
import type { CallPlan } from "./calls.ts";
import type { Line } from "./line.ts";
import { expected, type Expected, make, type Played, prepare } from "./play.ts";
import type { World } from "./world.ts";

export interface Plans {
  readonly d1?: D1FaultPlan;
  readonly others?: CallPlan;
}

export class Case {
  readonly scenario: Scenario;
  readonly #world: () => World;
  readonly #open: () => Line;
  #expected: Promise<Expected> | null = null;

  constructor(scenario: Scenario, world: () => World, open: () => Line) {
    this.scenario = scenario;
    this.#world = world;
    this.#open = open;
  }

  async expected(): Promise<Expected> {
    this.#expected ??= expected(this.scenario, this.#world(), this.#open);
    return this.#expected;
  }

  /** Makes the call in a fresh world, with these faults. */
  async play({ d1, others }: Plans): Promise<{ line: Line; played: Played }> {
    const line = await prepare(this.scenario, this.#world(), this.#open);
    line.d1.restart(d1);
    line.others.restart(others);
    return { line, played: await make(this.scenario, this.#world(), line) };
  }

  /** Makes the call again, without faults. */
  async repeat(line: Line): Promise<Played> {
    line.d1.restart();
    line.others.restart();
    return make(this.scenario, this.#world(), line);
  }
}

/** The faults by the index of their call. */
export type Faults = Readonly<Record<number, D1Fault>>;

export function planOf(faults: Faults): D1FaultPlan {
  return ({ index }) => faults[index] ?? null;
}

/** Holds the record of the calls against the plan: each fault was injected, and did what its name says. */
export function expectInjected(calls: readonly D1Call[], faults: Faults, cell: string): void {
  for (const [index, fault] of Object.entries(faults)) {
    const ran = fault.kind === "lost" || fault.kind === "hang";
    expect(calls[Number(index)], cell).toMatchObject({ fault, ran });
  }
  const others = calls.filter(({ index }) => faults[index] === undefined);
  expect(
    others.every(({ fault, ran }) => fault === null && ran),
    cell,
  ).toBe(true);
}

export function cellOf(faults: Faults): string {
  return Object.entries(faults)
    .map(([index, { kind, message }]) => `call ${index} ${kind} ${message ?? ""}`)
    .join(", ");
}
