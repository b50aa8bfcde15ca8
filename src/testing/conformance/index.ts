/**
 * The contract as tests: every adapter passes the same suite, through its own way in. An adapter
 * says how to connect to its store and how to empty it. The suite never looks behind the three
 * interfaces. Not here: tests of one adapter alone (`test/`). Imports `contract/`, and vitest.
 */
import { aiCalls } from "./ai-calls.ts";
import { annotationFilters } from "./annotation-filters.ts";
import { annotations } from "./annotations.ts";
import { artifacts } from "./artifacts.ts";
import { concurrency } from "./concurrency.ts";
import { registerSuite } from "./harness.ts";
import type { Area, ConformanceOptions } from "./harness.ts";
import { idempotencyKeys } from "./idempotency-keys.ts";
import { isolation } from "./isolation.ts";
import { jobLeases } from "./job-leases.ts";
import { jobOutcomes } from "./job-outcomes.ts";
import { jobs } from "./jobs.ts";
import { limits } from "./limits.ts";
import { logs } from "./logs.ts";
import { names } from "./names.ts";
import { outbox, outboxDelivery } from "./outbox.ts";
import { queueConcurrency } from "./queue-concurrency.ts";
import { runClaims } from "./run-claims.ts";
import { runs } from "./runs.ts";
import { scalars } from "./scalars.ts";
import { stageQueries } from "./stage-queries.ts";
import { stageUpserts } from "./stage-upserts.ts";
import { stages } from "./stages.ts";
import { stuckRuns } from "./stuck-runs.ts";
import { transactionConflicts } from "./transaction-conflicts.ts";
import { transactionFaults } from "./transaction-faults.ts";
import { transactionIsolation } from "./transaction-isolation.ts";
import { transactionJobs } from "./transaction-jobs.ts";
import { transactionReads } from "./transaction-reads.ts";
import { transactionRecordReads } from "./transaction-record-reads.ts";
import { transactions } from "./transactions.ts";
import { values } from "./values.ts";

export type {
  ConformanceBackend,
  ConformanceConnectOptions,
  ConformanceOptions,
} from "./harness.ts";

/** All areas, in the order in which they run. */
export const AREAS: Readonly<Record<string, Area>> = {
  runs,
  "claims of runs": runClaims,
  "stuck runs": stuckRuns,
  stages,
  "stages: upsert and delete": stageUpserts,
  "stages: queries": stageQueries,
  logs,
  artifacts,
  annotations,
  "annotations: filters": annotationFilters,
  outbox,
  "outbox: delivery": outboxDelivery,
  "idempotency keys": idempotencyKeys,
  jobs,
  "jobs: outcomes": jobOutcomes,
  "jobs: leases": jobLeases,
  "AI calls": aiCalls,
  "values: JSON": values,
  "values: numbers, instants, text": scalars,
  "values: ids, names, keys": names,
  "values: limits": limits,
  "values: isolation": isolation,
  transactions,
  "transactions: faults": transactionFaults,
  "transactions: own writes": transactionReads,
  "transactions: own writes to records and jobs": transactionRecordReads,
  "transactions: isolation": transactionIsolation,
  "transactions: conflicts": transactionConflicts,
  "transactions: jobs": transactionJobs,
  concurrency,
  "concurrency: queues": queueConcurrency,
};

/**
 * Registers the whole suite for one adapter. Call it at the top level of a test file of vitest.
 * @example
 * import { createMemoryBackend, describeConformance } from "workflow-engine-cloudflare/testing";
 *
 * const memory = createMemoryBackend();
 * describeConformance({
 *   name: "memory",
 *   connect: (options) => memory.connect(options),
 *   reset: () => memory.clear(),
 * });
 */
export function describeConformance(options: ConformanceOptions): void {
  registerSuite(options, AREAS);
}
