/** The text of a request's body, within its limit and in time. */
import type { Holding } from "./budget.ts";
import { HttpFault } from "./problem.ts";

/** How long a body may take. */
const BODY_MS = 30_000;
/** A long body has a millisecond more for so many bytes that have come: a line may be slow, but not idle. */
const BYTES_PER_MS = 50;

export function tooLong(size: number, limit: number): HttpFault {
  const details = { field: "body", size, limit };
  return new HttpFault("PAYLOAD_TOO_LARGE", `The body has more than ${limit} bytes`, details);
}

/** The request's media type, without its parameters. */
export function mediaType(request: Request): string {
  return (request.headers.get("Content-Type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * Whether what comes will be UTF-8, uncompressed, as the request itself says.
 * @throws UNSUPPORTED_MEDIA_TYPE that tells what is taken.
 */
export function requireReadable(request: Request): void {
  const coding = request.headers.get("Content-Encoding")?.trim().toLowerCase() ?? "";
  if (coding !== "" && coding !== "identity") {
    throw new HttpFault(
      "UNSUPPORTED_MEDIA_TYPE",
      "Content-Encoding must be identity, or left out: bodies are taken uncompressed",
      { field: "Content-Encoding" },
      { "Accept-Encoding": "identity" },
    );
  }
  const [, ...parameters] = (request.headers.get("Content-Type") ?? "").split(";");
  for (const parameter of parameters) {
    const [name = "", ...rest] = parameter.split("=");
    if (name.trim().toLowerCase() !== "charset") continue;
    const charset = rest.join("=").trim().toLowerCase();
    if (charset === "utf-8" || charset === '"utf-8"') continue;
    throw new HttpFault(
      "UNSUPPORTED_MEDIA_TYPE",
      "The charset of Content-Type must be utf-8, or left out: JSON is UTF-8",
      { field: "Content-Type" },
    );
  }
}

/** How long a body of this size may take. */
export function bodyMs(size: number): number {
  return BODY_MS + size / BYTES_PER_MS;
}

/**
 * The bytes of the body, as they have come; none without one. Each takes its place in the room.
 * @throws PAYLOAD_TOO_LARGE; REQUEST_TIMEOUT; OVERLOADED; MALFORMED for what broke off.
 */
export async function boundedBytes(
  request: Request,
  limit: number,
  room: Holding,
): Promise<Uint8Array[]> {
  if (request.body === null) return [];
  const reader = request.body.getReader();
  try {
    return await bytesOf(reader, limit, room);
  } catch (error) {
    // Nobody waits for the rest, which may never come.
    reader.cancel().catch((cause: unknown) => {
      console.warn("wfe-body-not-cancelled", cause);
    });
    throw error;
  }
}

async function bytesOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limit: number,
  room: Holding,
): Promise<Uint8Array[]> {
  const started = Date.now();
  let size = 0;
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await inTime(reader, started + bodyMs(size) - Date.now());
    if (chunk === undefined) return chunks;
    size += chunk.byteLength;
    if (size > limit) throw tooLong(size, limit);
    await room.more(chunk.byteLength);
    chunks.push(chunk);
  }
}

/** With one of these a text takes two bytes a character, wherever it is. */
const WIDE = /[\u0100-\uffff]/;

/**
 * The text of these bytes, which it lets go of one by one.
 * @throws MALFORMED for what is not UTF-8; PAYLOAD_TOO_LARGE for what takes more memory than the limit, in bytes.
 */
export function textOf(chunks: Uint8Array[], limit: number): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let text = "";
  let wide = false;
  for (;;) {
    const chunk = chunks.shift();
    const piece = decoded(decoder, chunk);
    wide ||= WIDE.test(piece);
    text += piece;
    const size = wide ? 2 * text.length : text.length;
    if (size > limit) throw tooLong(size, limit);
    if (chunk === undefined) return text;
  }
}

/** The next piece; undefined after the last. */
async function inTime(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  ms: number,
): Promise<Uint8Array | undefined> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = "The body took too long to come; nothing was done";
    reject(new HttpFault("REQUEST_TIMEOUT", message));
  }, ms);
  try {
    const { value } = await Promise.race([whole(reader.read()), late]);
    return value;
  } finally {
    clearTimeout(timer);
  }
}

async function whole<T>(read: Promise<T>): Promise<T> {
  try {
    return await read;
  } catch (error) {
    console.warn("wfe-body-broke-off", error);
    throw new HttpFault("MALFORMED", "The body broke off");
  }
}

function decoded(decoder: TextDecoder, chunk: Uint8Array | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new HttpFault("MALFORMED", "The body is not UTF-8");
  }
}
