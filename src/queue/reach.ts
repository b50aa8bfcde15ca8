/**
 * Finds out whether the handler's Worker is there, which is not the same as a handler that fails.
 */
import type { JobHandler } from "../contract/index.ts";
import { messageOf, withDeadline } from "../model/index.ts";

/** A Worker that has not started by then counts as away. */
const REACH_DEADLINE_MS = 30_000;

/**
 * No code of the handler's Worker has run: it is down, is being deployed, or has no `handleJob`.
 */
export class HandlerAway extends Error {
  override readonly name = "HandlerAway";
}

export type AnyHandler = { readonly [Method in keyof JobHandler]: unknown };

/**
 * Whether the handler has the method. A handler in another Worker is asked, because every property
 * of its stub looks like a method.
 * @throws HandlerAway
 */
export async function hasMethod(
  handler: AnyHandler,
  method: keyof JobHandler,
  embedded: boolean,
): Promise<boolean> {
  if (embedded) return typeof handler[method] === "function";
  try {
    return (await reach(handler, method)) !== undefined;
  } catch (error) {
    if (error instanceof HandlerAway && NOT_IMPLEMENTED.test(error.message)) return false;
    throw error;
  }
}

/**
 * The runtime's words where a method is read that the entrypoint lacks: `The RPC receiver does not
 * implement "jobFailed".`
 */
const NOT_IMPLEMENTED = /The RPC receiver does not implement/;

/**
 * Resolves when the Worker of a bound handler answers; whatever fails after that may have been
 * entered. This has to be asked before the call: "Network connection lost", marked `retryable`, is
 * the answer to a call that never arrived, and also to one whose Worker died of it.
 * @throws HandlerAway
 */
export async function reach(
  handler: AnyHandler,
  method: keyof JobHandler = "handleJob",
  deadlineMs: number = REACH_DEADLINE_MS,
): Promise<unknown> {
  try {
    // Reading a method of a stub without calling it is a round trip: the Worker starts, and none of
    // its methods is entered.
    const read = Promise.resolve(handler[method]);
    const found = await withDeadline(read, deadlineMs, "Its Worker");
    dispose(found);
    return found;
  } catch (error) {
    const message = `The handler could not be reached: ${messageOf(error)}`;
    throw new HandlerAway(message, { cause: error });
  }
}

/**
 * Whether a call failed because the Worker that was called died, and not because its code threw.
 * The runtime marks such errors: `retryable` where the connection broke, `overloaded` where memory
 * or CPU ran out. https://developers.cloudflare.com/durable-objects/best-practices/error-handling/
 */
export function isDeath(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const broken = "retryable" in error && error.retryable === true;
  return broken || ("overloaded" in error && error.overloaded === true);
}

/**
 * A property that was read from another Worker keeps its side of the call alive until it is
 * disposed.
 */
function dispose(read: unknown): void {
  if (typeof read === "function" && Symbol.dispose in read) {
    const { [Symbol.dispose]: giveUp } = read;
    if (typeof giveUp === "function") giveUp.call(read);
  }
}
