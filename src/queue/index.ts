/**
 * Wake-ups through the queue `JOBS`: the message, its sender, the consumer that works jobs through
 * a handler and takes runs through their stages, the hand-over of failures and the relay of events. Not here: the sweep (`schedule/`)
 * and how an environment becomes a store (`worker/`). It may import `runner/`, `engine/`,
 * `persistence/`, `changes/`, `queries/`, `model/` and `contract/`.
 */
export { consume, type ConsumedBatch, type WakeUpDelivery } from "./consumer.ts";
export type { ConsumersHandler } from "./stage-jobs.ts";
export { createWaker, type WakeUpQueue } from "./producer.ts";
export { dispatchSettings, type DispatchVars } from "./settings.ts";
export type { WakeUpMessage } from "./wake-up.ts";
export { WakingStore } from "./waking-store.ts";
