/** Sends wake-ups. A send that fails or never happens changes nothing but latency: the sweep finds what is due. */
import type { HandlerDuty } from "../contract/index.ts";
import { toMessage, type WakeUp, type WakeUpMessage } from "./wake-up.ts";

/** The Cloudflare Queue `JOBS`, as far as it is used. */
export interface WakeUpQueue {
  sendBatch(messages: Iterable<MessageSendRequest<WakeUpMessage>>): Promise<unknown>;
  metrics?(): Promise<{ readonly backlogCount: number }>;
}

/** https://developers.cloudflare.com/queues/platform/limits/ */
const BATCH_MESSAGES_MAX = 100;

/** Who sends wake-ups, of which kinds. */
export interface Waker {
  readonly duties: ReadonlySet<HandlerDuty>;
  /** Never rejects. Resolves to how many messages were sent. */
  wake(wakeUps: readonly WakeUp[], now: number): Promise<number>;
}

export function createWaker(queue: WakeUpQueue, duties: ReadonlySet<HandlerDuty>): Waker {
  return {
    duties,
    async wake(wakeUps, now) {
      const messages = wakeUps.flatMap((wakeUp) => toMessage(wakeUp, now) ?? []);
      let sent = 0;
      for (let start = 0; start < messages.length; start += BATCH_MESSAGES_MAX) {
        const batch = messages.slice(start, start + BATCH_MESSAGES_MAX);
        try {
          await queue.sendBatch(batch);
          sent += batch.length;
        } catch (error) {
          console.warn("wfe-wake-ups-not-sent", batch.length, error);
        }
      }
      return sent;
    },
  };
}
