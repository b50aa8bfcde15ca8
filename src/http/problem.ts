/**
 * Faults as problem details (RFC 9457): what went wrong, with our code, the field and the limit.
 * Details of the implementation are never shown.
 */
import * as z from "zod";
import type { Context } from "hono";
import {
  ERROR_CODES,
  type ErrorCode,
  HTTP_CODES,
  isEngineError,
  isServiceError,
  ServiceError,
} from "../contract/index.ts";
import { LACKS_TABLES } from "../worker/index.ts";
import { BESIDE_OPERATIONS, problemKind, type ProblemCode } from "./problem-kinds.ts";

export type { ProblemCode };
type Details = Record<string, string | number | boolean | null>;

const PROBLEM_CODES: readonly ProblemCode[] = [...ERROR_CODES, ...HTTP_CODES];
/** The codes that operations answer. */
export const ANSWERED_CODES = PROBLEM_CODES.filter(
  (code) => !BESIDE_OPERATIONS.some((beside) => beside === code),
);
const REQUEST_ID_EXAMPLE = "0mwwqfjeva1b2c3d4e";

/** The codes with their statuses and meanings, as the document shows them. */
const MEANINGS = PROBLEM_CODES.map((code) => {
  const { status, when } = problemKind(code);
  return `- \`${code}\` (${status}): ${when}`;
});

export const problemSchema = z
  .object({
    type: z.string().meta({
      description: "The code as a URN.",
      example: "urn:workflow-engine:error:NOT_FOUND",
    }),
    title: z.string().meta({ description: "The code in words.", example: "Not found" }),
    status: z.int().meta({ description: "The status of the answer.", example: 404 }),
    detail: z.string().meta({
      description: "What went wrong this time, for people.",
      example: "WorkflowRun run-1 not found",
    }),
    code: z.enum([...ERROR_CODES, ...HTTP_CODES]).meta({
      description: `What went wrong, for programs.\n\n${MEANINGS.join("\n")}`,
      example: "NOT_FOUND",
    }),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).meta({
      description: "What the code is about: the field, the limit, the entity, the versions.",
      example: { entity: "WorkflowRun", id: "run-1" },
    }),
    requestId: z.string().meta({
      description: "The same as `X-Request-Id`. The service's log has it.",
      example: REQUEST_ID_EXAMPLE,
    }),
  })
  .meta({
    id: "Problem",
    description: "What went wrong (RFC 9457).",
    // The others are shown with the operations that answer them.
    examples: BESIDE_OPERATIONS.map(exampleOf),
  });

/**
 * The body of every answer that is not a success.
 * @example
 * const answer = await fetch("https://engine.example/v1/runs/run-1");
 * if (!answer.ok) {
 *   const { code, detail, requestId }: Problem = await answer.json();
 *   console.error(code, detail, requestId);
 * }
 */
export type Problem = z.infer<typeof problemSchema>;

/** A fault of the HTTP API itself, thrown by its middleware and answered in one place. */
export class HttpFault extends Error {
  override readonly name = "HttpFault";
  readonly code: ProblemCode;
  readonly details: Details;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    code: ProblemCode,
    message: string,
    details: Details = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.code = code;
    this.details = details;
    this.headers = headers;
  }
}

interface Told {
  readonly code: ProblemCode;
  readonly message: string;
  readonly details: Details;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What a caller may learn of an error. One that is not ours is a bug, and only the log has its
 * cause.
 */
export function toldOf(error: unknown): Told {
  if (error instanceof HttpFault) return error;
  if (isServiceError(error)) return toldOfService(error);
  if (isEngineError(error)) return error;
  console.error("wfe-unexpected-fault", error);
  return { code: "INTERNAL", message: "Unexpected fault", details: {} };
}

/** Codes whose own message is not answered: it may show details of the implementation. */
const UNTOLD: Partial<Record<ErrorCode, string>> = {
  INTERNAL: "Unexpected fault",
  OVERLOADED: "The service is overloaded; nothing was written",
  UNAVAILABLE: "The outcome is unknown: it may or may not have been written. A repeat converges",
};

function toldOfService(error: ServiceError): Told {
  const message = UNTOLD[error.code];
  if (message === undefined) return error;
  // The database's message may show details of the implementation.
  console.error("wfe-fault", error.code, error.message, error.cause);
  if (error.code === "INTERNAL" && error.message.startsWith(LACKS_TABLES)) {
    return { code: "NOT_CONFIGURED", message: LACKS_TABLES, details: {} };
  }
  return { code: error.code, message, details: {} };
}

/** The answer to a fault, with the status and the pause that go with its code. */
export function problemResponse(context: Context, told: Told): Response {
  const { code, headers = {} } = told;
  const { status, retryAfter } = problemKind(code);
  const problem = problemOf(told, String(context.get("requestId") ?? ""));
  return context.body(JSON.stringify(problem), status, {
    "Content-Type": "application/problem+json",
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) }),
    ...headers,
  });
}

/** A problem of this code, as the document shows it. */
export function exampleOf(code: ProblemCode) {
  const { detail, details } = problemKind(code).example;
  return problemOf({ code, message: detail, details }, REQUEST_ID_EXAMPLE);
}

function problemOf({ code, message, details }: Told, requestId: string) {
  const { status, title } = problemKind(code);
  const type = `urn:workflow-engine:error:${code}`;
  return { type, title, status, detail: message, code, details: { ...details }, requestId };
}

export function notFound(entity: string, id: string): ServiceError {
  return new ServiceError("NOT_FOUND", `${entity} ${id} not found`, { entity, id });
}
