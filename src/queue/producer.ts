/** Sends wake-ups. A send that fails or never happens changes nothing but latency: the sweep finds what is due. */
import { withDeadline } from "../model/index.ts";
import { isServiceError } from "../contract/index.ts";
import type { WakeUp } from "../changes/index.ts";
import { toMessage, type WakeUpRequest } from "./wake-up.ts";

/** The Cloudflare Queue `JOBS`, as far as it is used. */
export interface WakeUpQueue {
  sendBatch(messages: Iterable<WakeUpRequest>): Promise<unknown>;
  metrics?(): Promise<{ readonly backlogCount: number }>;
}

/** https://developers.cloudflare.com/queues/platform/limits/ */
const BATCH_MESSAGES_MAX = 100;
/** Whoever sends does not wait for a queue for longer. */
const SEND_DEADLINE_MS = 10_000;

/** Who sends wake-ups. */
export interface Waker {
  /** Never rejects, and is over in time, whatever the queue does. Resolves to how many messages were surely sent. */
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
          // It would let the others wait for as long.
          if (isServiceError(error)) break;
        }
      }
      return sent;
    },
  };
}
