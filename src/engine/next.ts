/**
 * What a run comes to next, by its plan. Conditions and durations that stand in the plan are the app's
 * code: one that throws is left open, and is decided when its own element is delivered, where it fails
 * as a stage does.
 */
import { decodeJson, encodeJson } from "../model/json.ts";
import { JOB_MAX_ATTEMPTS_DEFAULT } from "../model/limits.ts";
import type { DecisionContext } from "./context.ts";
import type { Definition } from "./definition.ts";
import type { Before, First, JsonText, Next, NextStage, StageTools } from "./delivery.ts";
import { durationMs } from "./duration.ts";
import type { PlannedElement, PlannedSleep } from "./plan.ts";
import { callOf, type StageFunction } from "./stage.ts";

/** Reads what earlier stages gave. */
export type Outputs = Pick<StageTools, "output">;

/** The element as a run comes to it, to be run. */
export function nextStage(element: PlannedElement): NextStage {
  const { id, name, number } = element;
  switch (element.kind) {
    case "stage":
    case "conditional": {
      const { retry, timeoutMs, concurrency } = element;
      return { id, name, number, attempts: retry.attempts, timeoutMs, concurrency, waits: null };
    }
    case "wait":
    case "sleep": {
      const tries = { attempts: JOB_MAX_ATTEMPTS_DEFAULT, timeoutMs: null };
      return { id, name, number, ...tries, concurrency: null, waits: null };
    }
  }
}

/** What comes before: a run's input, what a stage gave, or what each stage of a group gave, by id. */
export function valueBefore({ group, outputs }: Before, { plan }: Definition): unknown {
  const given = (id: string) => decodeJson(outputs[id] ?? "null");
  if (group === 0) return given("");
  const members = plan.groups[group - 1] ?? [];
  const [only] = members;
  if (only !== undefined && members.length === 1) return given(only.id);
  return Object.fromEntries(members.map(({ id }) => [id, given(id)]));
}

/** Reads each output once, however often it is asked for. */
export function reader(outputs: Outputs): (id: string) => Promise<unknown> {
  const read = new Map<string, Promise<JsonText | null>>();
  return async (id) => {
    const found = read.get(id) ?? outputs.output(id);
    read.set(id, found);
    const text = await found;
    return text === null ? undefined : decodeJson(text);
  };
}

/** What comes after a group that gave `before`, or that let it pass. */
export async function nextAfter(
  definition: Definition,
  group: number,
  before: Before,
  outputs: Outputs,
): Promise<Exclude<Next, { kind: "join" }>> {
  const input = valueBefore(before, definition);
  const context = { input, output: reader(outputs) };
  const skipped: (NextStage & { readonly group: number })[] = [];
  for (const members of definition.plan.groups.slice(group)) {
    const [first, ...others] = members;
    if (first === undefined) continue;
    const come = others.length > 0 ? nextStage(first) : await entering(first, context);
    if (come !== null) {
      const stages = [come, ...others.map(nextStage)];
      return { kind: "group", group: first.group, stages, skipped };
    }
    skipped.push({ ...nextStage(first), group: first.group });
  }
  return { kind: "finish", output: encodeJson(input, "output") };
}

/** Where a run of the workflow begins. Nothing was given yet that a condition could read. */
export async function firstOf(definition: Definition, input: unknown): Promise<First> {
  const before = { group: 0, outputs: { "": encodeJson(input, "input") } };
  return nextAfter(definition, 0, before, { output: async () => null });
}

type Context = DecisionContext<unknown, Readonly<Record<string, unknown>>>;

/** The element as the run comes to it; null: its condition is not met. */
async function entering(element: PlannedElement, context: Context): Promise<NextStage | null> {
  const stage = nextStage(element);
  switch (element.kind) {
    case "stage":
      return stage;
    case "wait":
      return { ...stage, waits: { for: "signal", ms: element.timeoutMs } };
    case "conditional": {
      const met = await orOpen(async () => isMet(element.when, context));
      return met === false ? null : stage;
    }
    case "sleep": {
      const ms = await orOpen(async () => sleepMs(element, context));
      return ms === undefined ? stage : { ...stage, waits: { for: "time", ms } };
    }
  }
}

/** Undefined where the app's code throws: the element's own delivery finds out why. */
async function orOpen<T>(decide: () => Promise<T>): Promise<T | undefined> {
  return decide().catch(() => undefined);
}

/** Whether a condition of the plan is met. */
export async function isMet(when: StageFunction, context: Context): Promise<boolean> {
  return Boolean(await callOf(when, context));
}

/** @throws INVALID_ARGUMENT for a function that answers no duration. */
export async function sleepMs({ duration }: PlannedSleep, context: Context): Promise<number> {
  return "ms" in duration
    ? duration.ms
    : durationMs(await callOf(duration.decide, context), "sleep");
}
