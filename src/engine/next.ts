/** What a run comes to next. Decides what can be decided at once. Pure. */
import { encodeJson, decodeJson } from "../model/json.ts";
import { unlessLate } from "../model/deadline.ts";
import { JOB_MAX_ATTEMPTS_DEFAULT } from "../model/limits.ts";
import { requireStored } from "./stored.ts";
import type { Definition } from "./definition.ts";
import type { First, JsonText, NextStage, SkippedStage } from "./delivery.ts";
import { durationMs } from "./duration.ts";
import { DECISION_MS_MAX, SKIPPED_MAX } from "./limits.ts";
import { OutputReader } from "./outputs.ts";
import type { PlannedConditional, PlannedElement, PlannedSleep } from "./plan.ts";

/** What is decided, from the input and the outputs before it. */
interface Deciding {
  readonly input: JsonText;
  readonly outputs: OutputReader;
}

/**
 * Where a run of this input begins.
 * @param input as {@link checkedInput} makes it.
 * @throws INVALID_ARGUMENT; PAYLOAD_TOO_LARGE.
 */
export async function firstOf(definition: Definition, input: unknown): Promise<First> {
  const text = encodeJson(input, "input");
  const nothing = new OutputReader(definition, { group: 0, outputs: {} }, async () => null);
  return nextOf(definition, 0, { input: text, outputs: nothing }, DECISION_MS_MAX);
}

/**
 * What comes after a group that is done. Stages whose conditions are not met are passed over, at most
 * SKIPPED_MAX of them. What cannot be decided is a stage to be run: its own delivery decides, and fails
 * by its own policy.
 * @throws PAYLOAD_TOO_LARGE for an end that is too large to be stored.
 */
export async function nextOf(
  definition: Definition,
  done: number,
  { input, outputs }: Deciding,
  decisionMs: number,
): Promise<First> {
  const skipped: SkippedStage[] = [];
  for (const members of definition.plan.groups.slice(done)) {
    const [only] = members;
    if (only === undefined) continue;
    if (members.length === 1 && only.kind === "conditional") {
      const met =
        skipped.length < SKIPPED_MAX
          ? await decidedOrNull(() => isMet(only, { input, outputs }), decisionMs)
          : null;
      if (met === false) {
        skipped.push({ ...nextStage(only), group: only.group });
        outputs.know(only.id, null);
        continue;
      }
      const stage = nextStage(only, { decides: met === null });
      return { kind: "group", group: only.group, stages: [stage], skipped };
    }
    const stages: NextStage[] = [];
    for (const member of members) {
      const waits = await waitsOf(member, { input, outputs }, decisionMs);
      stages.push(nextStage(member, { waits }));
    }
    return { kind: "group", group: only.group, stages, skipped };
  }
  requireStored(input, "output");
  return { kind: "finish", output: input, skipped };
}

/** Null: it failed, or took too long. The stage's own delivery will tell the reason. */
async function decidedOrNull<T>(decide: () => Promise<T>, decisionMs: number): Promise<T | null> {
  try {
    return await unlessLate(decide(), decisionMs, () => new Error("undecided"));
  } catch {
    return null;
  }
}

/** The element as a run comes to it: it is to be run, unless it waits or decides first. */
export function nextStage(
  element: PlannedElement,
  { waits = null, decides = false }: Partial<Pick<NextStage, "waits" | "decides">> = {},
): NextStage {
  const working = "step" in element ? element : null;
  return {
    id: element.id,
    name: element.name,
    number: element.number,
    attempts: working?.retry.attempts ?? JOB_MAX_ATTEMPTS_DEFAULT,
    timeoutMs: working?.timeoutMs ?? null,
    concurrency: working?.concurrency ?? null,
    waits,
    decides,
  };
}

async function waitsOf(
  element: PlannedElement,
  deciding: Deciding,
  decisionMs: number,
): Promise<NextStage["waits"]> {
  switch (element.kind) {
    case "stage":
    case "conditional":
      return null;
    case "wait":
      return { for: "signal", ms: element.timeoutMs };
    case "sleep": {
      const ms = await decidedOrNull(() => sleepMs(element, deciding), decisionMs);
      return ms === null ? null : { for: "time", ms };
    }
  }
}

/** @throws what the condition throws, and TypeError for an answer that is not true or false. */
export async function isMet(element: PlannedConditional, deciding: Deciding): Promise<boolean> {
  const met: unknown = await decision(element, element.when, deciding);
  if (typeof met === "boolean") return met;
  throw new TypeError(`The condition must answer true or false, and answered a ${typeof met}`);
}

/** @throws what the sleep's function throws, and INVALID_ARGUMENT for what is no duration. */
export async function sleepMs(element: PlannedSleep, deciding: Deciding): Promise<number> {
  if ("ms" in element.duration) return element.duration.ms;
  return durationMs(await decision(element, element.duration.decide, deciding), "sleep");
}

async function decision(
  element: PlannedElement,
  decide: (context: never) => unknown,
  { input, outputs }: Deciding,
): Promise<unknown> {
  const context = { input: decodeJson(input), output: outputs.readerFor(element) };
  return Reflect.apply(decide, undefined, [context]);
}
