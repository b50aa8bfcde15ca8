/** What every route is made of: who may call it, and how its body is read. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { type Store } from "../changes/index.ts";
import { JSON_DEPTH_MAX, parseJson } from "../model/index.ts";
import { type Backend, type CreateAICallInput, isServiceError } from "../contract/index.ts";
import type { WorkflowEngineEnv } from "../worker/index.ts";
import type { AccessEnv } from "./access.ts";
import { boundedText, mediaType, requireReadable, tooLong } from "./body.ts";
import { idempotent } from "./idempotency/transactional.ts";
import { HttpFault, problemResponse } from "./problem.ts";
import type { Scope } from "./scopes.ts";
import { type Caller, requireScope } from "./tokens.ts";

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
}

export interface AppEnv {
  Bindings: HttpEnv;
  Variables: {
    requestId: string;
    caller: Caller;
    store: Store;
    backend: Backend;
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

/** The route's part of who may call it. What was answered to an earlier request is for nobody else either. */
export function secured(scope: Scope) {
  const middleware: MiddlewareHandler<AppEnv> = async (context, next) => {
    requireScope(context.var.caller, scope);
    return idempotent(context, next);
  };
  return { security: [{ bearer: [scope] }, { access: [scope] }], middleware };
}

/** A request's body, in bytes. A commit holds 16 Mi characters, of up to six bytes each as JSON. */
const BODY_BYTES_MAX = { commit: 100_000_000, other: 4_000_000 } as const;
const COMMIT_PATHS = new Set(["/v1/commits", "/v1/settlements", "/v1/queries"]);

/** Whether a request with this method may have a body. */
export function hasBody(method: string): boolean {
  return method !== "GET" && method !== "HEAD" && method !== "DELETE";
}

/** Reads the body once, within its limits, before anybody parses it. */
export const boundedBody: MiddlewareHandler<AppEnv> = async (context, next) => {
  const { req } = context;
  if (!hasBody(req.method)) return next();
  requireReadable(req.raw);
  const limit = COMMIT_PATHS.has(req.path) ? BODY_BYTES_MAX.commit : BODY_BYTES_MAX.other;
  const declared = Number(req.header("Content-Length") ?? 0);
  if (declared > limit) throw tooLong(declared, limit);
  const isJson = mediaType(req.raw) === "application/json";
  // What is declared to be something else is not even read.
  if (!isJson && declared > 0) throw notJson();
  const text = await boundedText(req.raw, limit);
  context.set("bodyText", text);
  if (text === "") {
    // Whoever asks again whether there is a body finds that there is none, and not a stream that was read.
    req.bodyCache.arrayBuffer = new ArrayBuffer(0);
    req.bodyCache.text = "";
    return next();
  }
  if (!isJson) throw notJson();
  requireDepth(text);
  // What is read from here on is what was measured.
  req.bodyCache.json = Promise.resolve(parsed(text));
  return next();
};

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

/** Counted before it is parsed: what recurses over it later must not run out of stack. */
function requireDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text[index];
    if (inString) {
      if (unit === "\\") index += 1;
      else if (unit === '"') inString = false;
    } else if (unit === '"') inString = true;
    else if (unit === "{" || unit === "[") {
      depth += 1;
      if (depth > DEPTH_MAX) {
        throw new HttpFault("INVALID_ARGUMENT", `The body is nested deeper than ${DEPTH_MAX}`, {
          field: "body",
          limit: DEPTH_MAX,
        });
      }
    } else if (unit === "}" || unit === "]") depth -= 1;
  }
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
