/** JSON values on their way into and out of a column. Pure. */
import { ServiceError } from "../contract/index.ts";
import { findInexactNumber, memberPath } from "./json-numbers.ts";
import { jsonShape } from "./json-shape.ts";
import { JSON_DEPTH_MAX, ROW_BYTES_MAX } from "./limits.ts";
import { utf8Length } from "./text.ts";

/**
 * The JSON text of a value. What `JSON.stringify` would silently change is refused, with the path
 * of the culprit: BigInt, functions, symbols, cycles, NaN, infinities, invalid Dates, Map, Set,
 * binary data, streams, and what fetch takes and gives. `undefined` members vanish and Dates become ISO strings, as they do there.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit` in bytes. The
 * size is a lower bound where the value has more than a row could hold, and is not looked at to its end.
 */
export function encodeJson(value: unknown, field: string, limit = ROW_BYTES_MAX): string {
  const walk = { root: field, ancestors: new Set<object>(), values: 0, units: 0, limit };
  const plain = value === undefined ? null : toPlain(value, field, "", walk, 0);
  const text = JSON.stringify(plain);
  const size = utf8Length(text);
  if (size > limit) throw tooLarge(field, size, limit);
  return text;
}

/** As {@link encodeJson}, for a nullable column: null and undefined are both SQL NULL. */
export function encodeNullableJson(value: unknown, field: string): string | null {
  return value === undefined || value === null ? null : encodeJson(value, field);
}

/**
 * The value of a JSON text from outside. As JSON.parse, but a number that would become another one
 * is refused: beyond the range of a double (1e400, 1e-400), or a whole number that a double cannot
 * hold (9007199254740993). Decimals are rounded to the nearest double.
 * @param root names the value in the culprit's path; with "" its members stand under their own
 * names.
 * @throws SyntaxError for text that is not JSON; INVALID_ARGUMENT with the path as `field`.
 */
export function parseJson(text: string, root: string): unknown {
  const value: unknown = JSON.parse(text);
  const culprit = findInexactNumber(text);
  if (culprit === null) return value;
  const field = shown(culprit.path(root) || "body", PATH_SHOWN_MAX);
  throw new ServiceError(
    "INVALID_ARGUMENT",
    `${field} is the number ${shown(culprit.literal, LITERAL_SHOWN_MAX)}, which a double cannot hold; send it as text`,
    { field },
  );
}

/**
 * Bounds the nesting of JSON text from outside, as {@link encodeJson} bounds that of a value: what
 * recurses over it later must not run out of stack.
 * @throws INVALID_ARGUMENT with `field`.
 */
export function requireDepth(text: string, field: string): void {
  // Each level is opened and closed.
  if (text.length <= 2 * JSON_DEPTH_MAX) return;
  const { depth } = jsonShape(text, { depth: JSON_DEPTH_MAX, values: Infinity });
  if (depth > JSON_DEPTH_MAX) throw refused(field, `nesting deeper than ${JSON_DEPTH_MAX}`);
}

/** The value of JSON text from a column: written by `encodeJson`, or checked when it arrived. */
export function decodeJson(text: string): unknown {
  return JSON.parse(text);
}

export function decodeNullableJson(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

export function tooLarge(field: string, size: number, limit: number): ServiceError {
  return new ServiceError(
    "PAYLOAD_TOO_LARGE",
    `${field} does not fit: ${size} bytes, the limit is ${limit} bytes`,
    { field, size, limit },
  );
}

/**
 * What Object.prototype.toString calls the objects that JSON would store as `{}`, or as an object
 * of numbers.
 */
const UNSTORABLE_OBJECTS =
  /^\[object (?:Map|Set|WeakMap|WeakSet|WeakRef|Promise|RegExp|ArrayBuffer|SharedArrayBuffer|DataView|\w+Array|Request|Response|Headers|Blob|File|FormData|URLSearchParams|\w+Stream|\w*Generator)\]$/;

/** One look through a value. */
interface Walk {
  readonly root: string;
  readonly ancestors: Set<object>;
  values: number;
  /** Of texts. */
  units: number;
  readonly limit: number;
}

/** Text beyond which a value is not looked at to its end, in UTF-16 units. */
const WALK_UNITS_MAX = 30_000_000;

/**
 * A list of billions of holes, or what is shared many times over, would take all memory: so the look
 * through a value ends where it cannot fit any more. Each value takes two bytes of JSON, but the last.
 */
function count(walk: Walk, values: number, units = 0): void {
  walk.values += values;
  walk.units += units;
  const size = 2 * walk.values - 1 + walk.units;
  if (2 * walk.values - 1 > walk.limit || walk.units > WALK_UNITS_MAX) {
    throw tooLarge(walk.root, size, walk.limit);
  }
}

function toPlain(value: unknown, field: string, key: string, walk: Walk, depth: number): unknown {
  const { ancestors } = walk;
  switch (typeof value) {
    case "string":
      count(walk, 1, value.length);
      return value;
    case "boolean":
      count(walk, 1);
      return value;
    case "number":
      if (!Number.isFinite(value)) throw refused(field, String(value));
      count(walk, 1);
      return value;
    case "undefined":
      return undefined;
    case "bigint":
    case "function":
    case "symbol":
      throw refused(field, `a ${typeof value}`);
    case "object":
      break;
  }
  if (value === null) {
    count(walk, 1);
    return null;
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refused(field, "an invalid Date");
    count(walk, 1);
    return value.toISOString();
  }
  if (ancestors.has(value)) throw refused(field, "a cycle");
  if (depth >= JSON_DEPTH_MAX) throw refused(field, `nesting deeper than ${JSON_DEPTH_MAX}`);
  const tag = Object.prototype.toString.call(value);
  if (tag !== "[object Array]" && UNSTORABLE_OBJECTS.test(tag)) {
    throw refused(field, `a ${tag.slice(8, -1)}`);
  }
  ancestors.add(value);
  const plain = hasToJson(value)
    ? toPlain(value.toJSON(key), field, key, walk, depth + 1)
    : membersToPlain(value, field, walk, depth);
  ancestors.delete(value);
  return plain;
}

/** `new Number(1)` and the like: stored as the value that they wrap. */
const WRAPPERS = /^\[object (?:Number|String|Boolean|BigInt|Symbol)\]$/;

function membersToPlain(value: object, field: string, walk: Walk, depth: number): unknown {
  if (Array.isArray(value)) {
    count(walk, 1);
    // Nothing is made of a list that is too long. Its items count when they are looked at, but for holes.
    count({ ...walk }, value.length);
    // Array.from also visits holes, which JSON stores as null just as it does undefined.
    return Array.from(value, (item: unknown, index) =>
      toPlain(item, `${field}[${index}]`, String(index), walk, depth + 1),
    );
  }
  if (WRAPPERS.test(Object.prototype.toString.call(value))) {
    return toPlain(value.valueOf(), field, "", walk, depth + 1);
  }
  count(walk, 1);
  // No prototype: "__proto__" must become an ordinary member.
  const plain: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) {
    plain[key] = toPlain(member, memberPath(field, key), key, walk, depth + 1);
  }
  return plain;
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

function refused(field: string, what: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", `${field} holds ${what}, which JSON cannot keep`, {
    field,
  });
}

/** An error repeats at most this much of a request. */
const LITERAL_SHOWN_MAX = 40;
const PATH_SHOWN_MAX = 500;

function shown(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}...`;
}
