/**
 * The faults a caller can see. Each carries one of a closed set of codes; match on `code`, since `instanceof` does not
 * survive RPC. `StaleVersionError` is the contract's own class: an engine recognises it with `instanceof`, so a connection
 * may be given the engine's class to throw. Its errors get the code as well.
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
/** Those of a `ServiceError`. A stale version is told by a class of its own. */
export type ServiceErrorCode = Exclude<ErrorCode, "STALE_VERSION">;
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** True where trying the same call again, after a pause, may succeed. */
export function isRetryable(code: ErrorCode): boolean {
  return code === "CONFLICT" || code === "OVERLOADED" || code === "UNAVAILABLE";
}

export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ServiceErrorCode;
  readonly details: ErrorDetails;
  constructor(
    code: ServiceErrorCode,
    message: string,
    details: ErrorDetails = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** Which row was not as expected. */
export type Staleness = {
  readonly entity: string;
  readonly id: string;
  readonly expected: number;
  /** -1 when the row is missing. */
  readonly actual: number;
};

/** Thrown when an update names a version that is not the stored one. `actual` is -1 when the row is missing. */
export class StaleVersionError extends Error {
  override readonly name = "StaleVersionError";
  readonly code = "STALE_VERSION";
  readonly details: Staleness;
  readonly entity: string;
  readonly id: string;
  readonly expected: number;
  readonly actual: number;
  constructor(entity: string, id: string, expected: number, actual: number) {
    super(`Stale version on ${entity} ${id}: expected ${expected}, got ${actual}`);
    this.details = { entity, id, expected, actual };
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

/** Every error that a connection throws of its own accord: `switch (error.code)` tells them apart. */
export type EngineError = ServiceError | StaleVersionError;

/** Recognises our error by shape, also when it crossed an RPC boundary or comes from another copy of this package. */
export function isServiceError(error: unknown): error is ServiceError {
  return (
    error instanceof Error &&
    error.name === "ServiceError" &&
    "code" in error &&
    ERROR_CODES.some((code) => code === error.code)
  );
}

/**
 * As {@link isServiceError}, and recognises stale versions, also of the class that the connection was given: what it lets through,
 * `switch (error.code)` tells apart.
 */
export function isEngineError(error: unknown): error is EngineError {
  return isServiceError(error) || isStaleVersion(error);
}

function isStaleVersion(error: unknown): error is StaleVersionError {
  if (!(error instanceof Error) || !("code" in error) || !("details" in error)) return false;
  const { code, details } = error;
  if (code !== "STALE_VERSION" || typeof details !== "object" || details === null) return false;
  return "entity" in details && "expected" in details && "actual" in details;
}

/** An error that was told as data. */
export function errorOf(
  code: ErrorCode,
  message: string,
  details: ErrorDetails,
  cause?: unknown,
): EngineError {
  if (code !== "STALE_VERSION") return new ServiceError(code, message, details, cause);
  const { entity, id, expected, actual } = details;
  return new StaleVersionError(String(entity), String(id), Number(expected), Number(actual));
}
