/** Whether the handler's Worker is there, told apart from a handler that fails. */
import { messageOf, withDeadline } from "../model/index.ts";

/** A Worker that does not start within so long is away. */
const REACH_DEADLINE_MS = 30_000;

/** Nothing of the handler's Worker has run: it is down, is being deployed, or has no `handleJob`. */
export class HandlerAway extends Error {
  override readonly name = "HandlerAway";
}

/**
 * Resolves when the Worker of a bound handler answers; whatever fails after that may have been entered. It has to be asked before:
 * "Network connection lost", marked `retryable`, is what a call gets that never arrived, and also one whose Worker died of it.
 * @throws HandlerAway
 */
export async function reach(
  handler: { readonly handleJob: unknown },
  deadlineMs: number = REACH_DEADLINE_MS,
): Promise<void> {
  try {
    // Of a stub, reading a method without calling it is a round trip, in which the Worker starts and none of its methods is entered.
    const read = Promise.resolve(handler.handleJob);
    dispose(await withDeadline(read, deadlineMs, "Its Worker"));
  } catch (error) {
    const message = `The handler could not be reached: ${messageOf(error)}`;
    throw new HandlerAway(message, { cause: error });
  }
}

/** What was read of another Worker keeps its side of the call alive until it is given up. */
function dispose(read: unknown): void {
  if (typeof read === "function" && Symbol.dispose in read) {
    const { [Symbol.dispose]: giveUp } = read;
    if (typeof giveUp === "function") giveUp.call(read);
  }
}
