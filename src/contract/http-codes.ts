/** Codes of the HTTP API's problem details, beside those of the contract. The client turns them into those. */
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

export type HttpCode = (typeof HTTP_CODES)[number];
