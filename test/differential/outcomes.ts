/** Whether two callers saw the same. */
import { ServiceError, StaleVersionError } from "../../src/contract/index.ts";
import type { Answer, Outcome, Performed } from "./perform.ts";
import { type Pairs, shown } from "./pairs.ts";

type Described = { readonly value: unknown } | { readonly thrown: unknown };

/** An outcome as plain data: of an error, everything that a caller may look at. */
export function described(outcome: Outcome): Described {
  if (outcome.ok) return { value: outcome.value };
  const { error } = outcome;
  if (!(error instanceof Error)) return { thrown: error };
  const { cause: _cause, stack: _stack, ...own } = error as Error & Record<string, unknown>;
  return { thrown: { ...own, name: error.name, message: error.message } };
}

/**
 * Of an update that makes a row too large, D1 knows the size of what was to be set and memory that of the whole row.
 * The code and the limit are the same.
 */
function relaxed(d1: Outcome, memory: Outcome): readonly [Described, Described] {
  const both = [d1, memory].map((outcome) => tooLarge(outcome));
  const [a, b] = both;
  if (a === null || b === null || a === undefined || b === undefined) {
    return [described(d1), described(memory)];
  }
  return [{ thrown: a }, { thrown: b }];
}

function tooLarge(outcome: Outcome): unknown {
  if (outcome.ok || !(outcome.error instanceof Error)) return null;
  const error = outcome.error as Error & { code?: unknown; details?: { limit?: unknown } };
  return error.code === "PAYLOAD_TOO_LARGE"
    ? { code: error.code, limit: error.details?.limit, name: error.name }
    : null;
}

export function differenceOfAnswers(d1: Answer, memory: Answer, pairs: Pairs): string | null {
  const [left, right] =
    grew(d1) || grew(memory)
      ? relaxed(d1.outcome, memory.outcome)
      : [described(d1.outcome), described(memory.outcome)];
  return pairs.difference(left, right, d1.method);
}

/** Methods whose row may hold something already. */
const GROWING = new Set<Answer["method"]>([
  "updateRun",
  "updateStage",
  "updateStageByRunAndStageId",
  "upsertStage",
  "saveArtifact",
  "fail",
  "withTransaction",
]);

function grew({ method, outcome }: Answer): boolean {
  return GROWING.has(method) && tooLarge(outcome) !== null;
}

/** Where two performances of one part differ; null when nowhere. New ids become pairs. */
export function differenceOfPerformed(
  d1: Performed,
  memory: Performed,
  pairs: Pairs,
): string | null {
  if (d1.answers.length !== memory.answers.length) {
    return `D1 gave ${d1.answers.length} answers, memory ${memory.answers.length}`;
  }
  for (const [index, answer] of d1.answers.entries()) {
    const other = memory.answers[index];
    if (other === undefined) return `Memory gave no answer ${index}`;
    const found = differenceOfAnswers(answer, other, pairs);
    if (found !== null) return found;
  }
  return d1.runs === memory.runs
    ? null
    : `The callback ran ${d1.runs} times on D1 and ${memory.runs} times in memory`;
}

/** A method throws only errors of these two classes; a callback may throw anything. */
export function requireFault({ method, outcome }: Answer): void {
  if (outcome.ok || method === "withTransaction") return;
  const { error } = outcome;
  if (error instanceof ServiceError || error instanceof StaleVersionError) return;
  throw new Error(`${method} threw what is no fault: ${String(error)}`, { cause: error });
}

export function shownOutcome({ method, outcome }: Answer): string {
  return `${method}: ${shown(described(outcome))}`;
}
