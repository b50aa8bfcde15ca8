/** What a stage gives, as it is stored. Pure. */
import { encodeJson, tooLarge } from "../model/json.ts";
import { utf8Length } from "../model/text.ts";
import type { JsonText } from "./delivery.ts";
import { STORED_BYTES_MAX } from "./limits.ts";

/**
 * The JSON text of a value that is stored as one row's data.
 * @throws INVALID_ARGUMENT with the path as `field`; PAYLOAD_TOO_LARGE with `field`, `size`, `limit`.
 */
export function storedText(value: unknown, field: string): JsonText {
  return encodeJson(value, field, STORED_BYTES_MAX);
}

/** @throws PAYLOAD_TOO_LARGE with `field`, `size`, `limit`. */
export function requireStored(text: JsonText, field: string): void {
  const size = utf8Length(text);
  if (size > STORED_BYTES_MAX) throw tooLarge(field, size, STORED_BYTES_MAX);
}
