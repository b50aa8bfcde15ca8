/** Faults as problem details (RFC 9457): what went wrong, with our code, the field and the limit; never how it looks inside. */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import {
  ERROR_CODES,
  type ErrorCode,
  HTTP_CODES,
  type HttpCode,
  isServiceError,
  ServiceError,
} from "../contract/index.ts";

export type ProblemCode = ErrorCode | HttpCode;

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: "urn:workflow-engine:error:NOT_FOUND" }),
    title: z.string().openapi({ example: "Not found" }),
    status: z.int().openapi({ example: 404 }),
    detail: z.string().openapi({ example: "Run run-1 not found" }),
    code: z.enum([...ERROR_CODES, ...HTTP_CODES]).openapi({ example: "NOT_FOUND" }),
    details: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .openapi({
        description: "What the code is about: the field, the limit, the entity, the versions.",
        example: { entity: "WorkflowRun", id: "run-1" },
      }),
    requestId: z.string().openapi({ example: "0mwwqfjev0000gow" }),
  })
  .openapi("Problem");
export type Problem = z.infer<typeof problemSchema>;

const STATUSES: Readonly<Record<ProblemCode, readonly [ContentfulStatusCode, string]>> = {
  INVALID_ARGUMENT: [422, "A value is not acceptable"],
  NOT_FOUND: [404, "Not found"],
  ALREADY_EXISTS: [409, "Exists already"],
  STALE_VERSION: [412, "Not the expected version"],
  LEASE_LOST: [409, "A later attempt owns the job"],
  CONFLICT: [409, "Others kept writing the same"],
  PAYLOAD_TOO_LARGE: [413, "Too large"],
  OVERLOADED: [503, "Overloaded; nothing was written"],
  UNAVAILABLE: [503, "The outcome is unknown"],
  INTERNAL: [500, "A bug"],
  UNAUTHENTICATED: [401, "No valid token"],
  FORBIDDEN: [403, "The token lacks a scope"],
  NO_SUCH_ROUTE: [404, "No such resource"],
  METHOD_NOT_ALLOWED: [405, "Not with this method"],
  MALFORMED: [400, "The body is not JSON"],
  UNSUPPORTED_MEDIA_TYPE: [415, "The body must be JSON"],
  RATE_LIMITED: [429, "Too many requests"],
  NOT_CONFIGURED: [503, "The HTTP API has no tokens"],
  GUARD_FAILED: [412, "A guard did not hold"],
  IDEMPOTENCY_KEY_IN_USE: [409, "The first request with this key is under way"],
};

/** A fault of the door, thrown by its middleware and answered in one place. */
export class HttpFault extends Error {
  override readonly name = "HttpFault";
  readonly code: ProblemCode;
  readonly details: Problem["details"];
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    code: ProblemCode,
    message: string,
    details: Problem["details"] = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.code = code;
    this.details = details;
    this.headers = headers;
  }
}

/** Seconds after which a repeat may succeed. */
const RETRY_AFTER: Partial<Record<ProblemCode, number>> = {
  OVERLOADED: 2,
  UNAVAILABLE: 1,
  CONFLICT: 1,
  IDEMPOTENCY_KEY_IN_USE: 1,
};

interface Told {
  readonly code: ProblemCode;
  readonly message: string;
  readonly details: Problem["details"];
  readonly headers?: Readonly<Record<string, string>>;
}

/** What may be told of anything that was thrown. What is not one of our faults is a bug, and only the log has its cause. */
export function toldOf(error: unknown): Told {
  if (error instanceof HttpFault) return error;
  if (isServiceError(error)) return toldOfService(error);
  if (isStaleVersion(error)) {
    const { entity, id, expected, actual } = error;
    return {
      code: "STALE_VERSION",
      message: error.message,
      details: { entity, id, expected, actual },
    };
  }
  // Hono's own, for a body that is missing or of another type.
  if (error instanceof HTTPException) {
    const code = error.status === 415 ? "UNSUPPORTED_MEDIA_TYPE" : "MALFORMED";
    return { code, message: "The body must be JSON, declared as application/json", details: {} };
  }
  console.error("wfe-unexpected-fault", error);
  return { code: "INTERNAL", message: "Unexpected fault", details: {} };
}

const UNTOLD: Partial<Record<ErrorCode, string>> = {
  INTERNAL: "Unexpected fault",
  OVERLOADED: "The service is overloaded; nothing was written",
  UNAVAILABLE: "The outcome is unknown: it may or may not have been written. A repeat converges",
};

function toldOfService(error: ServiceError): Told {
  const message = UNTOLD[error.code];
  if (message === undefined) return error;
  // What the database said may show how things look inside.
  console.error("wfe-fault", error.code, error.message, error.cause);
  return { code: error.code, message, details: {} };
}

function isStaleVersion(
  error: unknown,
): error is Error & { entity: string; id: string; expected: number; actual: number } {
  return error instanceof Error && error.name === "StaleVersionError";
}

export function problemResponse(context: Context, told: Told): Response {
  const { code, message, details, headers = {} } = told;
  const [status, title] = STATUSES[code];
  const retryAfter = RETRY_AFTER[code];
  const problem: Problem = {
    type: `urn:workflow-engine:error:${code}`,
    title,
    status,
    detail: message,
    code,
    details: { ...details },
    requestId: String(context.get("requestId") ?? ""),
  };
  return context.body(JSON.stringify(problem), status, {
    "Content-Type": "application/problem+json",
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) }),
    ...headers,
  });
}

export function notFound(entity: string, id: string): ServiceError {
  return new ServiceError("NOT_FOUND", `${entity} ${id} not found`, { entity, id });
}
