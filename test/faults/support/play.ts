/** Makes a scenario's call, and tells what came of it. */
import { expect } from "vitest";
import { nameOf, type Scenario } from "../scenarios/index.ts";
import { type Database, normalised, readDatabase, visible, writeDatabase } from "./database.ts";
import type { Line } from "./line.ts";
import type { World } from "./world.ts";

export type Outcome =
  | { readonly answer: unknown }
  | { readonly fault: Readonly<Record<string, unknown>> };

export interface Played {
  readonly outcome: Outcome;
  /** The database, as callers see it. */
  readonly state: string;
  /** The outcome and the database: equal texts are the same answer and the same effect. */
  readonly text: string;
}

/** What a scenario comes to without faults. */
export interface Expected {
  readonly scenario: Scenario;
  /** How many calls it makes to D1. */
  readonly d1Calls: number;
  /** The names of those that it makes to coordinators, or to the session. */
  readonly otherCalls: readonly string[];
  /** The database before. */
  readonly before: string;
  readonly once: Played;
  /** Made a second time by the same caller. */
  readonly twice: Played;
}

/** The world as it was, a new connection, and what the scenario prepares. */
export async function prepare(scenario: Scenario, world: World, open: () => Line): Promise<Line> {
  await writeDatabase(world.database);
  const line = open();
  await scenario.prepare?.(line.backend, world, open().backend);
  line.d1.restart();
  line.others.restart();
  return line;
}

export async function make(scenario: Scenario, world: World, line: Line): Promise<Played> {
  return seen(await outcomeOf(() => scenario.call(line.backend, world)));
}

/** The outcome, with the database as it is now. */
export async function seen(outcome: Outcome): Promise<Played> {
  const database: Database = visible(await readDatabase());
  return { outcome, state: normalised(database), text: normalised({ outcome, database }) };
}

async function outcomeOf(call: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { answer: await call() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const own: object = Object.assign({}, error);
    return { fault: { ...own, name: error.name, message: error.message } };
  }
}

/** The fault's code, or else its name; null for an answer. */
export function faultOf(outcome: Outcome): unknown {
  return "fault" in outcome ? (outcome.fault["code"] ?? outcome.fault["name"]) : null;
}

export async function expected(
  scenario: Scenario,
  world: World,
  open: () => Line,
): Promise<Expected> {
  const line = await prepare(scenario, world, open);
  const { state: before } = await seen({ answer: null });
  const once = await make(scenario, world, line);
  const d1Calls = line.d1.calls.length;
  const otherCalls = line.others.calls.map(({ name }) => name);
  const twice = await make(scenario, world, line);
  expect(faultOf(once.outcome), nameOf(scenario)).not.toBe("UNAVAILABLE");
  return { scenario, d1Calls, otherCalls, before, once, twice };
}
