/** A request's body: read within its limits and in time, measured, and parsed. */
import type { Context, MiddlewareHandler } from "hono";
import { isServiceError } from "../contract/index.ts";
import { JSON_DEPTH_MAX, jsonShape, parseJson } from "../model/index.ts";
import type { AppEnv } from "./env.ts";
import type { Holding } from "./budget.ts";
import { HttpFault } from "./problem.ts";

/** How long a body may take to arrive. Milliseconds. */
const BODY_MS = 30_000;
/**
 * A long body gets a millisecond more for this many bytes that have arrived: a line may be slow,
 * but not idle.
 */
const BYTES_PER_MS = 50;

function tooLong(size: number, limit: number): HttpFault {
  const details = { field: "body", size, limit };
  return new HttpFault("PAYLOAD_TOO_LARGE", `The body has more than ${limit} bytes`, details);
}

/** The request's media type, without its parameters. */
function mediaType(request: Request): string {
  return (request.headers.get("Content-Type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * Checks that the body is said to be uncompressed UTF-8.
 * @throws UNSUPPORTED_MEDIA_TYPE with what is taken instead.
 */
function requireReadable(request: Request): void {
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
 * The bytes of the body, in the chunks in which they came; none if there is no body. Each takes its
 * place in the room.
 * @throws PAYLOAD_TOO_LARGE; UNSUPPORTED_MEDIA_TYPE if the body is not declared as JSON;
 * REQUEST_TIMEOUT; OVERLOADED; MALFORMED if it breaks off.
 */
async function boundedBytes(request: Request, limit: number, room: Holding): Promise<Uint8Array[]> {
  if (request.body === null) return [];
  const reader = request.body.getReader();
  const bound = isJson(request) ? { limit, refuse: tooLong } : { limit: 0, refuse: notJson };
  try {
    return await bytesOf(reader, bound, room);
  } catch (error) {
    // Nothing waits for the rest, which may never come.
    reader.cancel().catch((cause: unknown) => {
      console.warn("wfe-body-not-cancelled", cause);
    });
    throw error;
  }
}

interface Bound {
  readonly limit: number;
  /** Makes the fault of a body that is longer. */
  readonly refuse: (size: number, limit: number) => HttpFault;
}

async function bytesOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { limit, refuse }: Bound,
  room: Holding,
): Promise<Uint8Array[]> {
  let size = 0;
  const chunks: Uint8Array[] = [];
  const clock = new Clock(() => bodyMs(size));
  try {
    for (;;) {
      const { value: chunk } = await clock.inTime(whole(reader.read()));
      if (chunk === undefined) return chunks;
      size += chunk.byteLength;
      if (size > limit) throw refuse(size, limit);
      await room.more(chunk.byteLength);
      chunks.push(chunk);
    }
  } finally {
    clock.stop();
  }
}

/** The time that a body has, which grows while it arrives. One timer is enough for all its chunks. */
class Clock {
  readonly #started = Date.now();
  readonly #allowedMs: () => number;
  readonly #late = Promise.withResolvers<never>();
  #timer: ReturnType<typeof setTimeout>;

  constructor(allowedMs: () => number) {
    this.#allowedMs = allowedMs;
    this.#timer = this.#wait();
  }

  /** @throws REQUEST_TIMEOUT */
  async inTime<T>(arriving: Promise<T>): Promise<T> {
    return Promise.race([arriving, this.#late.promise]);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(): ReturnType<typeof setTimeout> {
    const check = () => {
      if (this.#leftMs() > 0) this.#timer = this.#wait();
      else {
        const message = "The body took too long to come; nothing was done";
        this.#late.reject(new HttpFault("REQUEST_TIMEOUT", message));
      }
    };
    return setTimeout(check, this.#leftMs());
  }

  #leftMs(): number {
    return this.#started + this.#allowedMs() - Date.now();
  }
}

/** A text with one of these characters takes two bytes for each of its characters. */
const WIDE = /[\u0100-\uffff]/;

/**
 * The text of these bytes. Each piece is let go as soon as it is decoded.
 * @throws MALFORMED for bytes that are not UTF-8; PAYLOAD_TOO_LARGE for a text that takes more
 * memory than the limit.
 */
function textOf(chunks: Uint8Array[], limit: number): string {
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

/** A body that breaks off is the sender's fault, not a bug. */
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

/** Whether a request with this method may have a body. A body of other methods is ignored. */
export function hasBody(method: string): boolean {
  return method !== "GET" && method !== "HEAD" && method !== "DELETE";
}

/** Reads the body once, within its limits, before anything parses it. */
export async function boundedBody(
  { req }: Context<AppEnv>,
  limit: number,
  room: Holding,
): Promise<Uint8Array[]> {
  if (!hasBody(req.method)) return [];
  requireReadable(req.raw);
  const length = req.header("Content-Length");
  const declared = Number(length ?? 0);
  if (declared > limit) throw tooLong(declared, limit);
  // A body that is declared as something else is not even read. Without a type there may be no
  // body: only its first byte tells.
  const isSent = declared > 0 || (length === undefined && mediaType(req.raw) !== "");
  if (!isJson(req.raw) && isSent && req.raw.body !== null) throw notJson();
  return boundedBytes(req.raw, limit, room);
}

/** Measures the body's shape, and leaves its value for the route. */
export function parseBody(
  context: Context<AppEnv>,
  chunks: Uint8Array[],
  limits: { readonly bytes: number; readonly values: number },
): void {
  const { req } = context;
  if (!hasBody(req.method)) return;
  const text = textOf(chunks, limits.bytes);
  // Only an Idempotency-Key needs the text again.
  if (req.header("Idempotency-Key") !== undefined) context.set("bodyText", text);
  if (text === "") {
    // The body has been read. A later look at the request must find no body, not a used stream.
    req.bodyCache.arrayBuffer = new ArrayBuffer(0);
    req.bodyCache.text = "";
    return;
  }
  requireShape(text, limits.values);
  // Whatever reads the body from here on gets the value that was measured.
  req.bodyCache.json = Promise.resolve(parsed(text));
}

/**
 * Refuses a path or query that is not percent-encoded UTF-8: decoded, it could mean another name.
 * @throws INVALID_ARGUMENT
 */
export const decodablePath: MiddlewareHandler<AppEnv> = async (context, next) => {
  const { url } = context.req;
  // A URL has no other text that could fail.
  if (!url.includes("%")) return next();
  const { pathname, search } = new URL(url);
  requireDecodable("path", pathname);
  requireDecodable("query", search);
  await next();
};

function requireDecodable(field: string, text: string): void {
  try {
    decodeURIComponent(text);
  } catch {
    throw new HttpFault("INVALID_ARGUMENT", `The ${field} is not percent-encoded UTF-8`, { field });
  }
}

export function isJson(request: Request): boolean {
  return mediaType(request) === "application/json";
}

function notJson(): HttpFault {
  return new HttpFault("UNSUPPORTED_MEDIA_TYPE", "Content-Type must be application/json");
}

function parsed(text: string): unknown {
  try {
    return parseJson(text, "");
  } catch (error) {
    if (isServiceError(error)) throw error;
    throw new HttpFault("MALFORMED", "The body is not JSON");
  }
}

/** The depth of a row's JSON, and of the objects of a request around it. */
const DEPTH_MAX = JSON_DEPTH_MAX + 20;

/**
 * Measures before parsing: code that recurses over the value later must not run out of stack, nor
 * the isolate out of memory.
 */
function requireShape(text: string, valuesMax: number): void {
  const { depth, values } = jsonShape(text, { depth: DEPTH_MAX, values: valuesMax });
  if (depth > DEPTH_MAX) throw tooMuch("is nested deeper than", DEPTH_MAX);
  if (values > valuesMax) throw tooMuch("has more values than", valuesMax);
}

/** @throws INVALID_ARGUMENT for a member that is a list longer than the maximum for its name. */
export function requireShortLists(body: unknown, longest: ReadonlyMap<string, number>): void {
  if (typeof body !== "object" || body === null) return;
  for (const [field, limit] of longest) {
    const list: unknown = Reflect.get(body, field);
    if (!Array.isArray(list) || list.length <= limit) continue;
    const message = `${field}: must have at most ${limit} members, has ${list.length}`;
    throw new HttpFault("INVALID_ARGUMENT", message, { field, limit });
  }
}

function tooMuch(what: string, limit: number): HttpFault {
  const details = { field: "body", limit };
  return new HttpFault("INVALID_ARGUMENT", `The body ${what} ${limit}`, details);
}
