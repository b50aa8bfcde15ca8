/** Bounds on waiting, and waiting itself. */
import { ServiceError } from "../contract/index.ts";

/**
 * The call's answer, if it comes in time. The call itself is not stopped: what it does, it may still do. Whatever we call and do not
 * own is called through this, or through {@link withDeadline}, so that nothing that comes behind it can be held up for ever.
 * @throws what `late` makes when it does not come in time.
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
 * As {@link unlessLate}.
 * @throws UNAVAILABLE when it does not come in time; `who` says who was waited for, and `onLate` is told first.
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
