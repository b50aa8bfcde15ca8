/**
 * The errors that a caller can see. Each has one of a fixed set of codes. Match on `code`:
 * `instanceof` does not survive RPC. `StaleVersionError` is the contract's own class, and engines
 * recognise it with `instanceof`; so a connection may be given the engine's class to throw instead.
 * Those errors have the code as well.
 */

/**
 * Every code of an error. After CONFLICT, OVERLOADED and UNAVAILABLE the same call may succeed
 * later.
 * @example
 * const grave = ERROR_CODES.filter((code) => !isRetryable(code));
 */
export const ERROR_CODES = [
  /** A value is malformed or beyond a limit. `details` names the field. Nothing was written. */
  "INVALID_ARGUMENT",
  /** The service does not know the token, or has no tokens at all. Nothing was written. */
  "UNAUTHENTICATED",
  /**
   * This binding or token may not do it. Nothing was written. `details`: the change, or the scope
   * that it lacks.
   */
  "FORBIDDEN",
  /** The row that the call names does not exist. */
  "NOT_FOUND",
  /** The key is taken by another row. */
  "ALREADY_EXISTS",
  /** The stored version is not the expected one. `details`: entity, id, expected, actual. */
  "STALE_VERSION",
  /** A later attempt owns the job; the delivery of this connection is over. Nothing was changed. */
  "LEASE_LOST",
  /**
   * Others kept writing what a transaction had read until its 25 runs were used up. Nothing was
   * written.
   */
  "CONFLICT",
  /** The value is too large. `details`: field, size, limit, in bytes. Nothing was written. */
  "PAYLOAD_TOO_LARGE",
  /** The database or a coordinator has too much to do. Nothing was written. Try again later. */
  "OVERLOADED",
  /**
   * The outcome is unknown: it may or may not have been written. Repeating the call converges: see
   * each method.
   */
  "UNAVAILABLE",
  /** A bug of ours. The service's log has the cause. */
  "INTERNAL",
] as const;

/**
 * One of {@link ERROR_CODES}.
 * @example
 * const code: ErrorCode = "LEASE_LOST";
 */
export type ErrorCode = (typeof ERROR_CODES)[number];
/**
 * The codes of a {@link ServiceError}. A stale version has a class of its own.
 * @example
 * const code: ServiceErrorCode = "NOT_FOUND";
 */
export type ServiceErrorCode = Exclude<ErrorCode, "STALE_VERSION">;
/**
 * The facts of an error, as plain values: `field`, `limit`, `size`, `entity`, `id`, ... by the
 * code.
 * @example
 * const details: ErrorDetails = { field: "priority", limit: 100 };
 */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * Whether the same call may succeed after a pause.
 * @example
 * try {
 *   await jobs.enqueue({ workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" });
 * } catch (error) {
 *   if (!isEngineError(error) || !isRetryable(error.code)) throw error;
 *   console.warn("try again later", error.code);
 * }
 */
export function isRetryable(code: ErrorCode): boolean {
  return code === "CONFLICT" || code === "OVERLOADED" || code === "UNAVAILABLE";
}

/**
 * Every error of the service but a stale version: its code, a message for people, and its facts.
 * @example
 * const error = new ServiceError("NOT_FOUND", "Run run-1 not found", { entity: "WorkflowRun", id: "run-1" });
 * console.log(error.code, error.details["id"]);
 */
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

/**
 * Which row was not as expected, and its two versions.
 * @example
 * const staleness: Staleness = { entity: "WorkflowRun", id: "run-1", expected: 3, actual: 4 };
 */
export type Staleness = {
  readonly entity: string;
  readonly id: string;
  readonly expected: number;
  /** -1 when the row is missing. */
  readonly actual: number;
};

/**
 * Thrown when an update expects another version than the stored one. `actual` is -1 when the row is
 * missing. Nothing was written.
 * @example
 * try {
 *   await persistence.updateRun("run-1", { status: "RUNNING", expectedVersion: 3 });
 * } catch (error) {
 *   if (!(error instanceof StaleVersionError)) throw error;
 *   console.log("somebody was faster: version", error.actual);
 * }
 */
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

/**
 * A class to throw for stale versions in the place of ours: an engine's own. Its constructor gets
 * the same four values.
 * @example
 * class EngineStaleVersion extends Error {
 *   constructor(entity: string, id: string, expected: number, actual: number) {
 *     super(`${entity} ${id}: ${expected}, not ${actual}`);
 *   }
 * }
 * const { persistence } = connect(env.WORKFLOWS, { StaleVersionError: EngineStaleVersion });
 */
export type StaleVersionErrorClass = new (
  entity: string,
  id: string,
  expected: number,
  actual: number,
) => Error;

/**
 * Every error that a connection itself makes and throws. `switch (error.code)` tells them apart.
 * @example
 * function isGone(error: EngineError): boolean {
 *   return error.code === "NOT_FOUND";
 * }
 */
export type EngineError = ServiceError | StaleVersionError;

/**
 * Recognises a {@link ServiceError} by its shape: also one that crossed RPC, or of another copy of
 * this package.
 * @example
 * const error: unknown = new ServiceError("NOT_FOUND", "gone");
 * console.log(isServiceError(error)); // true
 */
export function isServiceError(error: unknown): error is ServiceError {
  return (
    error instanceof Error &&
    error.name === "ServiceError" &&
    "code" in error &&
    ERROR_CODES.some((code) => code === error.code)
  );
}

/**
 * Recognises every error of a connection: as {@link isServiceError}, and stale versions, also those
 * of the class that the connection was given.
 * @example
 * try {
 *   await persistence.deleteStage("stage-1");
 * } catch (error) {
 *   if (!isEngineError(error)) throw error;
 *   switch (error.code) {
 *     case "NOT_FOUND":
 *       break;
 *     default:
 *       throw error;
 *   }
 * }
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

/**
 * Makes an error from its data, with the class that belongs to its code.
 * @example
 * const error = errorOf("NOT_FOUND", "Run run-1 not found", { entity: "WorkflowRun", id: "run-1" });
 */
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
