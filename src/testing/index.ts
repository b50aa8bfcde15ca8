/**
 * `workflow-engine-cloudflare/testing`: the contract in memory, a D1 whose calls fail as a plan
 * says, the conformance suite. Not here: the tests of this package itself (`test/`). It needs
 * vitest; `testing/memory.ts` does not. Imports `memory/`, `persistence/`, `engine/`, `runner/`,
 * `client/`, `changes/`, `queries/`, `model/`, `contract/`, and single files of `queue/` and `schedule/`.
 */
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
