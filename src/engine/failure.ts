/** How a stage says what its failure means. Pure. */
import { RETRY_MS_MAX } from "../model/limits.ts";
import { type Duration, durationMs } from "./duration.ts";

/**
 * The member by which the engine knows its own signs. An app and the engine may have loaded two
 * copies of this package, and an error that crossed RPC is a plain `Error` with its members:
 * `instanceof` holds in neither case.
 */
export const MARK = "~stage";

/**
 * Thrown by a stage, ends it and its run as FAILED at once, whatever its retry policy says. Anything
 * else that a stage throws is tried again while attempts are left.
 * @example
 * const links = stage({
 *   async run({ env }) {
 *     const response = await fetch("https://example.com/");
 *     if (response.status === 404) throw new Fatal("the page is gone");
 *     return { status: response.status };
 *   },
 * });
 */
export class Fatal extends Error {
  override readonly name = "Fatal";
  readonly [MARK] = "fatal";
}

/**
 * Thrown by a stage, sets the time of its next try instead of the policy's backoff. It counts as an
 * attempt: after the last one the stage fails with this error's message. At most 31 days.
 * @throws INVALID_ARGUMENT, when it is made, for a duration that is none; with `limit` in milliseconds
 * for a longer one.
 * @example
 * const ask = stage({
 *   async run({ signal }) {
 *     const response = await fetch("https://api.example.com/", { signal });
 *     if (response.status === 429) throw new RetryAfter("30s", "the API is busy");
 *     return { text: await response.text() };
 *   },
 * });
 */
export class RetryAfter extends Error {
  override readonly name = "RetryAfter";
  readonly [MARK] = "retry-after";
  /** Milliseconds from now. */
  readonly afterMs: number;
  constructor(after: Duration, reason?: string, options?: ErrorOptions) {
    const afterMs = durationMs(after, "RetryAfter", { min: 0, max: RETRY_MS_MAX });
    super(reason ?? `to be tried again after ${after}`, options);
    this.afterMs = afterMs;
  }
}

/** Whether a value has the engine's sign of this meaning. */
export function marked(thrown: unknown, mark: string): thrown is object {
  return typeof thrown === "object" && thrown !== null && MARK in thrown && thrown[MARK] === mark;
}

/**
 * Whether a stage threw a {@link Fatal}: also one of another copy of this package, and one that
 * crossed RPC.
 * @example
 * console.log(isFatal(new Fatal("the page is gone"))); // true
 */
export function isFatal(thrown: unknown): thrown is Fatal {
  return marked(thrown, "fatal");
}

/**
 * Whether a stage threw a {@link RetryAfter}: also one of another copy of this package, and one that
 * crossed RPC. Its pause is whole milliseconds; a mark without them is no `RetryAfter`.
 * @example
 * const pauseOf = (thrown: unknown) => (isRetryAfter(thrown) ? thrown.afterMs : null);
 */
export function isRetryAfter(thrown: unknown): thrown is RetryAfter {
  if (!marked(thrown, "retry-after") || !("afterMs" in thrown)) return false;
  return (
    typeof thrown.afterMs === "number" &&
    Number.isSafeInteger(thrown.afterMs) &&
    thrown.afterMs >= 0
  );
}
