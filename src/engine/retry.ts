/** When a stage that has failed is tried again. Pure. */
import { JOB_MAX_ATTEMPTS_DEFAULT, RETRY_CAP_MS, RETRY_MS_MAX } from "../model/limits.ts";
import { isFatal, isRetryAfter } from "./failure.ts";
import { BACKOFF_MS_DEFAULT } from "./limits.ts";
import { unlessItThrows } from "./thrown.ts";

/** When a failed stage is tried again. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attempts: number;
  /** The pause after the first failure; it doubles with each further one. */
  readonly backoffMs: number;
  /** No pause is longer. */
  readonly capMs: number;
}

/** Waits and sleeps have no policy of their own. */
export const PLAIN_RETRY: RetryPolicy = {
  attempts: JOB_MAX_ATTEMPTS_DEFAULT,
  backoffMs: BACKOFF_MS_DEFAULT,
  capMs: RETRY_CAP_MS,
};

/** Of a sum of doublings: larger ones are beyond every cap. */
const DOUBLINGS_MAX = 50;

/** When to try again; null: not. Never throws. */
export function retryMs(thrown: unknown, policy: RetryPolicy, triesLeft: number): number | null {
  if (triesLeft <= 0 || unlessItThrows(() => isFatal(thrown), false)) return null;
  const asked = unlessItThrows(() => (isRetryAfter(thrown) ? thrown.afterMs : null), null);
  if (asked !== null) return Math.min(asked, RETRY_MS_MAX);
  // Attempts go on counting through reruns; the tries that are left do not.
  const failures = Math.max(1, policy.attempts - triesLeft);
  const doublings = Math.min(failures - 1, DOUBLINGS_MAX);
  return Math.min(policy.backoffMs * 2 ** doublings, policy.capMs);
}
