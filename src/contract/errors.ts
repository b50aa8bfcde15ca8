/**
 * The faults a caller can see. `ServiceError` carries one of a closed set of codes; match on
 * `code`, since `instanceof` does not survive RPC. `StaleVersionError` is the contract's own class
 * and the only exception: an engine recognises it with `instanceof`, so a connection may be given
 * the engine's class to throw.
 */

export const ERROR_CODES = [
  /** A value is malformed or beyond a limit. `details` names the field. Nothing was written. */
  "INVALID_ARGUMENT",
  /** The service does not know the token, or was given no tokens to know. Nothing was written. */
  "UNAUTHENTICATED",
  /** This binding, or this token, may not do it. Nothing was written. `details`: the change, or the scope. */
  "FORBIDDEN",
  /** The row that the call names does not exist. */
  "NOT_FOUND",
  /** The key is taken by another row. */
  "ALREADY_EXISTS",
  /** The stored version is not the expected one. `details`: entity, id, expected, actual. */
  "STALE_VERSION",
  /** This connection's delivery of the job is over: a later attempt owns it. Nothing was changed. */
  "LEASE_LOST",
  /** Others kept writing what a transaction had read, until its reruns were used up. Nothing was written. */
  "CONFLICT",
  /** The value does not fit. `details`: field, size, limit, in bytes. Nothing was written. */
  "PAYLOAD_TOO_LARGE",
  /** The database or a coordinator pushes back. Nothing was written. Try again later. */
  "OVERLOADED",
  /** The outcome is unknown: it may or may not have been written. A repeat converges. */
  "UNAVAILABLE",
  /** A bug. */
  "INTERNAL",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** True where trying the same call again, after a pause, may succeed. */
export function isRetryable(code: ErrorCode): boolean {
  return code === "CONFLICT" || code === "OVERLOADED" || code === "UNAVAILABLE";
}

export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** Thrown when an update names a version that is not the stored one. `actual` is -1 when the row is missing. */
export class StaleVersionError extends Error {
  override readonly name = "StaleVersionError";
  readonly entity: string;
  readonly id: string;
  readonly expected: number;
  readonly actual: number;
  constructor(entity: string, id: string, expected: number, actual: number) {
    super(`Stale version on ${entity} ${id}: expected ${expected}, got ${actual}`);
    this.entity = entity;
    this.id = id;
    this.expected = expected;
    this.actual = actual;
  }
}

export type StaleVersionErrorClass = new (
  entity: string,
  id: string,
  expected: number,
  actual: number,
) => Error;

/** Recognises our error by shape, also when it crossed an RPC boundary or comes from another copy of this package. */
export function isServiceError(error: unknown): error is ServiceError {
  return (
    error instanceof Error &&
    error.name === "ServiceError" &&
    "code" in error &&
    ERROR_CODES.some((code) => code === error.code)
  );
}
