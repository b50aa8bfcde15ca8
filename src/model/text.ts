/** Text on its way into and out of a column. Pure. */
import { JOB_ERROR_BYTES_MAX } from "./limits.ts";

const encoder = new TextEncoder();

/** Up to this many UTF-16 units, a look through the text costs less than encoding it. */
const SHORT = 256;

/** Bytes of UTF-8. A lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  return text.length <= SHORT && isAscii(text) ? text.length : encoder.encode(text).length;
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

/**
 * Whether a TEXT column holds this string as it is. SQLite ends text at NUL, and UTF-8 has no lone
 * surrogates.
 */
export function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/**
 * Whether the text is a step in a path rather than a name. Every program that resolves a URL
 * removes such steps, however they are encoded.
 */
export function isPathStep(text: string): boolean {
  return text === "." || text === "..";
}

/**
 * Marks text that is stored as JSON. Text that begins with the mark is stored as JSON, too, so
 * decoding is exact.
 */
const JSON_MARK = "\u0001";

/**
 * Free text as a column holds it. Text that no column can hold is stored as marked JSON, which
 * escapes it.
 */
export function encodeText(text: string): string {
  return isStorable(text) && !text.startsWith(JSON_MARK) ? text : JSON_MARK + JSON.stringify(text);
}

export function decodeText(stored: string): string {
  return stored.startsWith(JSON_MARK) ? (JSON.parse(stored.slice(1)) as string) : stored;
}

/** The reason of a failure, cut where it is longer than its column. */
export function fittingReason(text: string): string {
  if (utf8Length(encodeText(text)) <= JOB_ERROR_BYTES_MAX) return text;
  // A UTF-16 unit takes at most six bytes, as an escape in JSON.
  return `${text.slice(0, JOB_ERROR_BYTES_MAX / 6 - 8).toWellFormed()}...`;
}

/** The message of an error, or the text of any other thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
