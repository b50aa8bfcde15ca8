/**
 * Finds numbers in JSON text that `JSON.parse` would silently replace by others. It reads the text,
 * since the parsed value no longer tells. A reviver with access to the source would do as well, but
 * costs ten times the parse and does not know the path. Pure.
 */

/** The path of a member, as errors name it. */
export function memberPath(of: string, name: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(name)) return `${of}[${JSON.stringify(name)}]`;
  return of === "" ? name : `${of}.${name}`;
}

/** A number that a double cannot hold. */
export interface InexactNumber {
  /** As it stands in the text. */
  readonly literal: string;
  /** Where it stands, if the whole value is called `root`. Only computed when asked for. */
  path(root: string): string;
}

/**
 * Only a number with 16 digits, or with an exponent of three, may be beyond a double. Most texts
 * have neither outside of strings, and are done after this one test.
 */
const SUSPICIOUS = /[\d.]{16}|[eE][+-]?\d{3}/;

/** The first number of a JSON text that a double cannot hold; null for none. */
export function findInexactNumber(text: string): InexactNumber | null {
  if (!SUSPICIOUS.test(text)) return null;
  const number = /-?\d[\d.eE+-]*/y;
  for (let index = 0; index < text.length;) {
    const unit = text.charCodeAt(index);
    if (unit === QUOTE) {
      index = endOfString(text, index);
    } else if (unit === MINUS || (unit >= ZERO && unit <= NINE)) {
      number.lastIndex = index;
      const literal = number.exec(text)?.[0] ?? "";
      if (SUSPICIOUS.test(literal) && !isHeld(literal)) {
        const at = index;
        return { literal, path: (root) => pathAt(text, at, root) };
      }
      index += Math.max(1, literal.length);
    } else index += 1;
  }
  return null;
}

const QUOTE = 0x22;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;

/** The index after the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let from = start + 1; ;) {
    const end = text.indexOf('"', from);
    if (end === -1) return text.length;
    let escapes = end;
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes -= 1;
    // An even number of backslashes are backslashes; an odd one escapes the quote.
    if ((end - escapes) % 2 === 0) return end + 1;
    from = end + 1;
  }
}

/**
 * Whether a double keeps the number: a whole number exactly, or with the very digits that the
 * double is written with (1e23 is no double, but every program writes the nearest one like that); a
 * decimal to the nearest double.
 */
function isHeld(literal: string): boolean {
  const held = Number(literal);
  if (!Number.isFinite(held)) return false;
  const told = digitsOf(literal);
  if (told.digits === "") return true;
  if (held === 0) return false;
  // Digits behind the point remain: a decimal.
  if (told.exponent < 0) return true;
  const written = digitsOf(String(held));
  if (told.digits === written.digits && told.exponent === written.exponent) return true;
  // A finite double has at most 309 digits.
  return BigInt(held) === BigInt(literal.startsWith("-") ? -1 : 1) * integerOf(told);
}

interface Digits {
  /** Without zeros at either end; "" for zero. */
  readonly digits: string;
  /** The value is digits * 10^exponent. */
  readonly exponent: number;
}

function digitsOf(literal: string): Digits {
  const [mantissa = "", exponent = "0"] = literal.replace(/^-/, "").split(/e/i);
  const [whole = "", fraction = ""] = mantissa.split(".");
  const all = whole + fraction;
  let start = 0;
  while (all.charCodeAt(start) === ZERO) start += 1;
  let end = all.length;
  while (end > start && all.charCodeAt(end - 1) === ZERO) end -= 1;
  return {
    digits: all.slice(start, end),
    exponent: Number(exponent) - fraction.length + (all.length - end),
  };
}

function integerOf({ digits, exponent }: Digits): bigint {
  return BigInt(digits) * 10n ** BigInt(exponent);
}

/** The path of what stands at an index of a text that is JSON. */
function pathAt(text: string, at: number, root: string): string {
  /** A number counts the items of an array; a text is the name of an object's member. */
  const places: (number | string)[] = [];
  for (let index = 0; index < at;) {
    const unit = text[index];
    const last = places.length - 1;
    const place = places[last];
    if (unit === '"') {
      const end = endOfString(text, index);
      if (typeof place === "string" && isName(text, end)) {
        places[last] = String(JSON.parse(text.slice(index, end)));
      }
      index = end;
      continue;
    }
    if (unit === "[") places.push(0);
    else if (unit === "{") places.push("");
    else if (unit === "]" || unit === "}") places.pop();
    else if (unit === "," && typeof place === "number") places[last] = place + 1;
    index += 1;
  }
  return places.reduce<string>(
    (path, place) => (typeof place === "number" ? `${path}[${place}]` : memberPath(path, place)),
    root,
  );
}

/** Whether the string that ends here is a member's name: a colon follows, after any space. */
function isName(text: string, end: number): boolean {
  let index = end;
  while (" \t\n\r".includes(text[index] ?? "x")) index += 1;
  return text[index] === ":";
}
