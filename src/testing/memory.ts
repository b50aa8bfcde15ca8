/**
 * `workflow-engine-cloudflare/testing/memory`: the contract in memory, for unit tests of code that
 * runs on it. It needs neither vitest nor Cloudflare.
 */
import { Connection, type ConnectionOptions } from "../persistence/connection.ts";
import type { WakeUpKind } from "../changes/index.ts";
import type { Backend, JobHandler } from "../contract/index.ts";
import { createMemoryStore } from "../memory/store.ts";
// By their files: the folders' indexes bring what needs the platform.
import { consume, type ConsumedBatch } from "../queue/consumer.ts";
import { dispatchSettings, type DispatchVars } from "../queue/settings.ts";
import type { ConsumersHandler } from "../queue/stage-jobs.ts";
import { sweep, type SweepReport } from "../schedule/sweep.ts";

/**
 * How the backend in memory acts.
 * @example
 * let time = 1_800_000_000_000;
 * const options: MemoryBackendOptions = { now: () => time, vars: { LEASE_MS: 60_000 } };
 * time += 61_000;
 */
export interface MemoryBackendOptions extends ConnectionOptions {
  /** The clock, in milliseconds. Default `Date.now`. */
  readonly now?: () => number;
  /** The variables of dispatch, as in a Worker's environment: LEASE_MS and so on. */
  readonly vars?: DispatchVars;
}

/**
 * A connection in memory, and what queue and cron would do.
 * @example
 * const backend: MemoryBackend = createMemoryBackend();
 * await backend.jobs.enqueue({ workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" });
 * const { completed } = await backend.consume({ handleJob: async () => ({ status: "completed" }) });
 * console.log(completed); // 1
 */
export interface MemoryBackend extends Backend {
  /** A further connection onto the same data, as another worker would have. */
  connect(options?: ConnectionOptions): Backend;
  /**
   * Does what the queue's consumer does with this many messages (default 10): claims as many due
   * jobs, calls the handler for each, and settles it. A job that is delayed waits here, too: pass
   * `now` in and move it on.
   */
  consume(handler: JobHandler, permits?: number): Promise<ConsumedBatch>;
  /**
   * Does what the cron does every minute: ends expired leases, resumes what is due, and counts what
   * waits.
   */
  sweep(): Promise<SweepReport>;
  /**
   * Calls the handler's `jobFailed` for up to 100 failed jobs that have left their stage or run
   * open and are due: first at once, then after pauses that grow. If the handler has no
   * `jobFailed`, the stages and runs end as FAILED.
   */
  handOverFailures(handler: JobHandler): Promise<void>;
  /** Deletes all rows. */
  clear(): void;
}

/**
 * A backend in memory. Transactions, rollback, isolation and conflicts are those of the real one:
 * it is the same code over maps.
 * @throws INVALID_ARGUMENT for a variable that is out of range.
 * @example
 * const { persistence, audit } = createMemoryBackend({ now: () => 1_800_000_000_000 });
 * await persistence.createRun({
 *   workflowId: "digest",
 *   workflowName: "Digest",
 *   workflowType: "digest",
 *   input: {},
 * });
 * console.log(await audit()); // []
 */
export function createMemoryBackend({
  now,
  vars = {},
  ...options
}: MemoryBackendOptions = {}): MemoryBackend {
  const store = createMemoryStore(now === undefined ? {} : { now });
  const connection = new Connection(store, options);
  const { persistence, jobs, aiCalls } = connection;
  const settings = dispatchSettings(vars);
  const deliver = (handler: JobHandler, kind: WakeUpKind, count: number) =>
    consume(messages(kind, count), {
      store,
      handler: { embedded: true, handler },
      settings,
      workerId: "consumer",
      waitUntil: () => {},
    });
  return {
    persistence,
    jobs,
    aiCalls,
    audit: () => connection.audit(),
    connect: (others) => new Connection(store, others),
    consume: (handler, permits = 10) => deliver(handler, "jobs", permits),
    sweep: () => sweep({ store, settings, waker: null, handler: NOBODY }),
    handOverFailures: async (handler) => {
      await deliver(handler, "failures", 1);
    },
    clear: () => {
      store.clear();
    },
  };
}

/**
 * The sweep acts as it does where there is a handler; the caller of `consume` brings the real one.
 */
const NOBODY: ConsumersHandler = {
  embedded: true,
  handler: { handleJob: async () => ({ status: "completed" }) },
};

function messages(kind: WakeUpKind, count: number) {
  const message = { body: { v: 1, kind }, ack: () => {}, retry: () => {} };
  return Array.from({ length: count }, () => message);
}
