/** What came of an error, whatever was thrown. Pure. */
import { JOB_ERROR_BYTES_MAX } from "../model/limits.ts";
import { encodeText, utf8Length } from "../model/text.ts";
import { shown } from "./duration.ts";
import { isFatal, isRetryAfter } from "./failure.ts";
import { DURATION_MS_MAX } from "./limits.ts";
import type { RetryPolicy } from "./plan.ts";

/** Of a thrown object, anything may throw in turn. */
function unlessItThrows<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** The reason, as it is stored. Never throws, and is never empty. */
export function reasonOf(thrown: unknown): string {
  return fitting(unlessItThrows(() => wordsOf(thrown), "It threw what cannot be shown."));
}

function wordsOf(thrown: unknown): string {
  // An error that crossed RPC, or comes from another realm, is known by its message.
  const message: unknown =
    typeof thrown === "object" && thrown !== null && "message" in thrown ? thrown.message : null;
  if (typeof message === "string" && message !== "") return message;
  if (thrown instanceof Error) return `It threw ${thrown.name} without a message.`;
  return `It threw what is no error: ${shown(thrown)}`;
}

function fitting(text: string): string {
  if (utf8Length(encodeText(text)) <= JOB_ERROR_BYTES_MAX) return text;
  // A UTF-16 unit takes at most six bytes, as an escape in JSON.
  return `${text.slice(0, JOB_ERROR_BYTES_MAX / 6 - 8).toWellFormed()}...`;
}

/** Of a sum of doublings: larger ones are beyond every cap. */
const DOUBLINGS_MAX = 50;

/** When to try again; null: not. Never throws. */
export function retryMs(thrown: unknown, policy: RetryPolicy, triesLeft: number): number | null {
  if (triesLeft <= 0 || unlessItThrows(() => isFatal(thrown), false)) return null;
  const asked = unlessItThrows(() => (isRetryAfter(thrown) ? thrown.afterMs : null), null);
  if (asked !== null) return Math.min(asked, DURATION_MS_MAX);
  // Attempts go on counting through reruns; the tries that are left do not.
  const failures = Math.max(1, policy.attempts - triesLeft);
  const doublings = Math.min(failures - 1, DOUBLINGS_MAX);
  return Math.min(policy.backoffMs * 2 ** doublings, policy.capMs);
}
