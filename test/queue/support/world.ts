/** A Worker with a clock, a queue and a database of its own to go wrong. */
import { expect } from "vitest";
import type { Store } from "../../../src/changes/index.ts";
import { Connection } from "../../../src/persistence/connection.ts";
import {
  type Backend,
  type BoundJobHandler,
  type JobHandler,
  toEnvelope,
} from "../../../src/contract/index.ts";
import { fromWire } from "../../../src/changes/index.ts";
import type { CoordinatorNamespace } from "../../../src/coordinator/index.ts";
import {
  consume,
  type ConsumedBatch,
  dispatchSettings,
  type DispatchVars,
  type WakeUpDelivery,
} from "../../../src/queue/index.ts";
import { openStore, wakerOf } from "../../../src/worker/index.ts";
import { sweep, type SweepReport } from "../../../src/schedule/index.ts";
import { D1Store } from "../../../src/store/index.ts";
import { faultyD1, type FaultyD1 } from "../../../src/testing/faulty-d1.ts";
import { env } from "../../support/env.ts";
import { Delivery, permits, RecordingQueue, type Sent } from "./queue.ts";

export const NOW = Date.UTC(2026, 2, 4, 5, 6, 7, 89);
export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** A handler with every method there is. */
const EVERYTHING: JobHandler = {
  handleJob: async () => ({ status: "completed" }),
  claimRuns: async () => {},
  jobFailed: async () => {},
  publishEvents: async () => [],
};

/** A part of the service: its D1 may go wrong, its messages are kept, and it may die. */
export interface Part {
  readonly store: Store;
  readonly backend: Backend;
  readonly queue: RecordingQueue;
  readonly d1: FaultyD1;
}

export class World {
  now = NOW;
  readonly vars: DispatchVars;

  constructor(vars: DispatchVars = {}) {
    this.vars = { RETRY_JITTER: 0, ...vars };
  }

  pass(ms: number): void {
    this.now += ms;
  }

  /** A part with its own faults; `around` wraps its store. */
  part(around: (store: Store) => Store = (store) => store, workerId = "worker"): Part {
    const d1 = faultyD1(env.DB);
    const queue = new RecordingQueue();
    const store = around(
      openStore(
        { DB: d1.db, RUNS: coordinatorsOver(d1, () => this.now), JOBS: queue, ...this.vars },
        { now: () => this.now, wakes: true },
      ),
    );
    return { store, backend: new Connection(store, { workerId }), queue, d1 };
  }

  async consume(
    part: Pick<Part, "store">,
    handler: JobHandler | null,
    messages: readonly WakeUpDelivery[] = permits(1),
    { embedded = true, workerId = "consumer" } = {},
  ): Promise<ConsumedBatch> {
    return consume(messages, {
      store: part.store,
      // A handler that is bound is called without a context.
      handler:
        handler === null
          ? null
          : embedded
            ? { embedded, handler }
            : { embedded, handler: handler as BoundJobHandler },
      settings: dispatchSettings(this.vars),
      workerId,
      waitUntil: () => {},
    });
  }

  async sweep(
    part: Part,
    {
      handler = EVERYTHING,
      wakes = true,
      stepDeadlineMs = 60_000,
    }: { handler?: JobHandler | null; wakes?: boolean; stepDeadlineMs?: number } = {},
  ): Promise<SweepReport> {
    return sweep({
      store: part.store,
      settings: dispatchSettings(this.vars),
      waker: wakes
        ? wakerOf({ DB: part.d1.db, RUNS: env.RUNS, JOBS: part.queue, ...this.vars }, true)
        : null,
      queue: part.queue,
      handler: handler === null ? null : { embedded: true, handler },
      stepDeadlineMs,
    });
  }

  /** One tick of the sweep, and what it sent given to a fresh consumer. Whatever the consumer sends itself is lost. */
  async tick(handler: JobHandler): Promise<SweepReport> {
    const sweeper = this.part();
    const report = await this.sweep(sweeper);
    expect(report.failed).toEqual([]);
    const messages = sweeper.queue.take().filter(({ delaySeconds = 0 }) => delaySeconds === 0);
    for (let start = 0; start < messages.length; start += 10) {
      const batch = messages.slice(start, start + 10).map(toDelivery);
      await this.consume(this.part(), handler, batch);
      expect(batch.every(({ acked, retried }) => acked === 1 && retried === 0)).toBe(true);
    }
    return report;
  }
}

export function toDelivery({ body }: Sent): Delivery {
  return new Delivery(body);
}

/** Coordinators in process that use the same database, faults included. */
export function coordinatorsOver({ db }: FaultyD1, now: () => number): CoordinatorNamespace {
  const store = new D1Store(db, { now });
  return {
    getByName: () => ({
      attempt: (sent) => toEnvelope(async () => store.attempt(await fromWire(sent))),
    }),
  };
}
