/** JSON values on their way into and out of a column. Pure. */
import { ServiceError } from "../contract/index.ts";
import { findInexactNumber, memberPath } from "./json-numbers.ts";
import { jsonShape } from "./json-shape.ts";
import { JSON_DEPTH_MAX, ROW_BYTES_MAX } from "./limits.ts";
import { utf8Length } from "./text.ts";

/**
 * The JSON text of a value. What `JSON.stringify` would silently change is refused, with the path
 * of the culprit: BigInt, functions, symbols, cycles, NaN, infinities, invalid Dates, Map, Set,
 * binary data. `undefined` members vanish and Dates become ISO strings, as they do there.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit` in bytes.
 */
export function encodeJson(value: unknown, field: string): string {
  const plain = value === undefined ? null : toPlain(value, field, "", new Set(), 0);
  const text = JSON.stringify(plain);
  const size = utf8Length(text);
  if (size > ROW_BYTES_MAX) throw tooLarge(field, size, ROW_BYTES_MAX);
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
  /^\[object (?:Map|Set|WeakMap|WeakSet|WeakRef|Promise|RegExp|ArrayBuffer|SharedArrayBuffer|DataView|\w+Array)\]$/;

function toPlain(
  value: unknown,
  field: string,
  key: string,
  ancestors: Set<object>,
  depth: number,
): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw refused(field, String(value));
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
  if (value === null) return null;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refused(field, "an invalid Date");
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
    ? toPlain(value.toJSON(key), field, key, ancestors, depth + 1)
    : membersToPlain(value, field, ancestors, depth);
  ancestors.delete(value);
  return plain;
}

/** `new Number(1)` and the like: stored as the value that they wrap. */
const WRAPPERS = /^\[object (?:Number|String|Boolean|BigInt|Symbol)\]$/;

function membersToPlain(
  value: object,
  field: string,
  ancestors: Set<object>,
  depth: number,
): unknown {
  if (Array.isArray(value)) {
    // Array.from also visits holes, which JSON stores as null just as it does undefined.
    return Array.from(value, (item: unknown, index) =>
      toPlain(item, `${field}[${index}]`, String(index), ancestors, depth + 1),
    );
  }
  if (WRAPPERS.test(Object.prototype.toString.call(value))) {
    return toPlain(value.valueOf(), field, "", ancestors, depth + 1);
  }
  // No prototype: "__proto__" must become an ordinary member.
  const plain: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) {
    plain[key] = toPlain(member, memberPath(field, key), key, ancestors, depth + 1);
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
