/** A bound on waiting. */
import { ServiceError } from "../contract/index.ts";

/**
 * The call's answer, if it comes in time. The call itself is not stopped: it may still do what it
 * was to do. Every call to something that is not ours (D1, a queue, a handler) goes through this,
 * so that one call that never ends cannot hold up everything behind it.
 * @param who names what is waited for, in the message.
 * @param onLate is told before the promise rejects.
 * @throws UNAVAILABLE when the time is up.
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
