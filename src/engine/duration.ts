/** Spans of time as people write them, and as milliseconds. Pure. */
import { ServiceError } from "../contract/index.ts";
import { DURATION_MS_MAX } from "./limits.ts";

/**
 * A span of time: whole milliseconds, or a number with its unit, such as "250ms", "2s", "1.5m",
 * "12h" or "3d". At most 3,650 days. The compiler sees a wrong unit; the rest is checked when the
 * workflow is built.
 * @example
 * const pause: Duration = "90s";
 */
export type Duration = number | `${number}${Unit}`;

type Unit = "ms" | "s" | "m" | "h" | "d";
const UNIT_MS: Readonly<Record<Unit, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const TEXT = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** The smallest and the largest span that a field takes, in milliseconds. */
interface DurationRange {
  readonly min: number;
  readonly max: number;
}

const RULE =
  'must be whole milliseconds from 0, or text such as "250ms", "2s", "5m", "12h" or "3d"';

/** Characters of a refused value that the error repeats. */
const SHOWN_MAX = 60;

/** A value as an error repeats it. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;
}

/**
 * The milliseconds of a {@link Duration}, rounded to a whole one.
 * @param field names the value in the error, as in "retry.backoff".
 * @throws INVALID_ARGUMENT with `field`, and `limit` in milliseconds where a limit is exceeded.
 */
export function durationMs(
  value: unknown,
  field: string,
  { min, max }: DurationRange = { min: 0, max: DURATION_MS_MAX },
): number {
  const ms = parsed(value);
  if (ms === null) {
    throw new ServiceError("INVALID_ARGUMENT", `${field} ${RULE}; got ${shown(value)}`, { field });
  }
  if (ms >= min && ms <= max) return ms;
  const [bound, limit] = ms < min ? ["least", min] : ["most", max];
  throw new ServiceError(
    "INVALID_ARGUMENT",
    `${field} must be at ${bound} ${inWords(limit)}; got ${shown(value)}`,
    { field, limit },
  );
}

function parsed(value: unknown): number | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : null;
  const [, amount, unit] = (typeof value === "string" ? TEXT.exec(value) : null) ?? [];
  if (amount === undefined || !isUnit(unit)) return null;
  return Math.round(Number(amount) * UNIT_MS[unit]);
}

function isUnit(text: string | undefined): text is Unit {
  return text !== undefined && Object.hasOwn(UNIT_MS, text);
}

/** Milliseconds in the largest unit that holds them without a rest. */
export function inWords(ms: number): string {
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (ms > 0 && ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}
