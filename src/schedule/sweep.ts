/**
 * The sweep: the cron pass that makes the wake-ups unnecessary. Whatever was lost (a message, a worker, an isolate), what is due
 * is found here, in the rows. Each step does a bounded part, the next tick goes on; a step that fails stops no other one; two
 * ticks at once are harmless, since every step is a conditional change or a hint.
 */
import type { Store, WakeUp } from "../changes/index.ts";
import {
  COMMIT_RECORDS_KEPT_MS,
  FAILURES_HANDED_OVER_MS,
  type UnattendedStage,
  withDeadline,
} from "../model/index.ts";
import { AutoCommit } from "../persistence/auto-commit.ts";
import { Connection } from "../persistence/connection.ts";
// By their files: the folder's index brings what needs the types of the platform.
import type { Waker, WakeUpQueue } from "../queue/producer.ts";
import type { DispatchSettings } from "../queue/settings.ts";

/** Commits of 100 leases that one tick ends. */
const LEASE_PAGES_MAX = 5;
/** Suspended jobs, and suspended stages, that one tick dispatches. */
const DISPATCHED_MAX = 100;
/** Permits that one tick sends for jobs that are due. */
const PERMITS_MAX = 1_000;
/** Permits that are sent for them whatever the queue says of its backlog: that may be delayed messages. */
const PERMITS_MIN = 10;
const RUNS_LOOKED_AT = 100;
const FAILURES_COUNTED = 100;
const EVENTS_COUNTED = 100;
/** Idempotency keys, and commit records, that one commit deletes. */
const PURGED_MAX = 1_000;
/** Commits of a tick that delete them: more a second than D1 can take in statements that make them. */
const PURGES_MAX = 100;
/** A tick begins no further one after so long. */
const PURGE_MS_MAX = 30_000;
/** A step that takes longer is left to the next tick. All of them together fit into a cron's 15 minutes. */
const STEP_DEADLINE_MS = 90_000;
/** A queue that does not tell its backlog within so long does not tell it. */
const METRICS_DEADLINE_MS = 5_000;

export interface SweepOptions {
  /** Its commits send wake-ups of their own, where there is a queue. */
  readonly store: Store;
  readonly settings: DispatchSettings;
  /** Null: there is no queue, and nobody is to be woken. */
  readonly waker: Waker | null;
  /** Tells how many messages wait already. */
  readonly queue?: WakeUpQueue | undefined;
  /** Suspended jobs and stages are given to a handler when they are due. False: whoever suspended them polls them. */
  readonly resumes: boolean;
  /** How long one step may take. Default: 90 seconds. */
  readonly stepDeadlineMs?: number;
  /** How long the queue may take to tell its backlog. Default: 5 seconds. */
  readonly metricsDeadlineMs?: number;
}

/** What one tick did, and found. `failed`: the steps that failed; their work is left to the next tick. */
export interface SweepReport {
  /** Leases that had expired, and were ended. */
  releasedLeases: number;
  /** Suspended jobs that were due, and are PENDING again. */
  resumedJobs: number;
  /** Suspended stages that were due and had no live job, and have one now. */
  dispatchedStages: number;
  /** PENDING runs that have been waiting, of the first 100. */
  waitingRuns: number;
  /** Failed jobs that nobody has drawn the conclusion from, up to 100. */
  unhandledFailures: number;
  /** Jobs due for longer than they should be, up to 1,000. */
  overdueJobs: number;
  /** Permits that were sent for them. */
  permits: number;
  /** Outbox events that wait: up to 100. */
  waitingEvents: number;
  /** Commits that deleted idempotency keys and commit records, up to 1,000 of each: at most 100. */
  purged: number;
  failed: SweepStep[];
}

export const SWEEP_STEPS = [
  "leases",
  "jobs",
  "stages",
  "runs",
  "failures",
  "permits",
  "outbox",
  "purge",
] as const;
export type SweepStep = (typeof SWEEP_STEPS)[number];

/** One tick. Resolves to its figures; never rejects. */
export async function sweep(options: SweepOptions): Promise<SweepReport> {
  const { stepDeadlineMs = STEP_DEADLINE_MS } = options;
  const tick = new Tick(options);
  const steps: { readonly [Step in SweepStep]: () => Promise<void> } = {
    leases: () => tick.endLeases(),
    jobs: () => tick.resumeJobs(),
    stages: () => tick.dispatchStages(),
    runs: () => tick.findRuns(),
    failures: () => tick.findFailures(),
    permits: () => tick.sendPermits(),
    outbox: () => tick.findEvents(),
    purge: () => tick.purge(),
  };
  for (const step of SWEEP_STEPS) {
    try {
      await withDeadline(steps[step](), stepDeadlineMs, `The step ${step}`);
    } catch (error) {
      tick.report.failed.push(step);
      console.error("wfe-sweep-step-failed", step, error);
    }
  }
  return tick.report;
}

class Tick {
  readonly report: SweepReport = {
    releasedLeases: 0,
    resumedJobs: 0,
    dispatchedStages: 0,
    waitingRuns: 0,
    unhandledFailures: 0,
    overdueJobs: 0,
    permits: 0,
    waitingEvents: 0,
    purged: 0,
    failed: [],
  };
  readonly #options: SweepOptions;
  readonly #unit: AutoCommit;
  readonly #connection: Connection;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#unit = new AutoCommit(options.store);
    this.#connection = new Connection(options.store, { workerId: "sweep" });
  }

  async endLeases(): Promise<void> {
    const { leaseMs } = this.#options.settings;
    this.report.releasedLeases = await this.#connection.jobs.releaseStalePages(
      leaseMs,
      LEASE_PAGES_MAX,
    );
  }

  async resumeJobs(): Promise<void> {
    if (!this.#options.resumes) return;
    const now = await this.#unit.now();
    const [due] = await this.#unit.read([{ q: "resumableJobs", now, limit: DISPATCHED_MAX }]);
    if (due === 0) return;
    await this.#unit.write({ changes: [{ kind: "resumeJobs", limit: DISPATCHED_MAX, at: now }] });
    this.report.resumedJobs = due;
    await this.#wake(Array.from({ length: due }, () => ({ kind: "jobs", at: null })));
  }

  async dispatchStages(): Promise<void> {
    if (!this.#options.resumes) return;
    const before = await this.#unit.now();
    const [stages] = await this.#unit.read([
      { q: "unattendedStages", before, limit: DISPATCHED_MAX },
    ]);
    if (stages.length === 0) return;
    await this.#connection.jobs.enqueueParallel(
      stages.map((stage) => ({
        workflowRunId: stage.workflowRunId,
        workflowId: stage.workflowId,
        stageId: stage.stageId,
        // Two ticks at once find the same stages.
        dedupeKey: pollKey(stage),
      })),
    );
    this.report.dispatchedStages = stages.length;
  }

  async findRuns(): Promise<void> {
    const before = (await this.#unit.now()) - this.#options.settings.runWaitsMs;
    const [waiting] = await this.#unit.read([{ q: "waitingRuns", before, limit: RUNS_LOOKED_AT }]);
    this.report.waitingRuns = waiting;
    if (waiting > 0) await this.#wake([{ kind: "runs", at: null }]);
  }

  async findFailures(): Promise<void> {
    const since = (await this.#unit.now()) - FAILURES_HANDED_OVER_MS;
    const [failures] = await this.#unit.read([
      { q: "unhandledFailures", since, limit: FAILURES_COUNTED },
    ]);
    this.report.unhandledFailures = failures.length;
    if (failures.length > 0) await this.#wake([{ kind: "failures", at: null }]);
  }

  async sendPermits(): Promise<void> {
    const before = (await this.#unit.now()) - this.#options.settings.overdueMs;
    const [overdue] = await this.#unit.read([{ q: "overdueJobs", before, limit: PERMITS_MAX }]);
    this.report.overdueJobs = overdue;
    if (overdue === 0 || this.#options.waker === null) return;
    // Those that this tick has made claimable have their permits.
    const { releasedLeases, resumedJobs } = this.report;
    const without = Math.max(0, overdue - releasedLeases - resumedJobs);
    const missing = without - (await this.#backlog());
    const permits = Math.min(without, Math.max(missing, PERMITS_MIN));
    this.report.permits = await this.#wake(
      Array.from({ length: permits }, () => ({ kind: "jobs", at: null })),
    );
  }

  /** Messages that wait already; 0 when the queue does not say. */
  async #backlog(): Promise<number> {
    try {
      const { queue, metricsDeadlineMs = METRICS_DEADLINE_MS } = this.#options;
      const told = queue?.metrics?.();
      if (told === undefined) return 0;
      return (await withDeadline(told, metricsDeadlineMs, "The queue")).backlogCount;
    } catch (error) {
      console.warn("wfe-queue-metrics-failed", error);
      return 0;
    }
  }

  async findEvents(): Promise<void> {
    const [waiting] = await this.#unit.read([{ q: "waitingEvents", limit: EVENTS_COUNTED }]);
    this.report.waitingEvents = waiting;
    if (waiting > 0) await this.#wake([{ kind: "outbox", at: null }]);
  }

  async purge(): Promise<void> {
    const now = await this.#unit.now();
    const { keepKeysMs } = this.#options.settings;
    const keysBefore = keepKeysMs === null ? 0 : now - keepKeysMs;
    const commitsBefore = now - COMMIT_RECORDS_KEPT_MS;
    const due = { q: "expired", keysBefore, commitsBefore } as const;
    const purge = { kind: "purgeExpired", keysBefore, commitsBefore, limit: PURGED_MAX } as const;
    let [expired] = await this.#unit.read([due]);
    while (expired > 0 && this.report.purged < PURGES_MAX) {
      const at = await this.#unit.now();
      if (at - now >= PURGE_MS_MAX) break;
      const written = await this.#unit.write({ changes: [purge], reads: () => [due] });
      this.report.purged += 1;
      expired = written.applied ? written.results[0] : 0;
    }
  }

  async #wake(wakeUps: readonly WakeUp[]): Promise<number> {
    const { waker } = this.#options;
    if (waker === null) return 0;
    const wanted = wakeUps.filter(({ kind }) => waker.duties.has(kind));
    return waker.wake(wanted, await this.#unit.now());
  }
}

function pollKey({ workflowRunId, stageId, nextPollAt }: UnattendedStage): string {
  return `poll/${workflowRunId}/${stageId}/${nextPollAt}`;
}
