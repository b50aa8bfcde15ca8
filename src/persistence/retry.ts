/**
 * How long a failed job waits before it is tried again: the options, and the pause of one failure.
 * Whether it is tried again is decided by its row: `failJob` in `changes/jobs.ts`, with its SQL in
 * `store/jobs.ts`.
 */
import { type RetryBackoff } from "../changes/index.ts";
import { RETRY_BASE_MS, RETRY_CAP_MS } from "../model/index.ts";
import { invalid } from "./encode.ts";

/**
 * When a failed job is tried again.
 * @example
 * const retry: RetryOptions = { baseMs: 500, capMs: 60_000, jitter: 0.2 };
 */
export interface RetryOptions {
  /**
   * The n-th failure of a job is followed by a pause of this times 2^n. Milliseconds, 0 to a day;
   * default 1,000: 2 s, 4 s, 8 s.
   */
  readonly baseMs?: number;
  /** The longest pause. Milliseconds, 0 to 31 days; default 3,600,000. */
  readonly capMs?: number;
  /** Each pause is longer by a random part of it, up to this one. 0 to 1; default 0. */
  readonly jitter?: number;
}

const DAY_MS = 86_400_000;

/**
 * The options with their defaults.
 * @throws INVALID_ARGUMENT with the field.
 */
export function retryOptions(options: RetryOptions = {}): Required<RetryOptions> {
  const { baseMs = RETRY_BASE_MS, capMs = RETRY_CAP_MS, jitter = 0 } = options;
  requireRange(Number.isInteger(baseMs), baseMs, DAY_MS, "retry.baseMs");
  requireRange(Number.isInteger(capMs), capMs, 31 * DAY_MS, "retry.capMs");
  requireRange(true, jitter, 1, "retry.jitter");
  return { baseMs, capMs, jitter };
}

function requireRange(whole: boolean, value: number, max: number, field: string): void {
  if (whole && value >= 0 && value <= max) return;
  throw invalid(`${field} must be a number from 0 to ${max}`, { field, limit: max });
}

/** The pause after a death is up to this many times as long as after another failure. */
const DEATH_SPREAD = 10;

/**
 * The pause after one failure. Chance is drawn here, since changes are pure. Where the worker
 * `died`, the base is random too, so that jobs that died together do not come back together.
 */
export function drawBackoff(
  { baseMs, capMs, jitter }: Required<RetryOptions>,
  died = false,
): RetryBackoff {
  const spread = died ? 1 + Math.random() * (DEATH_SPREAD - 1) : 1;
  return {
    baseMs: Math.min(Math.floor(baseMs * spread), DAY_MS),
    capMs,
    jitterPermille: Math.floor(Math.random() * jitter * 1_000),
  };
}
