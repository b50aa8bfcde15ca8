/** A bound on waiting. */
import { ServiceError } from "../contract/index.ts";

/**
 * The call's answer, if it comes in time. The call itself is not stopped: what it does, it may still do. Whatever we call and do not
 * own is called through this, so that nothing that comes behind it can be held up for ever.
 * @throws UNAVAILABLE when it does not; `who` says who was waited for, and `onLate` is told first.
 */
export async function withDeadline<T>(
  call: Promise<T>,
  deadlineMs: number,
  who: string,
  onLate?: (late: ServiceError) => void,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new ServiceError("UNAVAILABLE", `${who} did not answer within ${deadlineMs} ms`);
    reject(error);
    onLate?.(error);
  }, deadlineMs);
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
