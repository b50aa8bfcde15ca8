/** Runs typed workflows over a store: a consumer, a sweep and a clock, with no waiting. */
import type { Store } from "../../../src/changes/index.ts";
import { stageRunner } from "../../../src/engine/work.ts";
import type { Runs } from "../../../src/engine/runs.ts";
import type { Workflow } from "../../../src/engine/workflow.ts";
import { createMemoryStore } from "../../../src/memory/store.ts";
import { Connection } from "../../../src/persistence/connection.ts";
import {
  consume,
  type ConsumedBatch,
  dispatchSettings,
  type WakeUpDelivery,
} from "../../../src/queue/index.ts";
import { allPages, fullPage, PAGE_ROWS } from "../../../src/queries/index.ts";
import { runsOf } from "../../../src/runner/index.ts";
import { sweep } from "../../../src/schedule/index.ts";
import { openStore } from "../../../src/worker/index.ts";
import { env } from "../../support/env.ts";
import type { FaultyD1 } from "../../../src/testing/faulty-d1.ts";
import { coordinatorsOver } from "../../queue/support/world.ts";
import { Delivery, RecordingQueue, permits } from "../../queue/support/queue.ts";

export const NOW = Date.UTC(2026, 2, 4, 5, 6, 7, 89);
const SETTINGS = dispatchSettings({ RETRY_JITTER: 0 });

export interface EngineOptions {
  readonly workflows: readonly Workflow[];
  /** Default: D1. */
  readonly over?: "D1" | "maps";
  readonly env?: object;
  /** Wraps the store of the consumer. */
  readonly around?: (store: Store) => Store;
  /** Counts what is asked of D1, the coordinators included. */
  readonly d1?: FaultyD1;
}

export class Engine {
  now = NOW;
  /** What is sent to it goes nowhere. */
  readonly queue = new RecordingQueue();
  workflows: readonly Workflow[];
  readonly store: Store;
  readonly connection: Connection;
  readonly runs: Runs;
  readonly #env: object;
  readonly #around: (store: Store) => Store;

  constructor({
    workflows,
    over = "D1",
    env: given = {},
    around = (store) => store,
    d1,
  }: EngineOptions) {
    this.workflows = workflows;
    this.#env = given;
    this.#around = around;
    const now = () => this.now;
    this.store =
      over === "maps"
        ? createMemoryStore({ now })
        : openStore(
            {
              DB: d1?.db ?? env.DB,
              RUNS: d1 === undefined ? env.RUNS : coordinatorsOver(d1, now),
              JOBS: this.queue,
            },
            { now, wakes: true },
          );
    this.connection = new Connection(this.store);
    this.runs = runsOf(this.connection);
  }

  /** One batch of the queue. */
  async consume(count = 10): Promise<ConsumedBatch> {
    return this.#consume(permits(count));
  }

  async #consume(messages: readonly WakeUpDelivery[]): Promise<ConsumedBatch> {
    return consume(messages, {
      store: this.#around(this.store),
      handler: {
        embedded: true,
        handler: {
          handleJob: async () => ({ status: "failed", error: "no such job", retry: false }),
        },
        stages: stageRunner(this.workflows, { env: this.#env, now: () => this.now }),
      },
      settings: SETTINGS,
      workerId: "consumer",
      waitUntil: () => {},
    });
  }

  /** Hands over the jobs that have failed for good. */
  async failures(): Promise<void> {
    await this.#consume([new Delivery({ v: 1, kind: "failures" })]);
  }

  /** Batches until nothing is due. */
  async settle(): Promise<void> {
    for (let batches = 0; batches < 1_000; batches += 1) {
      if ((await this.consume()).claimed === 0) return;
    }
    throw new Error("The work does not end");
  }

  /** Time passes, and what is due is worked. */
  async pass(ms: number): Promise<void> {
    this.now += ms;
    await this.settle();
  }

  async sweep(): Promise<void> {
    await sweep({
      store: this.store,
      settings: SETTINGS,
      waker: null,
      handler: { embedded: true, handler: { handleJob: async () => ({ status: "completed" }) } },
    });
  }

  async stages(runId: string) {
    return this.connection.persistence.getStagesByRun(runId);
  }

  async events(runId: string): Promise<string[]> {
    return (await this.rows(runId)).map(({ eventType, stageId }) =>
      stageId === undefined ? eventType : `${eventType} ${stageId}`,
    );
  }

  /** What the run's events of one type tell. */
  async payloads(runId: string, type: string) {
    return (await this.rows(runId)).filter(({ eventType }) => eventType === type);
  }

  /** The run's events, in order. */
  async rows(runId: string) {
    const all = await allPages(async (after: string | null) => {
      const page = { q: "page", of: "outboxEvents", workflowRunId: runId, after } as const;
      const [rows] = await this.store.read([{ ...page, descending: false, limit: PAGE_ROWS }]);
      return fullPage(rows, (row) => ("sequence" in row ? String(row.sequence) : ""));
    });
    return all.flatMap((row) => {
      if (!("eventType" in row)) return [];
      const { eventType, sequence } = row;
      const { stageId, attempt } = JSON.parse(row.payload) as Told;
      return [{ eventType, sequence, stageId, attempt }];
    });
  }
}

/** What an event's payload tells of a stage. */
interface Told {
  readonly stageId?: string;
  readonly attempt?: number;
}
