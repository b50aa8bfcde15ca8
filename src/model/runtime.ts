/** What this package needs of the platform under it. */
import { ServiceError } from "../contract/index.ts";

/**
 * Says it at the beginning. Later, a platform that is too old would have a TypeError in the middle
 * of a call.
 * @throws INVALID_ARGUMENT
 */
export function requireRuntime(): void {
  if ("withResolvers" in Promise) return;
  const message = "This needs Node 22.12 or later";
  throw new ServiceError("INVALID_ARGUMENT", message);
}
