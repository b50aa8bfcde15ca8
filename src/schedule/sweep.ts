/**
 * The sweep: the cron pass that makes the wake-ups unnecessary. Whatever was lost (a message, a worker, an isolate), what is due
 * is found here, in the rows. Each step does a bounded part, the next tick goes on; a step that fails stops no other one; two
 * ticks at once are harmless, since every step is a conditional change or a hint.
 */
import type { Change, Guard, Store, WakeUp } from "../changes/index.ts";
import type { EnqueueJobInput, JobHandler } from "../contract/index.ts";
import { newCommitId, type UnattendedStage, unpolledAt, withDeadline } from "../model/index.ts";
import { Connection } from "../persistence/connection.ts";
import { type Query, type ResultsOf } from "../queries/index.ts";
// By their files: the folder's index brings what needs the types of the platform.
import type { ConsumersHandler } from "../queue/consumer.ts";
import { putBack } from "../queue/hand-over.ts";
import type { Waker, WakeUpQueue } from "../queue/producer.ts";
import { hasMethod } from "../queue/reach.ts";
import type { DispatchSettings } from "../queue/settings.ts";

/** Commits of 100 leases that one tick ends. */
const LEASE_PAGES_MAX = 5;
/** Suspended jobs that one tick dispatches, and stages of one commit. */
const DISPATCHED_MAX = 100;
/** Permits that one tick sends for jobs that are due. */
const PERMITS_MAX = 1_000;
/** Permits that are sent for them whatever the queue says of its backlog: that may be delayed messages. */
const PERMITS_MIN = 10;
const RUNS_COUNTED = 100;
/** Stages that one page looks at: as many as one commit puts back. */
const STAGES_LOOKED_AT = 1_000;
const STAGE_PAGES_MAX = 20;
/** No further page of stages once so many have been dispatched. */
const STAGES_MAX = 1_000;
/** Failures that one page looks at. Each may have an error of 64 KB. */
const FAILURES_LOOKED_AT = 100;
const FAILURE_PAGES_MAX = 100;
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
const COMMITS_KEPT_MS = 86_400_000;

export interface SweepOptions {
  /** Its commits send wake-ups of their own, where there is a queue. */
  readonly store: Store;
  readonly settings: DispatchSettings;
  /** Null: there is no queue, and nobody is to be woken. */
  readonly waker: Waker | null;
  /** Tells how many messages wait already. */
  readonly queue?: WakeUpQueue | undefined;
  /** Null: nobody works jobs here; what is due waits for those who poll. */
  readonly handler: ConsumersHandler | null;
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
  /** Suspended stages that nobody has polled and that had no live job, and have one now. */
  dispatchedStages: number;
  /** PENDING runs that have been waiting, whatever their priority: up to 100. */
  waitingRuns: number;
  /** Failed jobs that have left something open, and are due to be handed over: of those that the tick looked at. */
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
  readonly #connection: Connection;

  constructor(options: SweepOptions) {
    this.#options = options;
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
    if (this.#options.handler === null) return;
    const now = await this.#now();
    const [due] = await this.#read([{ q: "resumableJobs", now, limit: DISPATCHED_MAX }]);
    if (due === 0) return;
    await this.#write([{ kind: "resumeJobs", limit: DISPATCHED_MAX, at: now }]);
    this.report.resumedJobs = due;
    await this.#wake(Array.from({ length: due }, () => ({ kind: "jobs", at: null })));
  }

  async dispatchStages(): Promise<void> {
    if (this.#options.handler === null) return;
    const now = await this.#now();
    // What is finished leaves its line as it is looked at, and everything else goes to its end.
    for (let page = 0; page < STAGE_PAGES_MAX; page += 1) {
      const [stages] = await this.#read([{ q: "unattendedStages", now, limit: STAGES_LOOKED_AT }]);
      for (let start = 0; start < stages.length; start += DISPATCHED_MAX) {
        await this.#dispatch(stages.slice(start, start + DISPATCHED_MAX));
      }
      await this.#write(stages.map((stage) => attended(stage, now)));
      if (stages.length < STAGES_LOOKED_AT || this.report.dispatchedStages >= STAGES_MAX) return;
    }
  }

  async #dispatch(stages: readonly UnattendedStage[]): Promise<void> {
    let polls = stages.flatMap((stage) => pollOf(stage) ?? []);
    while (polls.length > 0) {
      const polled = await this.#connection.jobs.enqueueWhile({
        jobs: polls.map(({ job }) => job),
        guards: polls.map(({ guard }) => guard),
      });
      if (polled === null) break;
      polls = polls.toSpliced(polled, 1);
    }
    this.report.dispatchedStages += polls.length;
  }

  async findRuns(): Promise<void> {
    const before = (await this.#now()) - this.#options.settings.runWaitsMs;
    const [waiting] = await this.#read([{ q: "waitingRuns", before, limit: RUNS_COUNTED }]);
    this.report.waitingRuns = waiting;
    if (waiting > 0) await this.#wakeFor("claimRuns", { kind: "runs", at: null });
  }

  async findFailures(): Promise<void> {
    const now = await this.#now();
    for (let page = 0; page < FAILURE_PAGES_MAX; page += 1) {
      const [failures] = await this.#read([
        { q: "unhandledFailures", now, limit: FAILURES_LOOKED_AT },
      ]);
      const open = failures.filter(({ state }) => state === "open");
      this.report.unhandledFailures += open.length;
      // Those that are open are put back by whoever hands them over, when the handler is there; without one, here.
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
    const before = (await this.#now()) - this.#options.settings.overdueMs;
    const [overdue] = await this.#read([{ q: "overdueJobs", before, limit: PERMITS_MAX }]);
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
    const [waiting] = await this.#read([{ q: "waitingEvents", limit: EVENTS_COUNTED }]);
    this.report.waitingEvents = waiting;
    if (waiting > 0) await this.#wakeFor("publishEvents", { kind: "outbox", at: null });
  }

  async purge(): Promise<void> {
    const now = await this.#now();
    const { keepKeysMs } = this.#options.settings;
    const keysBefore = keepKeysMs === null ? 0 : now - keepKeysMs;
    const commitsBefore = now - COMMITS_KEPT_MS;
    const due = { q: "expired", keysBefore, commitsBefore } as const;
    const purge = { kind: "purgeExpired", keysBefore, commitsBefore, limit: PURGED_MAX } as const;
    let [expired] = await this.#read([due]);
    while (expired > 0 && this.report.purged < PURGES_MAX) {
      const at = await this.#now();
      if (at - now >= PURGE_MS_MAX) break;
      const sent = { id: newCommitId(at), guards: [], changes: [purge], reads: [due] };
      const outcome = await this.#options.store.attempt(sent);
      this.report.purged += 1;
      // It has no guard, and one read, whose answer is a count.
      expired = outcome.applied ? Number(outcome.results[0]) : 0;
    }
  }

  #now(): Promise<number> {
    return this.#options.store.now();
  }

  #read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#options.store.read(queries);
  }

  /** Every one of these may be applied twice without harm, so a lost answer is left to the next tick. */
  async #write(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const id = newCommitId(await this.#now());
    await this.#options.store.attempt({ id, guards: [], changes, reads: [] });
  }

  /** Wakes the handler for what it has a method for. One that cannot be asked is woken: the message waits for it. */
  async #wakeFor(method: keyof JobHandler, wakeUp: WakeUp): Promise<void> {
    const { waker, handler } = this.#options;
    if (waker === null) return;
    if (handler !== null && !(await mayHave(handler, method))) return;
    await this.#wake([wakeUp]);
  }

  async #wake(wakeUps: readonly WakeUp[]): Promise<number> {
    const { waker } = this.#options;
    return waker === null ? 0 : waker.wake(wakeUps, await this.#now());
  }
}

/** The job that polls the stage, while nobody else has: null where it needs none. */
function pollOf({
  workflowRunId,
  workflowId,
  stageId,
  nextPollAt,
  version,
  state,
}: UnattendedStage): { readonly job: EnqueueJobInput; readonly guard: Guard } | null {
  if (state !== "unattended" || workflowId === null) return null;
  // Two ticks at once find the same stages. The length tells run and stage apart, whatever their ids.
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

/** A stage of a finished run is looked at no more, unless the run or the stage is written again. */
function attended(
  { workflowRunId, stageId, attendAt, state }: UnattendedStage,
  now: number,
): Change {
  const dueAt = state === "over" ? null : unpolledAt(now);
  return { kind: "attendStage", workflowRunId, stageId, seenAt: attendAt, dueAt };
}
