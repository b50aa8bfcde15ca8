/**
 * Every problem that the API may answer: the one place from which the answers and the document take
 * it.
 */
import type { ErrorCode, HttpCode } from "../contract/index.ts";

/**
 * The code of a problem: the contract's codes and those of HTTP alone.
 * @example
 * const worthRetrying: ProblemCode[] = ["OVERLOADED", "UNAVAILABLE", "RATE_LIMITED"];
 */
export type ProblemCode = ErrorCode | HttpCode;

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** When it is answered, and what that means for the caller. */
  readonly when: string;
  /** Seconds after which a repeat may succeed. Absent: a repeat does not help. */
  readonly retryAfter?: number;
  readonly example: {
    readonly detail: string;
    readonly details: Readonly<Record<string, string | number | boolean | null>>;
  };
}

export const PROBLEM_KINDS = {
  INVALID_ARGUMENT: {
    status: 422,
    title: "A value is not acceptable",
    when: "A value is not acceptable; `details.field` names it. Nothing was written.",
    example: {
      detail: "limit: Too big: expected number to be <=1000",
      details: { field: "limit" },
    },
  },
  NOT_FOUND: {
    status: 404,
    title: "Not found",
    when: "There is no such row; `details` names it.",
    example: {
      detail: "WorkflowRun run-1 not found",
      details: { entity: "WorkflowRun", id: "run-1" },
    },
  },
  ALREADY_EXISTS: {
    status: 409,
    title: "Exists already",
    when: "Another row has the key. Nothing was written.",
    example: {
      detail: "WorkflowRun run-1 exists already",
      details: { entity: "WorkflowRun", id: "run-1" },
    },
  },
  STALE_VERSION: {
    status: 412,
    title: "Not the expected version",
    when: "`If-Match` or `If-None-Match` does not hold: `details.actual` is the stored version, or -1 when there is none. Nothing was written.",
    example: {
      detail: "Stale version on WorkflowRun run-1: expected 7, got 8",
      details: { entity: "WorkflowRun", id: "run-1", expected: 7, actual: 8 },
    },
  },
  LEASE_LOST: {
    status: 409,
    title: "A later attempt owns the job",
    when: "A later attempt owns the job; this one cannot change it. Nothing was written.",
    example: {
      detail: "complete: attempt 1 of job run-1/0mwwqfjev0000gow is over, attempt 2 owns it",
      details: { id: "run-1/0mwwqfjev0000gow", attempt: 1, actual: 2 },
    },
  },
  CONFLICT: {
    status: 409,
    title: "Others kept writing the same",
    when: "Others kept writing what a transaction had read. Nothing was written.",
    retryAfter: 1,
    example: {
      detail: "Others kept writing what the transaction had read; it was run 25 times",
      details: {},
    },
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: "Too large",
    when: "The body, or a row that it makes, would be too large; `details` tells the limit in bytes. Nothing was written.",
    example: {
      detail: "The body has more than 4000000 bytes",
      details: { field: "body", size: 5_000_000, limit: 4_000_000 },
    },
  },
  OVERLOADED: {
    status: 503,
    title: "Overloaded; nothing was written",
    when: "The service is overloaded. Nothing was written: send it again later.",
    retryAfter: 2,
    example: { detail: "The service is overloaded; nothing was written", details: {} },
  },
  UNAVAILABLE: {
    status: 503,
    title: "The outcome is unknown",
    when: "It may or may not have been written. A repeat converges.",
    retryAfter: 1,
    example: {
      detail: "The outcome is unknown: it may or may not have been written. A repeat converges",
      details: {},
    },
  },
  INTERNAL: {
    status: 500,
    title: "A bug",
    when: "A bug; the log has its cause, by the request's id.",
    example: { detail: "Unexpected fault", details: {} },
  },
  UNAUTHENTICATED: {
    status: 401,
    title: "No valid token",
    when: "There is neither a valid token nor a valid assertion of Cloudflare Access.",
    example: { detail: "A bearer token is needed", details: {} },
  },
  FORBIDDEN: {
    status: 403,
    title: "The caller lacks a scope",
    when: "The caller lacks the scope that `details` names.",
    example: { detail: "The token ci lacks the scope work", details: { scope: "work" } },
  },
  NO_SUCH_ROUTE: {
    status: 404,
    title: "No such resource",
    when: "No operation has this path.",
    example: { detail: "There is nothing at /v1/nothing", details: {} },
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: "Not with this method",
    when: "No operation of this path has this method; the header `Allow` names the methods that it has.",
    example: { detail: "DELETE is not for /v1/runs/run-1; GET, PATCH is", details: {} },
  },
  MALFORMED: {
    status: 400,
    title: "The body is not JSON",
    when: "The body is not JSON in UTF-8.",
    example: { detail: "The body is not JSON", details: {} },
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    title: "The body must be JSON",
    when: "The body is not declared as `application/json`, in UTF-8 and uncompressed: `detail` tells what is taken.",
    example: { detail: "Content-Type must be application/json", details: {} },
  },
  RATE_LIMITED: {
    status: 429,
    title: "Too many requests",
    when: "This token has sent too many requests.",
    retryAfter: 10,
    example: { detail: "Too many requests", details: {} },
  },
  NOT_CONFIGURED: {
    status: 503,
    title: "The HTTP API is not configured",
    when: "The service has no tokens yet, or no tables, or lacks a binding, or has a setting that is not right; `detail` tells its operator what to do. Nothing was done.",
    example: {
      detail:
        "The HTTP API has no tokens. Set the secret API_TOKENS, a JSON list of { name, sha256, scopes }: npx wrangler secret put API_TOKENS, or in .dev.vars for wrangler dev (docs/http.md).",
      details: {},
    },
  },
  GUARD_FAILED: {
    status: 412,
    title: "A guard did not hold",
    when: "A guard did not hold; `details` tells which, and what was found. Nothing was written.",
    example: { detail: "Guard 0 did not hold", details: { guard: 0, actual: 4 } },
  },
  IDEMPOTENCY_KEY_IN_USE: {
    status: 409,
    title: "The first request with this key is under way",
    when: "A request with this `Idempotency-Key` is under way: send it again.",
    retryAfter: 1,
    example: {
      detail: "The first request with this Idempotency-Key is under way",
      details: {},
    },
  },
  FOREIGN_ORIGIN: {
    status: 403,
    title: "Not from another origin",
    when: "Cloudflare Access knows the browser, but a page of another origin sends the request. Nothing was done.",
    example: {
      detail: "Pages of another origin may not do this",
      details: { field: "Origin" },
    },
  },
  REQUEST_TIMEOUT: {
    status: 408,
    title: "The body took too long",
    when: "The body took too long to come. Nothing was done.",
    example: { detail: "The body took too long to come; nothing was done", details: {} },
  },
  KEYS_UNAVAILABLE: {
    status: 503,
    title: "The caller could not be checked; nothing was done",
    when: "The keys of Cloudflare Access could not be fetched, so the caller could not be checked. Nothing was done.",
    retryAfter: 2,
    example: {
      detail: "The keys of Cloudflare Access could not be fetched; nothing was done",
      details: {},
    },
  },
} as const satisfies Readonly<Record<ProblemCode, ProblemKind>>;

/**
 * Codes that no operation answers. Two are about requests to no operation; CONFLICT is the
 * client's, when its transactions give up.
 */
export const BESIDE_OPERATIONS = [
  "NO_SUCH_ROUTE",
  "METHOD_NOT_ALLOWED",
  "CONFLICT",
] as const satisfies readonly ProblemCode[];

export type ProblemStatus = (typeof PROBLEM_KINDS)[ProblemCode]["status"];

/** The same, where the code is not known at compile time. */
export function problemKind(code: ProblemCode): ProblemKind & { readonly status: ProblemStatus } {
  return PROBLEM_KINDS[code];
}
