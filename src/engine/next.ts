/** What a run comes to next, by its plan. Calls the conditions and durations that stand in it. */
import { decodeJson, encodeJson } from "../model/json.ts";
import type { Definition } from "./definition.ts";
import type { Before, First, JsonText, Next, NextStage, StageTools } from "./delivery.ts";
import { durationMs } from "./duration.ts";
import type { PlannedElement } from "./plan.ts";

export type Reader = Pick<StageTools, "output">;

export function nextStage(element: PlannedElement): NextStage {
  const { id, name, number } = element;
  const working = "retry" in element;
  return {
    id,
    name,
    number,
    attempts: working ? element.retry.attempts : 3,
    timeoutMs: working ? element.timeoutMs : null,
    concurrency: working ? element.concurrency : null,
    waits: null,
  };
}

export function valueOf({ outputs, group }: Before, definition: Definition): unknown {
  if (group === 0) return decodeJson(outputs[""] ?? "null");
  const members = definition.plan.groups[group - 1] ?? [];
  const [only] = members;
  if (members.length === 1 && only !== undefined) return decodeJson(outputs[only.id] ?? "null");
  return Object.fromEntries(members.map(({ id }) => [id, decodeJson(outputs[id] ?? "null")]));
}

export async function outputFor(tools: Reader, id: string): Promise<unknown> {
  const text: JsonText | null = await tools.output(id);
  return text === null ? undefined : decodeJson(text);
}

export async function nextAfter(
  definition: Definition,
  group: number,
  before: Before,
  tools: Reader,
): Promise<Exclude<Next, { then: "join" }>> {
  const skipped: (NextStage & { group: number })[] = [];
  const input = valueOf(before, definition);
  const context = { input, output: async (id: string) => outputFor(tools, id) };
  for (const members of definition.plan.groups.slice(group)) {
    const [only] = members;
    if (members.length > 1 || only === undefined) {
      return { then: "group", group: only?.group ?? 0, stages: members.map(nextStage), skipped };
    }
    const one = nextStage(only);
    const entering = (stage: NextStage) =>
      ({ then: "group", group: only.group, stages: [stage], skipped }) as const;
    try {
      if (only.kind === "wait")
        return entering({ ...one, waits: { for: "signal", ms: only.timeoutMs } });
      if (only.kind === "sleep") {
        const ms =
          "ms" in only.duration
            ? only.duration.ms
            : durationMs((await only.duration.decide(context as never)) as never, "sleep");
        return entering({ ...one, waits: { for: "time", ms } });
      }
      if (only.kind === "conditional" && (await only.when(context as never)) !== true) {
        skipped.push({ ...one, group: only.group });
        continue;
      }
    } catch {
      return entering(one);
    }
    return entering(one);
  }
  return { then: "finish", output: encodeJson(input, "output") };
}

export async function firstOf(definition: Definition, input: unknown): Promise<First> {
  const before = { group: 0, outputs: { "": encodeJson(input, "input") } };
  return nextAfter(definition, 0, before, { output: async () => null });
}
