/**
 * Codes that only HTTP answers have, beside {@link ERROR_CODES}: they are about the request, not
 * the rows. `connectHttp` throws the contract's code that means the same; GUARD_FAILED runs a
 * transaction again.
 * @example
 * console.log(HTTP_CODES.includes("RATE_LIMITED")); // true
 */
export const HTTP_CODES = [
  "NO_SUCH_ROUTE",
  "METHOD_NOT_ALLOWED",
  "MALFORMED",
  "UNSUPPORTED_MEDIA_TYPE",
  "RATE_LIMITED",
  "NOT_CONFIGURED",
  "GUARD_FAILED",
  "IDEMPOTENCY_KEY_IN_USE",
  "FOREIGN_ORIGIN",
  "REQUEST_TIMEOUT",
  "KEYS_UNAVAILABLE",
] as const;

/**
 * One of {@link HTTP_CODES}.
 * @example
 * const code: HttpCode = "RATE_LIMITED";
 */
export type HttpCode = (typeof HTTP_CODES)[number];
