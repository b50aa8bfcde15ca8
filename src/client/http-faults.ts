/** What an answer that is no success means, in the codes of the contract. */
import {
  ERROR_CODES,
  type ErrorCode,
  type EngineError,
  type ErrorDetails,
  errorOf,
  type HttpCode,
  ServiceError,
  type ServiceErrorCode,
} from "../contract/index.ts";
import type { Answer } from "./http-exchange.ts";

/** The longest pause that `Retry-After` can ask for. */
const RETRY_AFTER_MAX_MS = 30_000;
/** The first pause where no `Retry-After` asks for one. Each further one is twice as long. */
const PAUSE_MS = 500;

/** A guard of a commit did not hold. That is no fault: the transaction runs again. */
export class GuardFailed extends Error {
  readonly violation: { readonly guard: number; readonly actual: number };
  constructor(message: string, violation: GuardFailed["violation"]) {
    super(message);
    this.violation = violation;
  }
}

/**
 * The contract's codes for refusals that are about the request. None of these requests has written
 * anything.
 */
const CODES_OF_THE_DOOR: Readonly<Record<Exclude<HttpCode, "GUARD_FAILED">, ServiceErrorCode>> = {
  // The url is not the service's, or the service is older than this client.
  NO_SUCH_ROUTE: "INVALID_ARGUMENT",
  METHOD_NOT_ALLOWED: "INVALID_ARGUMENT",
  RATE_LIMITED: "OVERLOADED",
  // The service has no tokens, so it does not know this one. Waiting does not help, and nothing is
  // in doubt.
  NOT_CONFIGURED: "UNAUTHENTICATED",
  // This client sends JSON, without an idempotency key. Such a refusal means a bug in it, or in
  // something on the way.
  MALFORMED: "INTERNAL",
  UNSUPPORTED_MEDIA_TYPE: "INTERNAL",
  IDEMPOTENCY_KEY_IN_USE: "INTERNAL",
  FOREIGN_ORIGIN: "FORBIDDEN",
  // Nothing was done. The request may be sent again.
  REQUEST_TIMEOUT: "OVERLOADED",
  KEYS_UNAVAILABLE: "OVERLOADED",
};

/** A fault as the service tells it: RFC 9457 with our code. */
interface Problem {
  readonly code: ErrorCode | HttpCode;
  readonly detail: string;
  readonly details: ErrorDetails;
}

/** The error that an answer means. */
export function faultOf(answer: Answer): EngineError | GuardFailed {
  if (answer.redirects) return redirected(answer);
  const problem = problemOf(answer.text);
  if (problem === null) return strange(answer);
  const { code, detail, details } = problem;
  if (code === "GUARD_FAILED") {
    const { guard, actual } = details;
    if (typeof guard !== "number" || typeof actual !== "number") return strange(answer);
    return new GuardFailed(detail, { guard, actual });
  }
  if (isErrorCode(code)) return errorOf(code, detail, details);
  return new ServiceError(CODES_OF_THE_DOOR[code], `${code}: ${detail}`, details);
}

function isErrorCode(code: unknown): code is ErrorCode {
  return ERROR_CODES.some((known) => known === code);
}

function isHttpCode(code: unknown): code is HttpCode {
  return (
    code === "GUARD_FAILED" || (typeof code === "string" && Object.hasOwn(CODES_OF_THE_DOOR, code))
  );
}

/** Null unless the service said it, with a code that this client knows. */
function problemOf(text: string): Problem | null {
  const value = parsed(text);
  if (typeof value !== "object" || value === null) return null;
  const members: Readonly<Record<string, unknown>> = { ...value };
  const { code, detail, details } = members;
  if (!isErrorCode(code) && !isHttpCode(code)) return null;
  return { code, detail: typeof detail === "string" ? detail : code, details: plain(details) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A page of another server.
    return null;
  }
}

function plain(details: unknown): ErrorDetails {
  if (typeof details !== "object" || details === null) return {};
  const told: Record<string, string | number | boolean | null> = {};
  for (const [name, value] of Object.entries(details)) {
    if (value === null || ["string", "number", "boolean"].includes(typeof value)) {
      told[name] = value;
    }
  }
  return told;
}

function redirected({ headers, status }: Answer): ServiceError {
  const place = headers.get("Location") ?? "another place";
  return new ServiceError(
    "INVALID_ARGUMENT",
    `url redirects to ${place} (${status}). Nothing was sent there; give the url that answers itself`,
    { field: "url" },
  );
}

/**
 * An answer of something between the client and the service, or of a service that is newer than
 * this client.
 */
function strange({ status, statusText, headers }: Answer): ServiceError {
  const type = headers.get("Content-Type") ?? "no type";
  const what = `${status} ${statusText}`.trim();
  return new ServiceError(codeOf(status), `Not an answer of the service: ${what} (${type})`);
}

function codeOf(status: number): ServiceErrorCode {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "FORBIDDEN";
    case 413:
      return "PAYLOAD_TOO_LARGE";
    case 429:
      return "OVERLOADED";
    // Given up in the middle: the service may have had the whole request.
    case 408:
    case 499:
      return "UNAVAILABLE";
    default:
      return status >= 400 && status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE";
  }
}

/**
 * How long to wait before a request that was turned away is sent again: as `Retry-After` asks, in
 * seconds or until an instant, at most 30 s; otherwise longer each time. A random fifth more, so
 * that clients that were turned away together do not come back together. Where hardly any pause is
 * asked for again and again, each is at least half of that: ten tries last longer than an instant.
 */
export function waitMs({ headers }: Pick<Answer, "headers">, tries: number): number {
  const usual = PAUSE_MS * 2 ** (tries - 1);
  const asked = retryAfterMs(headers) ?? usual;
  const ms = tries === 1 ? asked : Math.max(asked, usual / 2);
  return Math.min(ms, RETRY_AFTER_MAX_MS) * (1 + Math.random() / 5);
}

/** Null without a readable `Retry-After`: then the client chooses the pause itself. */
function retryAfterMs(headers: Headers): number | null {
  const value = headers.get("Retry-After")?.trim() ?? "";
  if (/^\d+$/.test(value)) return Number(value) * 1_000;
  const until = httpDate(value);
  if (until === null) return null;
  // By the sender's clock, if the answer has a `Date`.
  const now = httpDate(headers.get("Date") ?? "") ?? Date.now();
  // An instant in the past is treated as if there were none.
  return until > now ? until - now : null;
}

/**
 * https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7, in the form that may be sent, of an instant
 * that exists.
 */
function httpDate(value: string): number | null {
  const date = new Date(value);
  // Date.parse takes much more, and makes 2 March of 30 February.
  return Number.isNaN(date.getTime()) || date.toUTCString() !== value ? null : date.getTime();
}
