/** A bound on waiting. */
import { ServiceError } from "../contract/index.ts";

/**
 * The call's answer, if it comes in time. The call itself is not stopped: what it does, it may still do.
 * @throws UNAVAILABLE when it does not; `who` says who was waited for.
 */
export async function withDeadline<T>(
  call: Promise<T>,
  deadlineMs: number,
  who: string,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new ServiceError("UNAVAILABLE", `${who} did not answer within ${deadlineMs} ms`));
  }, deadlineMs);
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
