/** When a failed job is tried again. */
import { type RetryBackoff } from "../changes/index.ts";
import { RETRY_BASE_MS, RETRY_CAP_MS } from "../model/index.ts";
import { invalid } from "./encode.ts";

export interface RetryOptions {
  /** Delivery n is followed by a pause of this times 2^n. Milliseconds; default 1,000, so 2 s, 4 s, 8 s. */
  readonly baseMs?: number;
  /** The longest pause. Milliseconds; default 3,600,000. */
  readonly capMs?: number;
  /** A pause is longer by up to this part of it, at random. 0 to 1; default 0. */
  readonly jitter?: number;
}

const DAY_MS = 86_400_000;

/** @throws INVALID_ARGUMENT with the field. */
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

/** The pause of one failure, with its share of chance. */
export function drawBackoff({ baseMs, capMs, jitter }: Required<RetryOptions>): RetryBackoff {
  return { baseMs, capMs, jitterPermille: Math.floor(Math.random() * jitter * 1_000) };
}
