/**
 * Values on their way over RPC. A message holds 32 MiB, and V8 may send any text at two bytes a
 * unit. A value that could be too large for one message goes as a stream of its JSON.
 */
import { ServiceError } from "../contract/index.ts";

/** UTF-16 units of text that surely fit into one message. */
const MESSAGE_UNITS_MAX = 7 * 1_024 * 1_024;

/**
 * All text of a plain value, in UTF-16 units. Numbers and the names of members are small beside it.
 */
export function textLength(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  let length = 0;
  for (const member of Object.values(value)) length += textLength(member);
  return length;
}

/** The value, or a stream of its JSON when it could be too large for one message. */
export function toWire<T>(value: T): T | ReadableStream {
  if (textLength(value) <= MESSAGE_UNITS_MAX) return value;
  return new Blob([JSON.stringify(value)]).stream();
}

/**
 * The value that {@link toWire} sent.
 * @param parse reads the JSON of a stream. Default: as the service writes it, unchecked.
 * @throws UNAVAILABLE when the stream breaks off; what `parse` throws.
 */
export async function fromWire<T>(
  value: T | ReadableStream,
  parse: (text: string) => unknown = JSON.parse,
): Promise<T> {
  if (!(value instanceof ReadableStream)) return value;
  let text: string;
  try {
    text = await new Response(value).text();
  } catch (error) {
    throw new ServiceError("UNAVAILABLE", "A message broke off", {}, error);
  }
  return parse(text) as T;
}
