/** What a contestant does, and what its runs answer. */
import type { Load } from "../protocol.ts";
import type { Env } from "./env.ts";

/**
 * Starts these runs at once, each with an id and a series of steps that do nothing but answer a value, and resolves when all have ended. Each
 * marks when its steps begin.
 */
export type Drive = (env: Env, ids: readonly string[], load: Load) => Promise<void>;

export interface StepValue {
  readonly step: number;
  readonly text: string;
}

export function valueOf(step: number, { valueBytes }: Load): StepValue {
  return { step, text: "0123456789abcdef".repeat(Math.ceil(valueBytes / 16)).slice(0, valueBytes) };
}
