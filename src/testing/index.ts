/** `workflow-engine-cloudflare/testing`: what others may run. */
export { createMemoryBackend, type MemoryBackend, type MemoryBackendOptions } from "./memory.ts";
export {
  D1_FAULTS,
  D1_MESSAGES,
  type D1Call,
  type D1Fault,
  type D1FaultPlan,
  faultyD1,
  type FaultyD1,
} from "./faulty-d1.ts";
export {
  type ConformanceBackend,
  type ConformanceConnectOptions,
  type ConformanceOptions,
  describeConformance,
} from "./conformance/index.ts";
