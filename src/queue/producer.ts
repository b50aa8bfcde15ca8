/** Sends wake-ups. If a send fails, the job only starts later: the sweep finds it. */
import { withDeadline } from "../model/index.ts";
import { isServiceError } from "../contract/index.ts";
import type { WakeUp } from "../changes/index.ts";
import { toMessage, type WakeUpRequest } from "./wake-up.ts";

/**
 * The Cloudflare Queue `JOBS`, as far as it is used. A Worker's queue binding fits as it is; a test
 * or another queue needs `sendBatch` alone.
 *
 * @example
 * const sent: unknown[] = [];
 * const queue: WakeUpQueue = {
 *   async sendBatch(messages) {
 *     for (const { body } of messages) sent.push(body);
 *   },
 * };
 */
export interface WakeUpQueue {
  sendBatch(messages: Iterable<WakeUpRequest>): Promise<unknown>;
  /**
   * How many messages wait. Without it the sweep takes the queue to be empty, and sends more
   * permits.
   */
  metrics?(): Promise<{ readonly backlogCount: number }>;
}

/** https://developers.cloudflare.com/queues/platform/limits/ */
const BATCH_MESSAGES_MAX = 100;
/** The longest that a sender waits for the queue, in each batch. */
const SEND_DEADLINE_MS = 10_000;

/** Sends wake-ups. */
export interface Waker {
  /**
   * Never rejects, and ends in time even if the queue does not answer. Resolves to the number of
   * messages that were certainly sent.
   */
  wake(wakeUps: readonly WakeUp[], now: number): Promise<number>;
}

export function createWaker(queue: WakeUpQueue, deadlineMs: number = SEND_DEADLINE_MS): Waker {
  return {
    async wake(wakeUps, now) {
      const messages = wakeUps.flatMap((wakeUp) => toMessage(wakeUp, now) ?? []);
      let sent = 0;
      for (let start = 0; start < messages.length; start += BATCH_MESSAGES_MAX) {
        const batch = messages.slice(start, start + BATCH_MESSAGES_MAX);
        try {
          await withDeadline(queue.sendBatch(batch), deadlineMs, "The queue");
          sent += batch.length;
        } catch (error) {
          console.warn("wfe-wake-ups-not-sent", batch.length, error);
          // The deadline has passed: the next batch would wait just as long.
          if (isServiceError(error)) break;
        }
      }
      return sent;
    },
  };
}
