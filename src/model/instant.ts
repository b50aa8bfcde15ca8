/** Instants: what counts as one, and how text becomes one. Pure. */

/** 0001-01-01T00:00:00.000Z: the years of RFC 3339. */
export const INSTANT_MIN = -62_135_596_800_000;
/** 9999-12-31T23:59:59.999Z. */
export const INSTANT_MAX = 253_402_300_799_999;

/** The end of the message where something is refused because it is no instant. */
export const INSTANT_RULE =
  "must be an instant of the years 0001 to 9999 with its zone, as in 2026-11-25T12:00:00.000Z";

/**
 * A date-time of RFC 3339. Date.parse takes much more: "job 7", 30 February, an hour without a
 * zone.
 */
const DATE_TIME =
  /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Whether these milliseconds since 1970 are an instant that RFC 3339 can write. */
function isInstant(time: number): boolean {
  return Number.isInteger(time) && time >= INSTANT_MIN && time <= INSTANT_MAX;
}

/** The instant that is nearest to these milliseconds. */
export function nearestInstant(time: number): number {
  return Math.min(Math.max(time, INSTANT_MIN), INSTANT_MAX);
}

/**
 * The milliseconds of a date-time of RFC 3339 with its zone, of a day that exists, within the years
 * 0001 to 9999 in UTC. Digits beyond milliseconds are cut off. Null for any other text.
 */
export function parseInstant(text: string): number | null {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return null;
  const time = Date.parse(text);
  return isInstant(time) ? time : null;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * The milliseconds of a Date, a date-time as above, or a number of milliseconds; null for anything
 * else.
 */
export function instantOf(value: unknown): number | null {
  if (typeof value === "string") return parseInstant(value);
  const time = value instanceof Date ? value.getTime() : value;
  if (typeof time !== "number") return null;
  const whole = Math.trunc(time);
  return isInstant(whole) ? whole : null;
}
