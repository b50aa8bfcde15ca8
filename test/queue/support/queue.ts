/** The queue as it is seen from outside: what was sent to it, and what it hands over. */
import type { WakeUpDelivery, WakeUpMessage, WakeUpQueue } from "../../../src/queue/index.ts";

export type Sent = MessageSendRequest<WakeUpMessage>;

/** Keeps what is sent. Delivers nothing by itself. */
export class RecordingQueue implements WakeUpQueue {
  /** One list a call, in the order of the calls. */
  batches: Sent[][] = [];
  /** `throws`: every send fails. `hangs`: none is answered, and none arrives. */
  mode: "takes" | "throws" | "hangs" = "takes";
  /** Sends that came while it did not take any. */
  refused = 0;
  /** Resolves with the first send that is not answered. */
  readonly hung: Promise<void>;
  readonly #hang: () => void;
  /** Null: it does not say. */
  backlogCount: number | null = 0;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.hung = promise;
    this.#hang = resolve;
  }

  async sendBatch(messages: Iterable<Sent>): Promise<void> {
    if (this.mode === "takes") {
      this.batches.push([...messages]);
      return;
    }
    this.refused += 1;
    if (this.mode === "throws") throw new Error("Queue sendBatch failed: Too Many Requests");
    this.#hang();
    await new Promise<never>(() => {});
  }

  async metrics(): Promise<{ backlogCount: number }> {
    if (this.backlogCount === null) throw new Error("metrics are not available");
    return { backlogCount: this.backlogCount };
  }

  get messages(): Sent[] {
    return this.batches.flat();
  }

  /** What was sent since the last time. */
  take(): Sent[] {
    const messages = this.messages;
    this.batches = [];
    return messages;
  }
}

export class Delivery implements WakeUpDelivery {
  readonly body: unknown;
  /** How often it has been delivered. */
  readonly attempts: number;
  acked = 0;
  retried = 0;

  constructor(body: unknown, attempts = 1) {
    this.body = body;
    this.attempts = attempts;
  }

  ack(): void {
    this.acked += 1;
  }

  retry(): void {
    this.retried += 1;
  }
}

export function permits(count: number): Delivery[] {
  return Array.from({ length: count }, () => new Delivery({ v: 1, kind: "jobs" }));
}
