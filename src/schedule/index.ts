export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "./dispatcher.ts";
export { sweep, type SweepOptions, type SweepReport, type SweepStep } from "./sweep.ts";
