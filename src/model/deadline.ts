/** Bounds on waiting, and waiting itself. */
import { ServiceError } from "../contract/index.ts";

/**
 * The call's answer, if it comes in time. The call itself is not stopped: it may still have its
 * effect. Every call to something that is not ours (D1, a queue, a handler) goes through this or
 * {@link withDeadline}, so that one call that never ends cannot hold up everything behind it.
 * @throws the error that `late` makes when the time is up.
 */
export async function unlessLate<T>(
  call: Promise<T>,
  deadlineMs: number,
  late: () => Error,
): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), deadlineMs);
  try {
    return await Promise.race([call, over]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * As {@link unlessLate}, with the usual error.
 * @param who names what is waited for, in the message.
 * @param onLate is called before the promise rejects.
 * @throws UNAVAILABLE when the time is up.
 */
export async function withDeadline<T>(
  call: Promise<T>,
  deadlineMs: number,
  who: string,
  onLate?: (late: ServiceError) => void,
): Promise<T> {
  return unlessLate(call, deadlineMs, () => {
    const late = new ServiceError("UNAVAILABLE", `${who} did not answer within ${deadlineMs} ms`);
    onLate?.(late);
    return late;
  });
}

export async function sleep(ms: number): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  return over;
}
