export {
  consume,
  type ConsumedBatch,
  type ConsumerOptions,
  type WakeUpDelivery,
} from "./consumer.ts";
export { createWaker, type Waker, type WakeUpQueue } from "./producer.ts";
export { dispatchSettings, type DispatchSettings, type DispatchVars } from "./settings.ts";
export type { WakeUpMessage } from "./wake-up.ts";
export { WakingStore } from "./waking-store.ts";
