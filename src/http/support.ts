/** What every route is made of: who may call it, and how its body is read. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import {
  type Act,
  type AnyOf,
  JSON_DEPTH_MAX,
  jsonShape,
  parseJson,
  scopesFor,
  type Store,
} from "../changes/index.ts";
import { type Backend, type CreateAICallInput, isServiceError } from "../contract/index.ts";
import type { WorkflowEngineEnv } from "../queue/index.ts";
import type { AccessEnv } from "./access.ts";
import { bodyMs, boundedBytes, mediaType, requireReadable, textOf, tooLong } from "./body-text.ts";
import type { Holding } from "./budget.ts";
import { idempotent } from "./idempotency.ts";
import { HttpFault, problemResponse } from "./problem.ts";
import { BODIES, type Room } from "./room.ts";
import { type Caller, requireAnyOf } from "./tokens.ts";

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/ */
export interface RateLimiter {
  limit(options: { key: string }): Promise<{ readonly success: boolean }>;
}

export interface HttpEnv extends WorkflowEngineEnv, AccessEnv {
  /** A secret: see {@link authenticate}. */
  readonly API_TOKENS?: string;
  /** Origins that browsers may call from, separated by commas; absent: none. */
  readonly CORS_ORIGINS?: string;
  readonly RATE_LIMITER?: RateLimiter;
  /** The folder `assets`, with what the page `/docs` needs. */
  readonly ASSETS?: Pick<Fetcher, "fetch">;
}

export interface AppEnv {
  Bindings: HttpEnv;
  Variables: {
    requestId: string;
    caller: Caller;
    store: Store;
    backend: Backend;
    room: Room;
    /** Records an AI call with the request's Idempotency-Key. */
    recordAiCall?: (call: CreateAICallInput) => Promise<void>;
    /** The request's body, read once; undefined where there can be none. */
    bodyText?: string;
  };
}

/** How much of a request an answer repeats. */
const ECHO_LENGTH_MAX = 500;

export function newRouter() {
  return new OpenAPIHono<AppEnv>({
    defaultHook(result, context) {
      if (result.success) return undefined;
      const issue = result.error.issues[0];
      const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
      const path = [...(issue?.path ?? []), ...unknown].map(String).join(".");
      const place = result.target === "json" ? "body" : result.target;
      // Names and values of the request are in both, as long as they like.
      const field = path === "" ? place : path.slice(0, ECHO_LENGTH_MAX);
      const repeated = result.target === "query" && (context.req.queries(path)?.length ?? 0) > 1;
      const message =
        unknown.length > 0
          ? `the ${place} has no such member`
          : repeated
            ? "is given more than once"
            : issue?.message;
      const what = (message ?? "is invalid").slice(0, ECHO_LENGTH_MAX);
      return problemResponse(context, {
        code: "INVALID_ARGUMENT",
        message: `${field}: ${what}`,
        details: { field },
      });
    },
  });
}

/** What one request of a route may take. */
interface Limits {
  /** Of its body, and of the text that it becomes. */
  readonly bytes: number;
  /** Values in its body's JSON. Each takes many times the memory of its text. */
  readonly values: number;
  /** Bytes that its queries answer. JSON that the route parses takes many times that. */
  readonly answer: number;
}

/** The largest row, and as much again of small ones. */
const ANSWER = 2_500_000;
/** Rows are answered as they are stored. */
const STORED = 8_000_000;

/**
 * `small`: keys, filters and instants. `record`: rows of one request, of which each may have 1.9 MB of text. `queries`: a hundred of them.
 * `commit`: as many rows as fit into an isolate's memory, several times over.
 */
export const LIMITS = {
  small: { bytes: 64_000, values: 1_000, answer: ANSWER },
  record: { bytes: 4_000_000, values: 200_000, answer: ANSWER },
  queries: { bytes: 1_000_000, values: 20_000, answer: STORED },
  commit: { bytes: 13_000_000, values: 200_000, answer: STORED },
} as const satisfies Readonly<Record<string, Limits>>;

/**
 * The route's part of who may call it, before its body is read, and what of that is read. What was answered to an earlier request is for
 * nobody else either. A list in place of an act: callers with any one of these scopes come in, and the route looks closer.
 */
export function secured(act: Act | AnyOf, limits: Limits = LIMITS.small) {
  const needed = typeof act === "string" ? scopesFor(act) : act;
  const middleware: MiddlewareHandler<AppEnv> = async (context, next) => {
    requireAnyOf(context.var.caller, needed);
    return inRoom(context, limits, async () => idempotent(context, next));
  };
  const security = needed.flatMap((scope) => [{ bearer: [scope] }, { access: [scope] }]);
  return { security, middleware };
}

/** Does the request's work when there is room for it. */
async function inRoom(
  context: Context<AppEnv>,
  limits: Limits,
  work: () => Promise<unknown>,
): Promise<Response | undefined> {
  const { room } = context.var;
  const bytes = await BODIES.take(context.var.caller.name, 0, bodyMs(limits.bytes));
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  // Also when its client goes away: what it holds is to be given back.
  context.executionCtx.waitUntil(over);
  try {
    const chunks = await boundedBody(context, limits.bytes, bytes);
    const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    await room.enter(size, limits.answer);
    parseBody(context, chunks, limits);
    bytes.release();
    const answered = await work();
    // Of what comes after, Hono answers the context.
    if (answered instanceof Response) return await room.leaveWith(answered);
    if (room.isLarge) context.res = await room.leaveWith(context.res);
    return undefined;
  } finally {
    bytes.release();
    room.leave();
    end();
  }
}

/** Whether a request with this method may have a body. */
export function hasBody(method: string): boolean {
  return method !== "GET" && method !== "HEAD" && method !== "DELETE";
}

/** Reads the body once, within its limits, before anybody parses it. */
async function boundedBody(
  { req }: Context<AppEnv>,
  limit: number,
  room: Holding,
): Promise<Uint8Array[]> {
  if (!hasBody(req.method)) return [];
  requireReadable(req.raw);
  const declared = Number(req.header("Content-Length") ?? 0);
  if (declared > limit) throw tooLong(declared, limit);
  // What is declared to be something else is not even read.
  if (!isJson(req.raw) && declared > 0) throw notJson();
  return boundedBytes(req.raw, limit, room);
}

function parseBody(context: Context<AppEnv>, chunks: Uint8Array[], limits: Limits): void {
  const { req } = context;
  if (!hasBody(req.method)) return;
  const text = textOf(chunks, limits.bytes);
  // Only a key needs it again.
  if (req.header("Idempotency-Key") !== undefined) context.set("bodyText", text);
  if (text === "") {
    // Whoever asks again whether there is a body finds that there is none, and not a stream that was read.
    req.bodyCache.arrayBuffer = new ArrayBuffer(0);
    req.bodyCache.text = "";
    return;
  }
  if (!isJson(req.raw)) throw notJson();
  requireShape(text, limits.values);
  // What is read from here on is what was measured.
  req.bodyCache.json = Promise.resolve(parsed(text));
}

/** @throws INVALID_ARGUMENT for an address that is no percent-encoded UTF-8: it would be another spelling of another name. */
export const decodablePath: MiddlewareHandler<AppEnv> = async (context, next) => {
  const { pathname, search } = new URL(context.req.url);
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

function isJson(request: Request): boolean {
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

/** A row's JSON, and the objects of a request around it. */
const DEPTH_MAX = JSON_DEPTH_MAX + 20;

/** Measured before it is parsed: what recurses over it later must not run out of stack, and what it becomes not out of memory. */
function requireShape(text: string, valuesMax: number): void {
  const { depth, values } = jsonShape(text, { depth: DEPTH_MAX, values: valuesMax });
  if (depth > DEPTH_MAX) throw tooMuch("is nested deeper than", DEPTH_MAX);
  if (values > valuesMax) throw tooMuch("has more values than", valuesMax);
}

/** @throws INVALID_ARGUMENT for a member that is a list, and longer than the maximum of its name. */
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

/** The version that `If-Match` asks for, as a part of an update; nothing without one. */
export function expectedVersion(context: Context): { expectedVersion?: number } {
  const tag = context.req.header("If-Match");
  if (tag === undefined || tag === "*") return {};
  const version = /^"v(\d{1,15})"$/.exec(tag)?.[1];
  if (version === undefined) {
    throw new HttpFault("INVALID_ARGUMENT", 'If-Match must be an ETag of this API, as in "v3"', {
      field: "If-Match",
    });
  }
  return { expectedVersion: Number(version) };
}

export function etag(version: number): string {
  return `"v${version}"`;
}

/** Without the members that are undefined: left out means left alone. */
export function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(members) as { [K in keyof T]: Exclude<T[K], undefined> };
}
