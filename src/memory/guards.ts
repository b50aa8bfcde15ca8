/**
 * Guards on the maps. `changes/guard.ts` says what each of them demands, and `store/guards.ts` has
 * the SQL. Pure.
 */
import type { Guard, Violation } from "../changes/index.ts";
import { nextSignal } from "../model/index.ts";
import { lastOutboxEvent, type State } from "../model/state.ts";
import { findLiveJob } from "../queries/jobs.ts";
import { listTokens, violatedRow } from "./row-guards.ts";

/** The first guard that does not hold, or null when all hold. */
export function checkGuards(state: State, guards: readonly Guard[]): Violation | null {
  for (const [index, guard] of guards.entries()) {
    const actual = violated(state, guard);
    if (actual !== null) return { guard: index, actual };
  }
  return null;
}

function violated(state: State, guard: Guard): number | null {
  switch (guard.on) {
    case "dedupeKey":
      return findLiveJob(state, guard.dedupeKey) === null ? null : 0;
    case "noSignal": {
      const signals = state.signals.part(guard.workflowRunId).values();
      return nextSignal(signals, guard.name) === null ? null : 0;
    }
    case "list": {
      const tokens = listTokens(state, guard.list, guard.workflowRunId, guard.status);
      return tokens === guard.tokens ? null : 0;
    }
    case "outboxTail": {
      const last = lastOutboxEvent(state, guard.workflowRunId);
      return (last?.sequence ?? 0) === guard.sequence ? null : 0;
    }
    default:
      return violatedRow(state, guard);
  }
}
