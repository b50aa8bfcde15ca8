/** What stands in for the service while a stage runs: maps in memory, and a note of what was asked. */
import type { Before, DeliveredRun, StageDelivery, StageTools } from "../../src/engine/delivery.ts";
import type { Definition } from "../../src/engine/definition.ts";

export interface HeldTools extends StageTools {
  /** What was asked, in order. */
  readonly asked: string[];
  readonly kept: Map<string, string>;
}

export function toolsWith(
  outputs: Readonly<Record<string, string>> = {},
  rest: Partial<StageTools> = {},
): HeldTools {
  const asked: string[] = [];
  const kept = new Map<string, string>();
  return {
    asked,
    kept,
    async output(id) {
      asked.push(`output ${id}`);
      return outputs[id] ?? null;
    },
    async recall(key) {
      asked.push(`recall ${key}`);
      return kept.get(key) ?? null;
    },
    async keep(key, result) {
      asked.push(`keep ${key}`);
      const stored = kept.get(key) ?? result;
      kept.set(key, stored);
      return stored;
    },
    async artifact(key) {
      asked.push(`artifact ${key}`);
      return null;
    },
    async progress(done, total) {
      asked.push(`progress ${done} ${total}`);
    },
    aborted() {
      asked.push("aborted");
      return Promise.withResolvers<string>().promise;
    },
    ...rest,
  };
}

export function runOf(definition: Definition, config: unknown = {}): DeliveredRun {
  const { id, version, shape } = definition;
  return { id: "run-1", workflowId: id, version, shape, config: JSON.stringify(config) };
}

/** The first try of a stage, from this before it. */
export function deliveryOf(
  definition: Definition,
  stageId: string,
  rest: Partial<StageDelivery> = {},
): StageDelivery {
  const before: Before = { group: 0, outputs: { "": "null" } };
  return {
    run: runOf(definition),
    stageId,
    recordId: "record-1",
    attempt: 1,
    triesLeft: 2,
    occasion: { kind: "run" },
    before,
    ...rest,
  };
}
