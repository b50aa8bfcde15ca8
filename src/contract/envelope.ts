/**
 * How an answer or a fault crosses an RPC boundary. A thrown error loses its class there, and its properties too
 * unless both sides have a compatibility date from 2026-04-21; a caller's date is not ours to know.
 */
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  errorOf,
  isEngineError,
} from "./errors.ts";

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

/** Runs the call. An error with a code becomes an envelope. Any other error is logged here and becomes INTERNAL. */
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

/** The value, or throws the fault as the error that it was. */
export function fromEnvelope<T>(envelope: Envelope<T>): T {
  if (envelope.ok) return envelope.value;
  const { code, message, details } = envelope.error;
  throw errorOf(ERROR_CODES.includes(code) ? code : "INTERNAL", message, details);
}
