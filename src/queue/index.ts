export {
  consume,
  type ConsumedBatch,
  type ConsumersHandler,
  type WakeUpDelivery,
} from "./consumer.ts";
export { createWaker, type WakeUpQueue } from "./producer.ts";
export { dispatchSettings, type DispatchVars } from "./settings.ts";
export type { WakeUpMessage } from "./wake-up.ts";
export { WakingStore } from "./waking-store.ts";
