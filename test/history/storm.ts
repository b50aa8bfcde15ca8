/**
 * A storm: consumers and pollers that work the same jobs, die in the middle, lose answers and are too late, while several sweeps run
 * at once. Time is the storm's own, and passes with every sweep.
 */
import type { Store } from "../../src/changes/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type {
  DequeueResult,
  EnqueueJobInput,
  HandlerContext,
  JobOutcome,
} from "../../src/contract/index.ts";
import { CoordinatedStore } from "../../src/coordinator/index.ts";
import {
  consume,
  type ConsumersHandler,
  createWaker,
  dispatchSettings,
  WakingStore,
} from "../../src/queue/index.ts";
import { sweep } from "../../src/schedule/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { type D1Fault, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { MortalStore } from "../queue/support/mortal-store.ts";
import { permits, RecordingQueue } from "../queue/support/queue.ts";
import type { Random } from "../queue/support/random.ts";
import { coordinatorsOver, NOW } from "../queue/support/world.ts";
import { env } from "../support/env.ts";
import { Log, RecordingStore } from "./recorder.ts";

const SETTINGS = dispatchSettings({ RETRY_CAP_MS: 20_000, RETRY_JITTER: 0.5 });
/** What passes with every sweep. */
const STEP_MS = 15_000;
const FAULTS: readonly [D1Fault, ...D1Fault[]] = [
  { kind: "before" },
  { kind: "lost" },
  { kind: "lost" },
  { kind: "late", afterMs: 15 },
];

export interface StormOptions {
  readonly random: Random;
  readonly jobs: readonly EnqueueJobInput[];
  readonly consumers: number;
  readonly pollers: number;
  readonly batchPollers: number;
  readonly sweepers: number;
}

export class Storm {
  readonly log = new Log();
  readonly counts = { kills: 0, expired: 0, faults: 0, late: 0, sweeps: 0 };
  readonly #options: StormOptions;
  #now = NOW;
  #over = false;
  #workers = 0;

  constructor(options: StormOptions) {
    this.#options = options;
  }

  /** Until every job has come to its end. */
  async blow(): Promise<void> {
    const { jobs, consumers, pollers, batchPollers, sweepers } = this.#options;
    const { store } = this.#store("client", 0);
    for (let start = 0; start < jobs.length; start += 20) {
      await new Connection(store).jobs.enqueueParallel(jobs.slice(start, start + 20));
      this.#now += 1;
    }
    await Promise.all([
      ...times(consumers, () => this.#lives((mortal, name) => this.#consume(mortal, name))),
      ...times(pollers, () => this.#lives((mortal, name) => this.#poll(mortal, name))),
      ...times(batchPollers, () => this.#lives((mortal, name) => this.#pollMany(mortal, name))),
      ...times(sweepers, (index) => this.#sweep(`sweep-${index}`)),
    ]);
  }

  #store(worker: string, faults: number) {
    const d1 = faultyD1(env.DB, () => {
      if (!this.#options.random.chance(faults)) return null;
      this.counts.faults += 1;
      return this.#options.random.of(FAULTS);
    });
    const now = () => this.#now;
    const direct = new CoordinatedStore(new D1Store(d1.db, { now }), coordinatorsOver(d1, now));
    const waker = createWaker(new RecordingQueue());
    const store: Store = new WakingStore(new RecordingStore(direct, this.log, worker), waker);
    return { store };
  }

  /** A worker, and the workers that take its place when it has died. */
  async #lives(work: (mortal: MortalStore, name: string) => Promise<void>): Promise<void> {
    const { random } = this.#options;
    while (!this.#over) {
      this.#workers += 1;
      const name = `worker-${this.#workers}`;
      const { store } = this.#store(name, 0.04);
      const mortal = new MortalStore(store, () =>
        random.chance(0.03) ? random.of(["before", "after"]) : null,
      );
      // One that is dead does not come to an end.
      await Promise.race([work(mortal, name), mortal.death]);
      if (mortal.diedAt !== null) this.counts.kills += 1;
    }
  }

  async #consume(store: Store, workerId: string): Promise<void> {
    while (!this.#over) {
      const messages = permits(this.#options.random.between(1, 10));
      const handleJob = (job: DequeueResult, context: HandlerContext) => this.#handle(job, context);
      const consumed = await consume(messages, {
        store,
        handler: { embedded: true, handler: { handleJob } },
        settings: SETTINGS,
        workerId,
        waitUntil: () => {},
      });
      this.counts.late += consumed.lost;
      if (consumed.claimed === 0) await moment();
    }
  }

  async #handle(job: DequeueResult, context: HandlerContext): Promise<JobOutcome> {
    const { random } = this.#options;
    await moment();
    if (random.chance(0.15)) return { status: "failed", error: "not yet" };
    if (random.chance(0.1)) throw new Error("out of order");
    if (random.chance(0.1)) return { status: "suspended", until: this.#now + 30_000 };
    await this.#dawdle(job, 0.12);
    if (random.chance(0.3)) return { status: "completed" };
    await completeWithEvent(context, job, this.#now);
    return { status: "settled" };
  }

  async #poll(store: Store, workerId: string): Promise<void> {
    const { random } = this.#options;
    const connection = new Connection(store, { workerId, retry: SETTINGS.retry });
    await this.#whileItLasts(async () => {
      const job = await connection.jobs.dequeue();
      if (job === null) return moment();
      await this.#dawdle(job, 0.12);
      if (random.chance(0.2)) await connection.jobs.fail(job.jobId, "not yet", true);
      else await completeWithEvent(connection, job, this.#now);
    });
  }

  async #pollMany(store: Store, workerId: string): Promise<void> {
    const { random } = this.#options;
    const connection = new Connection(store, { workerId, retry: SETTINGS.retry });
    await this.#whileItLasts(async () => {
      const jobs = await connection.jobs.dequeueMany(random.between(1, 8));
      if (jobs.length === 0) return moment();
      for (const job of jobs.slice(0, 1)) await this.#dawdle(job, 0.12);
      const settled = await connection.jobs.completeMany(jobs.map(({ jobId }) => jobId));
      this.counts.late += settled.filter(({ outcome }) => outcome === "lease-lost").length;
    });
  }

  /** What a poller does when a call fails: it leaves what it holds, and goes on. */
  async #whileItLasts(work: () => Promise<void>): Promise<void> {
    while (!this.#over) {
      try {
        await work();
      } catch (error) {
        if (String(error).includes("is over, attempt")) this.counts.late += 1;
        await moment();
      }
    }
  }

  /** Sometimes for longer than a lease; with what somebody else had before, for a while, so that the other comes back meanwhile. */
  async #dawdle({ attempt }: DequeueResult, tooLate: number): Promise<void> {
    const { random } = this.#options;
    let wait = 0;
    if (random.chance(tooLate)) wait = SETTINGS.leaseMs + random.between(0, 6) * STEP_MS;
    else if (attempt > 1 && random.chance(0.5)) wait = random.between(1, 6) * STEP_MS;
    const until = this.#now + wait;
    while (!this.#over && this.#now < until) await moment();
  }

  async #sweep(name: string): Promise<void> {
    while (!this.#over) {
      const { store } = this.#store(name, 0.04);
      const report = await sweep({ store, settings: SETTINGS, waker: null, handler: HANDLER });
      this.counts.sweeps += 1;
      this.counts.expired += report.releasedLeases;
      this.#now += STEP_MS;
      await moment();
      if (await isOver()) this.#over = true;
    }
  }
}

/** That there is one is all that the sweep looks at. */
const HANDLER: ConsumersHandler = {
  embedded: true,
  handler: { handleJob: async () => ({ status: "completed" }) },
};

async function completeWithEvent(
  { persistence, jobs }: Pick<HandlerContext, "persistence" | "jobs">,
  { workflowRunId, jobId }: DequeueResult,
  now: number,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    const event = { workflowRunId, eventType: "done", payload: {}, causationId: jobId };
    await tx.appendOutboxEvents([{ ...event, occurredAt: new Date(now) }]);
    await jobs.complete(jobId);
  });
}

async function isOver(): Promise<boolean> {
  const live = await env.DB.prepare(
    `SELECT count(*) AS "count" FROM "jobs" WHERE "status" IN ('PENDING', 'RUNNING', 'SUSPENDED')`,
  ).first<number>("count");
  return live === 0;
}

/** Long enough for others to get through to the database. */
async function moment(): Promise<void> {
  await scheduler.wait(8);
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
