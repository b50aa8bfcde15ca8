/** Text on its way into and out of a column. Pure. */

const encoder = new TextEncoder();

/** To look through so much is cheaper than to encode it. */
const SHORT = 256;

/** Bytes of UTF-8; lone surrogates count as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  return text.length <= SHORT && isAscii(text) ? text.length : encoder.encode(text).length;
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

/** Whether a TEXT column holds this string as it is: SQLite ends text at NUL, UTF-8 has no lone surrogates. */
export function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** Whether this text is a step in a path, and no name: whoever resolves an address takes it out, however it is encoded. */
export function isPathStep(text: string): boolean {
  return text === "." || text === "..";
}

/** Marks text that is stored as JSON. Text that begins with it is stored as JSON too, so decoding is exact. */
const JSON_MARK = "\u0001";

/** Free text may hold anything: what a column cannot hold is stored as marked JSON, which escapes it. */
export function encodeText(text: string): string {
  return isStorable(text) && !text.startsWith(JSON_MARK) ? text : JSON_MARK + JSON.stringify(text);
}

export function decodeText(stored: string): string {
  return stored.startsWith(JSON_MARK) ? (JSON.parse(stored.slice(1)) as string) : stored;
}
