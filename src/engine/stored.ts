/** What a stage gives, as it is stored. Pure. */
import { isServiceError, ServiceError } from "../contract/index.ts";
import { encodeJson, type Look, refused, tooLarge } from "../model/json.ts";
import { utf8Length } from "../model/text.ts";
import type { JsonText } from "./delivery.ts";
import { STORED_BYTES_MAX } from "./limits.ts";

/**
 * The JSON text of a value that is stored as one row's data, and given back as it was. At run time it
 * refuses what the type `Storable` refuses: also what JSON would give back as something else.
 * @throws INVALID_ARGUMENT with the path as `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit`.
 */
export function storedText(value: unknown, field: string): JsonText {
  return exactText(value, field, STORED_BYTES_MAX);
}

/** As {@link storedText}, with another limit in bytes. Default: that of a row. */
export function exactText(value: unknown, field: string, limit?: number): JsonText {
  return hinting(value, field, limit, refuseInexact);
}

/**
 * The JSON text of what a stage says, whose type may be anything: Dates and the like become text, as
 * they do in JSON.
 * @throws INVALID_ARGUMENT with the path as `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit`.
 */
export function saidText(value: unknown, field: string, limit = STORED_BYTES_MAX): JsonText {
  return hinting(value, field, limit, undefined);
}

/** @throws PAYLOAD_TOO_LARGE with `field`, `size`, `limit`. */
export function requireStored(text: JsonText, field: string): void {
  requireFits(utf8Length(text), field);
}

/** @throws PAYLOAD_TOO_LARGE with `field`, `size`, `limit`. */
export function requireFits(size: number, field: string): void {
  if (size > STORED_BYTES_MAX) throw withHint(tooLarge(field, size, STORED_BYTES_MAX));
}

function hinting(
  value: unknown,
  field: string,
  limit: number | undefined,
  look: Look | undefined,
): JsonText {
  try {
    return encodeJson(value, field, limit, look);
  } catch (error) {
    throw isServiceError(error) && error.code === "PAYLOAD_TOO_LARGE" ? withHint(error) : error;
  }
}

function withHint({ code, message, details }: ServiceError): ServiceError {
  return new ServiceError(code, `${message}; keep large data in R2, and its key here`, details);
}

/** Members by which JSON.stringify, or what reads the value, takes it for something else. */
const TELLTALE = ["toJSON", Symbol.iterator, Symbol.asyncIterator, "then", "arrayBuffer"] as const;

/** A list with `undefined` in it, or an object of which JSON keeps another value, or a part. */
function refuseInexact(value: object, field: () => string): void {
  if (Array.isArray(value)) {
    if (!value.includes(undefined)) return;
    const at = value.findIndex((item) => item === undefined);
    throw refused(`${field()}[${at}]`, "undefined");
  }
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  // An Error may be of another realm.
  if (tag === "Error" || value instanceof Error) throw refused(field(), "an Error");
  if (tag === "Number" || tag === "Boolean") throw refused(field(), `a ${tag} object`);
  const telltale = TELLTALE.find((name) => typeof Reflect.get(value, name) === "function");
  if (telltale === undefined) return;
  throw refused(field(), tag === "Object" ? `an object with ${String(telltale)}` : `a ${tag}`);
}
