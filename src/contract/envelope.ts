/**
 * How an answer or an error crosses RPC. A thrown error loses its class there, and its properties,
 * too, unless both sides have a compatibility date from 2026-04-21; we cannot know a caller's date.
 */
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  errorOf,
  isEngineError,
} from "./errors.ts";

/**
 * An answer or an error, as data.
 * @example
 * const envelope: Envelope<number> = { ok: true, value: 7 };
 */
export type Envelope<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly details: ErrorDetails;
      };
    };

/**
 * Runs the call. An error with a code becomes an envelope. Any other error is logged here, as
 * `wfe-unexpected-fault`, and becomes INTERNAL without its message: it may hold what callers are
 * not to see.
 * @example
 * const envelope = await toEnvelope(async () => persistence.getRun("run-1"));
 */
export async function toEnvelope<T>(call: () => Promise<T>): Promise<Envelope<T>> {
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    if (isEngineError(error)) {
      const { code, message, details } = error;
      if (code === "INTERNAL") console.error(message, error.cause);
      return { ok: false, error: { code, message, details } };
    }
    console.error("wfe-unexpected-fault", error);
    return { ok: false, error: { code: "INTERNAL", message: "Unexpected fault", details: {} } };
  }
}

/**
 * The value of the envelope; or throws its error, as an object of the class it had.
 * @example
 * const run = fromEnvelope(await toEnvelope(async () => persistence.getRun("run-1")));
 */
export function fromEnvelope<T>(envelope: Envelope<T>): T {
  if (envelope.ok) return envelope.value;
  const { code, message, details } = envelope.error;
  throw errorOf(ERROR_CODES.includes(code) ? code : "INTERNAL", message, details);
}
