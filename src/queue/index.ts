export {
  consume,
  type ConsumedBatch,
  type ConsumerOptions,
  type ConsumersHandler,
  type WakeUpDelivery,
} from "./consumer.ts";
export { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
export { createWaker, type Waker, type WakeUpQueue } from "./producer.ts";
export { dispatchSettings, type DispatchSettings, type DispatchVars } from "./settings.ts";
export type { WakeUp, WakeUpMessage } from "./wake-up.ts";
export { WakingStore } from "./waking-store.ts";
export { ALIVE, openWatch, RESUME, WATCH_PROTOCOL } from "./open-watch.ts";
