export {
  dispatcher,
  type Dispatcher,
  type DispatcherOptions,
  type WakeUpBatch,
} from "../worker/dispatcher.ts";
export { sweep, type SweepOptions, type SweepReport, type SweepStep } from "./sweep.ts";
