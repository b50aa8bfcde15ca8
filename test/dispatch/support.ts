/**
 * Dispatch in a test's hands: the consumer and the sweep over real D1, a clock that the test moves, and a queue whose
 * messages the test delivers, doubles or drops.
 */
import { expect } from "vitest";
import { type Commit, fromWire, type Store } from "../../src/changes/index.ts";
import { Connection } from "../../src/client/connection.ts";
import {
  type Backend,
  type JobHandler,
  type JobOutcome,
  toEnvelope,
} from "../../src/contract/index.ts";
import {
  consume,
  type ConsumedBatch,
  createWaker,
  type DispatchVars,
  dispatchSettings,
  openStore,
  type WakeUpDelivery,
  type WakeUpMessage,
  type WakeUpQueue,
} from "../../src/queue/index.ts";
import { sweep, type SweepReport } from "../../src/schedule/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { env } from "../support/env.ts";

export const START = 1_800_000_000_000;
export const LEASE_MS = 60_000;
export const MINUTE_MS = 60_000;
/** Within this, whatever waits has become due and every lease has expired. */
export const LONG_MS = 2 * 3_600_000;

export interface Sent {
  readonly body: WakeUpMessage;
  readonly delaySeconds: number;
}

/** What the queue was sent. `fails`: sending throws. */
export class Outbox implements WakeUpQueue {
  readonly batches: Sent[][] = [];
  fails = false;
  backlog = 0;

  async sendBatch(messages: Iterable<MessageSendRequest<WakeUpMessage>>): Promise<void> {
    const batch = [...messages];
    if (this.fails) throw new Error("Queue is overloaded. Please back off.");
    this.batches.push(
      batch.map(({ body, delaySeconds }) => ({ body, delaySeconds: delaySeconds ?? 0 })),
    );
  }

  async metrics() {
    return { backlogCount: this.backlog };
  }

  /** All messages so far, and forgets them. */
  take(): Sent[] {
    return this.batches.splice(0).flat();
  }
}

export interface Delivered extends ConsumedBatch {
  readonly acked: number;
  readonly retried: number;
}

export interface DispatchOptions {
  readonly vars?: DispatchVars;
  readonly db?: D1Database;
}

/** A service with an embedded handler. */
export class Dispatch {
  now = START;
  readonly outbox = new Outbox();
  readonly settings;
  readonly store: Store;
  readonly #env;

  constructor({ vars = {}, db = env.DB }: DispatchOptions = {}) {
    const all = { LEASE_MS, RETRY_JITTER: 0, HANDLER_DUTIES: "jobs,failures", ...vars };
    this.settings = dispatchSettings(all);
    this.#env = { DB: db, RUNS: env.RUNS, JOBS: this.outbox, ...all };
    this.store = openStore(this.#env, { now: () => this.now, wakes: true });
  }

  /** A connection whose commits wake the queue. */
  connect(workerId = "test"): Backend {
    return new Connection(this.store, { workerId });
  }

  /** Over another database binding: a faulty one, say. Its coordinators share its fate. */
  over(db: D1Database): Store {
    const attempt = async (commit: Commit | ReadableStream) =>
      toEnvelope(async () => new D1Store(db).attempt(await fromWire(commit)));
    const bindings = { ...this.#env, DB: db, RUNS: { getByName: () => ({ attempt }) } };
    return openStore(bindings, { now: () => this.now, wakes: true });
  }

  async deliver(
    handler: JobHandler | null,
    messages: number | readonly unknown[],
    store: Store = this.store,
  ): Promise<Delivered> {
    const bodies =
      typeof messages === "number"
        ? Array.from({ length: messages }, () => ({ v: 1, kind: "jobs" }))
        : messages;
    let acked = 0;
    let retried = 0;
    const deliveries = bodies.map((body) => ({
      body,
      ack: () => void (acked += 1),
      retry: () => void (retried += 1),
    }));
    const consumed = await this.consumeRaw(deliveries, handler, store);
    return { ...consumed, acked, retried };
  }

  async consumeRaw(
    messages: readonly WakeUpDelivery[],
    handler: JobHandler | null,
    store: Store = this.store,
  ): Promise<ConsumedBatch> {
    return consume(messages, {
      store,
      handler,
      embedded: true,
      settings: this.settings,
      workerId: "consumer",
      waitUntil: () => {},
    });
  }

  async rows(table: string): Promise<Record<string, unknown>[]> {
    return (await env.DB.prepare(`SELECT * FROM "${table}"`).run()).results;
  }

  async sweep(resumes = true, store: Store = this.store): Promise<SweepReport> {
    const waker = createWaker(this.outbox, this.settings.duties);
    return sweep({ store, settings: this.settings, waker, queue: this.outbox, resumes });
  }

  /** Only the sweep, and a consumer for the messages that it sends, until nothing is left to do. */
  async sweepToTheEnd(handler: JobHandler): Promise<void> {
    const { jobs } = this.connect();
    this.outbox.take();
    for (let round = 0; round < 50; round += 1) {
      this.now += LONG_MS;
      await this.sweep();
      expect(await this.connect().audit(), `audit in round ${round}`).toEqual([]);
      const sent = this.outbox.take().map(({ body }) => body);
      if (sent.length > 0) await this.deliver(handler, sent);
      expect(await this.connect().audit(), `audit in round ${round}`).toEqual([]);
      const { due, delayed, leased, suspended } = await jobs.jobStats();
      if (due + delayed + leased + suspended === 0) return;
    }
    throw new Error("The work does not come to an end");
  }
}

export const JOB = { workflowRunId: "run", workflowId: "w" };

export function handling(handleJob: JobHandler["handleJob"]): JobHandler {
  return { handleJob };
}

export const COMPLETED: JobOutcome = { status: "completed" };

/** A run with stages and their jobs, one after the other, as an engine has them. */
export async function startRun(backend: Backend, runId: string, stages: number): Promise<void> {
  const { persistence, jobs } = backend;
  await persistence.withTransaction(async (tx) => {
    await tx.createRun({
      id: runId,
      workflowId: "w",
      workflowName: "W",
      workflowType: "w",
      input: { stages },
    });
    await tx.claimPendingRun(runId);
    await openStage(tx, jobs, runId, 1);
  });
}

async function openStage(
  tx: Backend["persistence"],
  jobs: Backend["jobs"],
  workflowRunId: string,
  number: number,
): Promise<void> {
  const stageId = `stage-${number}`;
  const numbers = { stageNumber: number, executionGroup: number };
  await tx.createStage({ workflowRunId, stageId, stageName: stageId, ...numbers });
  await jobs.enqueue({ workflowRunId, workflowId: "w", stageId });
}

/** Works a stage the way an engine does: result, next stage, event and job in one transaction. */
export const engine: JobHandler = {
  async handleJob(job, context) {
    if (context === undefined) throw new Error("The engine is embedded");
    const { persistence, jobs } = context;
    const { workflowRunId: runId } = job;
    await persistence.withTransaction(async (tx) => {
      const run = await tx.getRun(runId);
      const stage = await tx.getStage(runId, job.stageId);
      if (run === null || stage === null || stage.status === "COMPLETED") {
        await jobs.complete(job.jobId);
        return;
      }
      await tx.updateStage(stage.id, { status: "COMPLETED" });
      await jobs.complete(job.jobId);
      const last = stage.stageNumber === (run.input as { stages: number }).stages;
      if (last) await tx.updateRun(runId, { status: "COMPLETED" });
      else await openStage(tx, jobs, runId, stage.stageNumber + 1);
      await tx.appendOutboxEvents([
        {
          workflowRunId: runId,
          eventType: "stage.completed",
          payload: { stageId: job.stageId },
          causationId: job.jobId,
          occurredAt: new Date(START),
        },
      ]);
    });
    return { status: "settled" };
  },
};

/** The run is complete, and each of its stages told so once. */
export async function expectFinishedOnce(backend: Backend, runId: string, stages: number) {
  const { persistence, jobs } = backend;
  expect(await persistence.getRunStatus(runId)).toBe("COMPLETED");
  const all = await persistence.getStagesByRun(runId);
  expect(all.map(({ status }) => status)).toEqual(
    Array.from({ length: stages }, () => "COMPLETED"),
  );
  const events = await persistence.getUnpublishedOutboxEvents(1_000);
  const told = events.filter(({ workflowRunId }) => workflowRunId === runId);
  expect(told.map(({ payload }) => payload)).toEqual(all.map(({ stageId }) => ({ stageId })));
  const states = (await jobs.getJobsByWorkflowRun(runId)).map(({ status }) => status);
  expect(states).toEqual(Array.from({ length: stages }, () => "COMPLETED"));
}
