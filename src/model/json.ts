/** JSON values on their way into and out of a column. Pure. */
import { ServiceError } from "../contract/index.ts";
import { findInexactNumber, memberPath } from "./json-numbers.ts";
import { jsonShape } from "./json-shape.ts";
import { JSON_DEPTH_MAX, ROW_BYTES_MAX } from "./limits.ts";
import { utf8Length } from "./text.ts";

/**
 * The JSON text of a value. What `JSON.stringify` would silently change is refused, with the path
 * of the culprit: BigInt, functions, symbols, cycles, NaN, infinities, invalid Dates, Map, Set,
 * binary data, streams, and what fetch answers. `undefined` members vanish and Dates become ISO strings, as they do there.
 * @param look sees each object and list before it is taken, and may refuse more.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit` in bytes. The
 * size is a lower bound where the value has more than a row could hold, and is not looked at to its end.
 */
export function encodeJson(
  value: unknown,
  field: string,
  limit = ROW_BYTES_MAX,
  look?: Look,
): string {
  const given = value === undefined ? null : new PlainCopy({ field, limit, look }).of(value);
  const text: string | undefined = JSON.stringify(given);
  if (text === undefined) throw refused(field, "undefined");
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
  /^\[object (?:(?:Weak)?(?:Map|Set|Ref)|Promise|RegExp|\w*ArrayBuffer|DataView|\w+(?:Array|Stream)|Response|\w*Generator)\]$/;

/** `new Number(1)` and the like: stored as the value that they wrap. */
const WRAPPERS = /^\[object (?:Number|String|Boolean|BigInt|Symbol)\]$/;

/** Sees an object or a list before it is taken, and may refuse it. `field` tells its path. */
export type Look = (value: object, field: () => string) => void;

interface Copying {
  readonly field: string;
  /** Bytes of the text. */
  readonly limit: number;
  readonly look: Look | undefined;
}

/** Makes of a value what JSON keeps of it, with nothing else left in it. */
class PlainCopy {
  readonly #given: Copying;
  /** The members and places that lead to the value at hand: only an error makes a path of them. */
  readonly #steps: (string | number)[] = [];
  readonly #ancestors = new Set<object>();
  #values = 0;
  #units = 0;

  constructor(given: Copying) {
    this.#given = given;
  }

  of(value: unknown, depth = 0): unknown {
    switch (typeof value) {
      case "undefined":
        return undefined;
      case "bigint":
      case "function":
      case "symbol":
        throw this.#refused(`a ${typeof value}`);
      case "number":
        if (!Number.isFinite(value)) throw this.#refused(String(value));
        break;
      case "string":
        this.#units += value.length;
        break;
      case "boolean":
        break;
      case "object":
        if (value === null) break;
        this.#given.look?.(value, () => this.#field());
        if (!(value instanceof Date)) return this.#ofObject(value, depth);
        if (Number.isNaN(value.getTime())) throw this.#refused("an invalid Date");
        return this.of(value.toISOString(), depth);
    }
    this.#count(1);
    return value;
  }

  #ofObject(value: object, depth: number): unknown {
    if (this.#ancestors.has(value)) throw this.#refused("a cycle");
    if (depth >= JSON_DEPTH_MAX) throw this.#refused(`nesting deeper than ${JSON_DEPTH_MAX}`);
    const tag = Object.prototype.toString.call(value);
    if (UNSTORABLE_OBJECTS.test(tag)) throw this.#refused(`a ${tag.slice(8, -1)}`);
    this.#ancestors.add(value);
    const plain = hasToJson(value)
      ? this.of(value.toJSON(String(this.#steps.at(-1) ?? "")), depth + 1)
      : this.#ofMembers(value, tag, depth + 1);
    this.#ancestors.delete(value);
    return plain;
  }

  #ofMembers(value: object, tag: string, depth: number): unknown {
    if (WRAPPERS.test(tag)) return this.of(value.valueOf(), depth);
    const isList = Array.isArray(value);
    // Nothing is made of a list that is too long.
    this.#count(isList ? 1 + value.length : 1);
    // No prototype: "__proto__" must become an ordinary member.
    const plain = (isList ? [] : Object.create(null)) as Record<string | number, unknown>;
    // Holes of a list are visited too: JSON stores them as null, just as it does undefined.
    for (const [step, member] of isList ? value.entries() : Object.entries(value)) {
      this.#steps.push(step);
      plain[step] = this.of(member, depth);
      this.#steps.pop();
    }
    return plain;
  }

  /**
   * A list of billions of holes, or what is shared many times over, would take all memory: so the look
   * ends where the value cannot fit any more. Each value takes two bytes of JSON, but for the last. Of
   * texts more is looked at, so that the size that is told is exact where it can be.
   */
  #count(more: number): void {
    const { field, limit } = this.#given;
    const size = 2 * (this.#values + more) - 1;
    if (size + this.#units / 16 > limit) throw tooLarge(field, size + this.#units, limit);
    this.#values += 1;
  }

  #field(): string {
    return this.#steps.reduce<string>(
      (path, step) => (typeof step === "number" ? `${path}[${step}]` : memberPath(path, step)),
      this.#given.field,
    );
  }

  #refused(what: string): ServiceError {
    return refused(this.#field(), what);
  }
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

/** The error for what JSON cannot keep. */
export function refused(field: string, what: string): ServiceError {
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
