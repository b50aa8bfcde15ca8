/**
 * The sweep: the cron pass that finds due work in the rows, so that no message is needed: messages,
 * workers and isolates may be lost. Each step does a bounded part, and the next tick goes on. If a
 * step fails, the others still run; two ticks at the same time do no harm, since every step is a
 * conditional change or a hint.
 */
import type { Change, RowGuard, Store, WakeUp } from "../changes/index.ts";
import type { EnqueueJobInput, JobHandler } from "../contract/index.ts";
import {
  COMMIT_RECORDS_KEPT_MS,
  INSTANT_MAX,
  type NewJobRow,
  parkedUntil,
  type UnattendedStage,
  unpolledAt,
  withDeadline,
} from "../model/index.ts";
import { AutoCommit } from "../persistence/auto-commit.ts";
import { enqueueWhile } from "../persistence/enqueue.ts";
import { releaseStaleJobs } from "../persistence/stale-jobs.ts";
// By their files: the folder's index brings modules that need the types of the platform.

import { orphansJob } from "../queue/orphans.ts";
import { putBack } from "../queue/hand-over.ts";
import type { Waker, WakeUpQueue } from "../queue/producer.ts";
import { hasMethod } from "../queue/reach.ts";
import type { DispatchSettings } from "../queue/settings.ts";
import type { ConsumersHandler } from "../queue/stage-jobs.ts";
import { tellOfDueStages } from "../queue/waiting-stages.ts";

/** Commits in which one tick ends leases, of up to 100 each. */
const LEASE_PAGES_MAX = 5;
/** Suspended jobs that one tick resumes, and stages that one commit gives a job. */
const DISPATCHED_MAX = 100;
/**
 * Jobs of paused runs that one tick looks at, from anywhere on: a caller may have made their runs RUNNING
 * or PENDING, or ended them, without resuming them.
 */
const PARKED_MAX = 20;
/** Permits that one tick sends for overdue jobs. */
const PERMITS_MAX = 1_000;
/**
 * Permits that are sent even if the queue has a backlog as long as the line of jobs: the backlog
 * may be delayed messages.
 */
const PERMITS_MIN = 10;
/** PENDING runs that are counted; one is enough for a wake-up. */
const RUNS_COUNTED = 100;
/** Stages of one page: as many as one commit puts back. */
const STAGES_LOOKED_AT = 1_000;
/** Pages of stages in one tick. */
const STAGE_PAGES_MAX = 20;
/** After this many stages have been given a job, no further page is read. */
const STAGES_MAX = 1_000;
/**
 * Stages of one tick that were polled between the look at them and the commit. Each costs a further
 * commit, and an invocation may ask D1 1,000 times: then the next tick goes on.
 */
const OVERTAKEN_MAX = 20;
/** Stages of typed workflows that one tick gives a job; each is a further read. */
const ORPHANS_MAX = 100;
/** Failures of one page, each with an error of up to 64 KB. */
const FAILURES_LOOKED_AT = 100;
/** Pages of failures in one tick. */
const FAILURE_PAGES_MAX = 100;
/** Outbox events that are counted; one is enough for a wake-up. */
const EVENTS_COUNTED = 100;
/** Idempotency keys, and commit records, that one commit deletes. */
const PURGED_MAX = 1_000;
/**
 * Commits of one tick that delete: together they delete more records than D1 can add until the next
 * tick.
 */
const PURGES_MAX = 100;
/** No further purge begins later than this after the first one. */
const PURGE_MS_MAX = 30_000;
/**
 * A step that takes longer is left to the next tick. All steps together fit into a cron's 15
 * minutes.
 */
const STEP_DEADLINE_MS = 90_000;
/** After this time the sweep stops waiting for the queue's backlog and counts it as empty. */
const METRICS_DEADLINE_MS = 5_000;

export interface SweepOptions {
  /** Its commits send wake-ups of their own, where there is a queue. */
  readonly store: Store;
  readonly settings: DispatchSettings;
  /** Null: there is no queue, and no wake-up is sent. */
  readonly waker: Waker | null;
  /** Tells how many messages wait. Absent: it counts as empty. */
  readonly queue?: WakeUpQueue | undefined;
  /** Null: this Worker works no jobs; work that is due waits for workers that poll. */
  readonly handler: ConsumersHandler | null;
  /** Milliseconds that one step may take. Default: 90 seconds. */
  readonly stepDeadlineMs?: number;
  /** Milliseconds that the queue may take to tell its backlog. Default: 5 seconds. */
  readonly metricsDeadlineMs?: number;
}

/**
 * The figures of one tick: what it did, and what it found.
 *
 * @example
 * const { sweep } = createMemoryBackend();
 * const { resumedJobs, failed }: SweepReport = await sweep();
 * console.log(resumedJobs, failed); // 0 []
 */
export interface SweepReport {
  /** Leases that had expired, and were ended. */
  releasedLeases: number;
  /** Suspended jobs that were due, and are PENDING again: up to 100. */
  resumedJobs: number;
  /** Suspended stages that no engine has polled and that had no live job: each has one now. */
  dispatchedStages: number;
  /** PENDING runs that wait for longer than RUN_WAITS_MS, of any priority: up to 100. */
  waitingRuns: number;
  /**
   * Failed jobs that have left something open and are due to be handed over, among those that the
   * tick looked at.
   */
  unhandledFailures: number;
  /** Jobs that have been due for longer than OVERDUE_MS: up to 1,000. */
  overdueJobs: number;
  /** Permits that were sent for overdue jobs. */
  permits: number;
  /** Outbox events that wait: up to 100. */
  waitingEvents: number;
  /**
   * Commits that deleted idempotency keys, commit records and marks of watched runs, up to 1,000 of each: at most 100
   * commits.
   */
  purged: number;
  /** The steps that failed; their work is left to the next tick. */
  failed: SweepStep[];
}

/**
 * In the order in which a tick takes them: jobs that become claimable get their permits in the same
 * tick.
 */
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

/**
 * One tick. Resolves to its figures, and never rejects: a failed step is logged and named in
 * `failed`.
 */
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

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#unit = new AutoCommit(options.store);
  }

  async endLeases(): Promise<void> {
    const { leaseMs } = this.#options.settings;
    this.report.releasedLeases = await releaseStaleJobs(this.#unit, leaseMs, LEASE_PAGES_MAX);
  }

  async resumeJobs(): Promise<void> {
    if (this.#options.handler === null) return;
    const now = await this.#unit.now();
    const from = parkedUntil(Math.trunc(Math.random() * INSTANT_MAX));
    const [resumable, parked] = await this.#unit.read([
      { q: "resumableJobs", now, limit: DISPATCHED_MAX },
      { q: "strayParkedJobs", from, limit: PARKED_MAX },
    ]);
    const due = Math.min(resumable + parked.length, DISPATCHED_MAX);
    if (due === 0) return;
    const runs = new Set(parked.map(({ workflowRunId }) => workflowRunId));
    await this.#write([
      ...[...runs].map((workflowRunId): Change => ({
        kind: "dueJobs",
        workflowRunId,
        stageId: null,
        wakes: 0,
        at: now,
      })),
      { kind: "resumeJobs", limit: DISPATCHED_MAX, at: now },
    ]);
    this.report.resumedJobs = due;
    await this.#wake(Array.from({ length: due }, () => ({ kind: "jobs", at: null })));
  }

  async dispatchStages(): Promise<void> {
    if (this.#options.handler === null) return;
    const now = await this.#unit.now();
    const left = { overtaken: OVERTAKEN_MAX, orphans: ORPHANS_MAX };
    // A stage of a finished run leaves the line when it is looked at; every other goes to its end.
    for (let page = 0; page < STAGE_PAGES_MAX; page += 1) {
      const [stages] = await this.#unit.read([
        { q: "unattendedStages", now, limit: STAGES_LOOKED_AT },
      ]);
      for (let start = 0; start < stages.length; start += DISPATCHED_MAX) {
        const part = stages.slice(start, start + DISPATCHED_MAX);
        if (!(await this.#dispatch(part, left))) return;
      }
      await this.#write(stages.map((stage) => attended(stage, now)));
      if (stages.length < STAGES_LOOKED_AT || this.report.dispatchedStages >= STAGES_MAX) return;
    }
  }

  /** False: too many stages were overtaken, or have lost their jobs, and none of these has a job. */
  async #dispatch(
    stages: readonly UnattendedStage[],
    left: { overtaken: number; orphans: number },
  ): Promise<boolean> {
    let polls: Poll[] = [];
    for (const stage of stages) {
      const poll = pollOf(stage);
      if (poll === null) continue;
      if (stage.typed === 0) {
        polls.push(poll);
        continue;
      }
      if (left.orphans === 0) return false;
      left.orphans -= 1;
      const row = await orphansJob(this.#unit, stage);
      const { dedupeKey } = poll.job;
      polls.push(row === null ? poll : { ...poll, row: { ...row, dedupeKey } });
    }
    while (polls.length > 0) {
      const polled = await enqueueWhile(this.#unit, {
        jobs: polls.flatMap(({ job, row }) => (row === undefined ? [job] : [])),
        rows: polls.flatMap(({ row }) => row ?? []),
        guards: polls.map(({ guard }) => guard),
      });
      if (polled === null) break;
      if (left.overtaken === 0) return false;
      left.overtaken -= 1;
      polls = polls.toSpliced(polled, 1);
    }
    this.report.dispatchedStages += polls.length;
    return true;
  }

  async findRuns(): Promise<void> {
    const before = (await this.#unit.now()) - this.#options.settings.runWaitsMs;
    const [waiting] = await this.#unit.read([{ q: "waitingRuns", before, limit: RUNS_COUNTED }]);
    this.report.waitingRuns = waiting;
    if (waiting > 0) await this.#wakeFor("claimRuns", { kind: "runs", at: null });
  }

  async findFailures(): Promise<void> {
    const now = await this.#unit.now();
    for (let page = 0; page < FAILURE_PAGES_MAX; page += 1) {
      const [failures] = await this.#unit.read([
        { q: "unhandledFailures", now, limit: FAILURES_LOOKED_AT },
      ]);
      const open = failures.filter(({ state }) => state === "open");
      this.report.unhandledFailures += open.length;
      // The hand-over puts open failures back when the handler is there; without a handler it is
      // done here.
      const handedOver = this.#options.handler !== null;
      await putBack(
        this.#options.store,
        handedOver ? failures.filter(({ state }) => state !== "open") : failures,
      );
      if (failures.length < FAILURES_LOOKED_AT || (handedOver && open.length > 0)) break;
    }
    if (this.report.unhandledFailures > 0) await this.#wake([{ kind: "failures", at: null }]);
  }

  async sendPermits(): Promise<void> {
    const before = (await this.#unit.now()) - this.#options.settings.overdueMs;
    const [overdue] = await this.#unit.read([{ q: "overdueJobs", before, limit: PERMITS_MAX }]);
    this.report.overdueJobs = overdue;
    if (overdue > 0 && this.#options.handler === null) {
      await tellOfDueStages(this.#options.store, before);
    }
    if (overdue === 0 || this.#options.waker === null) return;
    // The jobs that this tick has made claimable have their permits.
    const { releasedLeases, resumedJobs } = this.report;
    const without = Math.max(0, overdue - releasedLeases - resumedJobs);
    const missing = without - (await this.#backlog());
    const permits = Math.min(without, Math.max(missing, PERMITS_MIN));
    this.report.permits = await this.#wake(
      Array.from({ length: permits }, () => ({ kind: "jobs", at: null })),
    );
  }

  /** Messages that wait in the queue; 0 if the queue does not tell. */
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
    if (waiting > 0) await this.#wakeFor("publishEvents", { kind: "outbox", at: null });
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

  /**
   * Each of these changes may be applied twice without harm, so a lost answer is left to the next
   * tick.
   */
  async #write(changes: readonly Change[]): Promise<void> {
    if (changes.length > 0) await this.#unit.write({ changes });
  }

  /**
   * Sends the wake-up if the handler has the method for it. A handler that cannot be asked gets it:
   * the message waits for its Worker.
   */
  async #wakeFor(method: keyof JobHandler, wakeUp: WakeUp): Promise<void> {
    const { waker, handler } = this.#options;
    if (waker === null) return;
    if (handler !== null && !(await mayHave(handler, method))) return;
    await this.#wake([wakeUp]);
  }

  async #wake(wakeUps: readonly WakeUp[]): Promise<number> {
    const { waker } = this.#options;
    return waker === null ? 0 : waker.wake(wakeUps, await this.#unit.now());
  }
}

/** A job for a suspended stage, and what must hold. */
interface Poll {
  readonly job: EnqueueJobInput & { readonly dedupeKey: string };
  /** Of a typed workflow, in the place of `job`. */
  readonly row?: NewJobRow;
  readonly guard: RowGuard;
}

/** The job that polls the stage; null where the stage needs none. */
function pollOf({
  workflowRunId,
  workflowId,
  stageId,
  nextPollAt,
  version,
  state,
}: UnattendedStage): Poll | null {
  if (state !== "unattended" || workflowId === null) return null;
  // Two ticks at once find the same stages, and the key lets one job live. The length keeps run and
  // stage apart, as ids may contain slashes.
  const dedupeKey = `poll/${workflowRunId.length}.${workflowRunId}/${stageId}/${nextPollAt}`;
  return {
    job: { workflowRunId, workflowId, stageId, dedupeKey },
    guard: { on: "stage", workflowRunId, stageId, expect: { is: "version", version } },
  };
}

async function mayHave({ embedded, handler }: ConsumersHandler, method: keyof JobHandler) {
  try {
    return await hasMethod(handler, method, embedded);
  } catch (error) {
    console.warn("wfe-handler-away", method, error);
    return true;
  }
}

/** A stage of a finished run leaves the line until the run or the stage is written again. */
function attended(
  { workflowRunId, stageId, attendAt, state }: UnattendedStage,
  now: number,
): Change {
  const dueAt = state === "over" ? null : unpolledAt(now);
  return { kind: "attendStage", workflowRunId, stageId, seenAt: attendAt, dueAt };
}
