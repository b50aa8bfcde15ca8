/**
 * The consumer of the queue `JOBS`. n messages are n permits: it claims up to n of the best due
 * jobs in one statement, runs them side by side through the handler, and settles each as it ends.
 * It trusts nothing in a message. If it dies, the rows still tell the truth: its jobs are delivered
 * again when their leases have expired.
 */
import type { Store, WakeUpKind } from "../changes/index.ts";
import { isStageJob, withDeadline } from "../model/index.ts";
import { AutoCommit } from "../persistence/auto-commit.ts";
import { Connection } from "../persistence/connection.ts";
import { unitOf } from "../persistence/connection-core.ts";
import { endDead } from "../runner/death.ts";
import type { Settling } from "../persistence/settling.ts";
import type {
  BoundJobHandler,
  DequeueResult,
  HandlerContext,
  JobHandler,
  OutboxRecord,
  ServiceError,
} from "../contract/index.ts";
import { type ClaimedJobs, ConsumerJobs } from "./consumer-jobs.ts";
import { endFailed, handOverFailures, type HandsOver } from "./hand-over.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { failure, toOutcome } from "./outcome.ts";
import { HandlerAway, hasMethod, isDeath, reach } from "./reach.ts";
import { relayEvents } from "./relay.ts";
import type { DispatchSettings } from "./settings.ts";
import { type Asked, type Shares, sharesOf } from "./shares.ts";
import { Settler } from "./settler.ts";
import {
  type ConsumersHandler,
  GOES_ON_MS,
  stagesFor,
  type StagesLeft,
  workStages,
} from "./stage-jobs.ts";
import { leave } from "./waiting-stages.ts";
import { dutyOf } from "./wake-up.ts";

/** A message of the queue, as far as the consumer uses it. */
export interface WakeUpDelivery {
  readonly body: unknown;
  /** The number of its deliveries. Absent: 1. */
  readonly attempts?: number;
  ack(): void;
  retry(options?: { delaySeconds?: number }): void;
}

export interface ConsumerOptions {
  readonly store: Store;
  /**
   * The same store with a limit for its answers: claims go through it, so that a batch of large jobs
   * fits into memory. Default: `store`.
   */
  readonly bounded?: Store;
  /**
   * Null: this Worker works no jobs. Its messages are acked, and jobs wait for workers that poll.
   */
  readonly handler: ConsumersHandler | null;
  readonly settings: DispatchSettings;
  /** Stored as `workerId` in the jobs that are claimed. */
  readonly workerId: string;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/** The options of a consumer that has a handler. */
type Called = ConsumerOptions & { readonly handler: ConsumersHandler };

/** Works the messages of one kind. `surplus`: so many of them go back to the queue. */
type Work = (called: Called, asked: Asked) => Promise<{ readonly surplus: number } | void>;

/** What became of a batch: numbers of messages (`permits`) and of jobs (all others). */
export interface ConsumedBatch {
  readonly permits: number;
  /** Jobs that were claimed. Each is counted in exactly one of the numbers below. */
  readonly claimed: number;
  completed: number;
  suspended: number;
  failed: number;
  /** Settled by the handler itself before it answered. */
  settled: number;
  /** A later attempt owns the job, or the job was settled elsewhere: the result was not taken. */
  lost: number;
  /** Given back without a failure, because the handler's Worker could not be reached. */
  returned: number;
  /** The result could not be written. The lease expires, and the job is delivered again. */
  unsettled: number;
}

/**
 * The time that one call of `jobFailed` or `publishEvents` may take: other failures and events wait
 * behind it.
 */
const DUTY_MS_MAX = 60_000;
/**
 * The pause before messages come again whose work failed as a whole, such as a claim while D1 is
 * away.
 */
const RETRY_SECONDS = 10;

/** The least time between two log lines of an isolate that say that a handler is away. */
const TOLD_EVERY_MS = 60_000;

/**
 * Works one batch of messages: claims jobs, runs the handler, settles, and answers each message.
 *
 * Resolves when every message is acked or handed back. It rejects only if there is a bug: what
 * fails in a job settles the job as failed, and what fails around it hands the messages back.
 */
export async function consume(
  messages: readonly WakeUpDelivery[],
  options: ConsumerOptions,
): Promise<ConsumedBatch> {
  const { handler } = options;
  const kinds = Map.groupBy(messages, ({ body }) => dutyOf(body));
  const asked = new Map(Array.from(kinds, ([kind, list]) => [kind, askedBy(list)]));
  const shares = sharesOf(asked, handler?.embedded ?? true);
  const part = async (kind: WakeUpKind, work: Work) => {
    const permits = kinds.get(kind) ?? [];
    if (permits.length === 0) return;
    try {
      if (handler === null) await leave(kind, options.store);
      const done =
        handler === null ? undefined : await work({ ...options, handler }, askedBy(permits));
      const surplus = done?.surplus ?? 0;
      acknowledge(permits.slice(surplus));
      for (const permit of permits.slice(0, surplus)) attempted(() => permit.retry());
    } catch (error) {
      console.error("wfe-wake-up-failed", kind, error);
      for (const permit of permits) {
        attempted(() => permit.retry({ delaySeconds: RETRY_SECONDS }));
      }
    }
  };
  let consumed = nothing((kinds.get("jobs") ?? []).length);
  await Promise.all([
    part("jobs", async (called, { count }) => {
      const share = Math.min(count, shares.jobs);
      const { cut, ...worked } = await workJobs({ permits: count, share }, called);
      consumed = worked;
      // Jobs that this invocation had no room for keep their permits: another one takes them.
      const full = cut || (!called.handler.embedded && consumed.claimed === share);
      return { surplus: full ? count - consumed.claimed : 0 };
    }),
    part("runs", async (called) => claimRuns(called)),
    part("failures", async (called) => handOver(called, shares.failures)),
    part("outbox", async (called, { attempts }) => relay(called, shares, attempts)),
  ]);
  return consumed;
}

/** The messages of one kind, counted. */
function askedBy(messages: readonly WakeUpDelivery[]): Asked {
  return {
    count: messages.length,
    attempts: Math.max(...messages.map(({ attempts = 1 }) => attempts)),
  };
}

/** An ack loses only a hint: a message that comes again finds other work, or none. */
function acknowledge(messages: readonly WakeUpDelivery[]): void {
  for (const message of messages) attempted(() => message.ack());
}

/**
 * Answers one message by itself, so that one that cannot be acked holds back no other. With a stub,
 * the call is a promise, and may reject.
 */
function attempted(answer: () => unknown): void {
  new Promise((resolve) => {
    resolve(answer());
  }).catch((error: unknown) => {
    console.warn("wfe-message-not-answered", error);
  });
}

function nothing(permits: number, claimed = 0): ConsumedBatch {
  const settled = { completed: 0, suspended: 0, failed: 0, settled: 0 };
  return { permits, claimed, ...settled, lost: 0, returned: 0, unsettled: 0 };
}

function connection({ workerId, settings, waitUntil, store }: ConsumerOptions): Connection {
  return new Connection(store, { workerId, retry: settings.retry, waitUntil });
}

/** Rejects only if the claim failed. From the claim on, the rows say what is left to do. */
async function workJobs(
  { permits, share }: { readonly permits: number; readonly share: number },
  options: Called,
): Promise<ConsumedBatch & { cut: boolean }> {
  const { workerId, settings, bounded } = options;
  const direct = new AutoCommit(bounded ?? options.store);
  const jobs = new ConsumerJobs({ direct, workerId, retry: settings.retry });
  const taken = await jobs.resumeAndDequeue(share);
  const { cut } = taken;
  const consumed = nothing(permits, taken.jobs.length);
  const claimed = await oneSuspectOrAll(taken, { consumed, jobs });
  if (claimed.length === 0) return { ...consumed, cut };
  const keeper = new LeaseKeeper(jobs, options.settings.heartbeatMs);
  const settler = new Settler(jobs, claimed.length);
  const leases = claimed.map((job) => ({ job, lease: keeper.hold(job) }));
  const stagesLeft = stagesFor(options.handler, claimed.length);
  const work = async ({ job, lease }: (typeof leases)[number]) => {
    const outcome = await handled({ job, lease, keeper, stagesLeft }, options);
    try {
      await settleAs(outcome, job, { consumed, settler, options });
    } catch (error) {
      consumed.unsettled += 1;
      console.error("wfe-job-not-settled", job.jobId, error);
    } finally {
      keeper.release(job.jobId);
    }
  };
  try {
    const away = await absence(options);
    if (away === null) await Promise.all(leases.map(work));
    else {
      await tell(away, claimed.length, options);
      await giveBack(claimed, away, { consumed, jobs });
    }
  } finally {
    await keeper.stop();
  }
  return { ...consumed, cut };
}

/**
 * The jobs of a claim that this invocation works. A job whose last worker died may have killed it,
 * or may have died of a neighbour's work: it is worked alone, and the others are given back, ready
 * for other workers.
 */
async function oneSuspectOrAll(
  { jobs: claimed, suspects }: ClaimedJobs,
  { consumed, jobs }: { readonly consumed: ConsumedBatch; readonly jobs: ConsumerJobs },
): Promise<readonly DequeueResult[]> {
  const [suspect] = suspects;
  const others = claimed.filter(({ jobId }) => jobId !== suspect);
  if (suspect === undefined || others.length === 0) return claimed;
  try {
    const returned = await jobs.unclaimMany(others.map(({ jobId }) => jobId));
    consumed.returned += returned;
    consumed.lost += others.length - returned;
  } catch (error) {
    // Their leases expire.
    consumed.unsettled += others.length;
    console.error("wfe-jobs-not-given-back", others.length, error);
  }
  return claimed.filter(({ jobId }) => jobId === suspect);
}

/**
 * The reason why the handler cannot be called; null: it can. An embedded handler is always there.
 */
async function absence({ handler: { embedded, handler } }: Called): Promise<HandlerAway | null> {
  if (embedded) return null;
  try {
    await reach(handler);
    return null;
  } catch (error) {
    if (error instanceof HandlerAway) return error;
    throw error;
  }
}

/** The instant at which this isolate last logged that a handler is away, by handler. */
const toldAt = new WeakMap<object, number>();

/** Logs that the handler is away, at most once a minute: permits come one by one. */
async function tell(
  { message }: HandlerAway,
  count: number,
  { store, handler: { handler } }: Called,
): Promise<void> {
  const now = await store.now();
  if (Math.abs(now - (toldAt.get(handler) ?? -Infinity)) < TOLD_EVERY_MS) return;
  toldAt.set(handler, now);
  console.warn("wfe-handler-away", count, message);
}

/**
 * The handler was not called: these deliveries count neither as attempts nor as failures, and the
 * jobs come again after a pause.
 */
async function giveBack(
  claimed: readonly DequeueResult[],
  away: HandlerAway,
  { consumed, jobs }: { readonly consumed: ConsumedBatch; readonly jobs: ConsumerJobs },
): Promise<void> {
  try {
    const jobIds = claimed.map(({ jobId }) => jobId);
    const returned = await jobs.giveBackMany(jobIds, failure(away).error);
    consumed.returned += returned;
    consumed.lost += claimed.length - returned;
  } catch (error) {
    consumed.unsettled += claimed.length;
    console.error("wfe-jobs-not-given-back", claimed.length, error);
  }
}

/**
 * What came of a call of the handler: an outcome; or only the row can tell, and `otherwise` is the
 * outcome if the row says that the job is not settled. `settled`: the handler says that it has
 * settled the job. `over`: its stages were worked, and it is settled. `unanswered`: there is no answer, but the handler may have settled it. `died`: its
 * Worker has died, and the call with it.
 */
type Handled =
  | Settling["outcome"]
  | { readonly status: "over" }
  | {
      readonly status: "settled" | "unanswered";
      readonly otherwise: Settling["outcome"];
      readonly died: boolean;
    };

interface Leased {
  readonly job: DequeueResult;
  readonly lease: AbortSignal;
  readonly keeper: LeaseKeeper;
  readonly stagesLeft: StagesLeft;
}

async function handled(
  { job, lease, keeper, stagesLeft }: Leased,
  options: Called,
): Promise<Handled> {
  const { handlerTimeoutMs } = options.settings;
  const giveUp = ({ message }: ServiceError) => {
    keeper.release(job.jobId, message);
  };
  try {
    if (isStageJob(job.payload)) {
      const unit = unitOf(connection(options));
      const worked = workStages({ job, signal: lease, stagesLeft }, options.handler, unit);
      await withDeadline(worked, handlerTimeoutMs + GOES_ON_MS, "The stage", giveUp);
      return { status: "over" };
    }
    const called = call(job, lease, options);
    const answer = await withDeadline(called, handlerTimeoutMs, "The handler", giveUp);
    const outcome = toOutcome(answer);
    if (outcome.status !== "settled") return outcome;
    const message = "The handler said that it had settled the job, and it has not";
    return { status: "settled", otherwise: failure(message), died: false };
  } catch (error) {
    const died = !options.handler.embedded && isDeath(error);
    return { status: "unanswered", otherwise: failure(error), died };
  }
}

/** Async, so that a handler that throws synchronously rejects like any other. */
async function call(job: DequeueResult, signal: AbortSignal, options: Called): Promise<unknown> {
  return callable(options, signal, job).handleJob(job);
}

/**
 * The handler in a form that is called without a context. A stub is handed on as it is, because
 * reading any of its properties is a call.
 */
function callable(options: Called, signal: AbortSignal, adopted?: DequeueResult): BoundJobHandler {
  const { embedded, handler } = options.handler;
  if (!embedded) return handler;
  const context = contextOf(options, signal, adopted);
  return {
    handleJob: async (job) => handler.handleJob(job, context),
    claimRuns: async () => handler.claimRuns?.(context),
    jobFailed: async (job) => handler.jobFailed?.(job, context),
    publishEvents: async (events) => (await handler.publishEvents?.(events)) ?? [],
  };
}

/**
 * Opens its connection when it is first used: many handlers use none, and each job has its own.
 */
function contextOf(
  options: ConsumerOptions,
  signal: AbortSignal,
  adopted: DequeueResult | undefined,
): HandlerContext {
  let opened: Connection | null = null;
  const open = () => {
    if (opened !== null) return opened;
    opened = connection(options);
    if (adopted !== undefined) opened.jobs.adopt(adopted);
    return opened;
  };
  return {
    get persistence() {
      return open().persistence;
    },
    get jobs() {
      return open().jobs;
    },
    get aiCalls() {
      return open().aiCalls;
    },
    audit: () => open().audit(),
    signal,
  };
}

/**
 * A call that is not about one delivery of a job. An embedded handler is given a context, whose
 * signal is aborted when the time is up.
 */
async function onDuty<T>(
  options: Called,
  { who, timeoutMs }: { readonly who: string; readonly timeoutMs: number },
  begin: (handler: BoundJobHandler) => Promise<T> | undefined,
): Promise<T | undefined> {
  const controller = new AbortController();
  const called = begin(callable(options, controller.signal));
  if (called === undefined) return undefined;
  return withDeadline(called, timeoutMs, who, (late) => controller.abort(late));
}

/** @throws HandlerAway */
async function has(
  { handler: { embedded, handler } }: Called,
  method: keyof JobHandler,
): Promise<boolean> {
  return hasMethod(handler, method, embedded);
}

function dutyMs({ settings }: ConsumerOptions): number {
  return Math.min(settings.handlerTimeoutMs, DUTY_MS_MAX);
}

/** What all jobs of a batch share. */
interface Batch {
  readonly consumed: ConsumedBatch;
  readonly settler: Settler;
  readonly options: Called;
}

async function settleAs(
  outcome: Handled,
  job: DequeueResult,
  { consumed, settler, options }: Batch,
): Promise<void> {
  const settling =
    outcome.status === "over"
      ? null
      : "otherwise" in outcome
        ? await unlessSettled(outcome, job, options)
        : outcome;
  if (settling === null) {
    consumed.settled += 1;
    return;
  }
  const died = "died" in outcome && outcome.died;
  const settled = await settler.settle({ jobId: job.jobId, outcome: settling, died });
  if (settled.outcome === "settled") consumed[settling.status] += 1;
  else consumed.lost += 1;
}

/**
 * Null if the row says that this attempt is settled: a failure that comes after must not undo what
 * the handler has stored.
 */
async function unlessSettled(
  { status, otherwise }: Extract<Handled, { otherwise: unknown }>,
  { jobId, attempt, workflowRunId }: DequeueResult,
  { store }: ConsumerOptions,
): Promise<Settling["outcome"] | null> {
  const ordinal = jobId.slice(workflowRunId.length + 1);
  const [[state]] = await store.read([
    { q: "jobStates", keys: [{ workflowRunId, ordinal }], now: await store.now() },
  ]);
  if (state?.attempt === attempt) return state.status === "RUNNING" ? otherwise : null;
  // A later attempt owns the job: the failure is kept as a late result.
  return status === "settled" ? null : otherwise;
}

async function claimRuns(options: Called): Promise<void> {
  const [waiting] = await options.store.read([{ q: "pendingRuns", limit: 1 }]);
  if (waiting.length === 0 || !(await has(options, "claimRuns"))) return;
  const duty = { who: "claimRuns", timeoutMs: options.settings.handlerTimeoutMs };
  await onDuty(options, duty, (handler) => handler.claimRuns?.());
}

async function handOver(options: Called, callsMax: number): Promise<void> {
  await handOverFailures({
    store: options.store,
    callsMax,
    async handler() {
      const unit = unitOf(connection(options));
      const rest = (await has(options, "jobFailed")) ? tellsOf(options) : ends(options);
      // The runs of typed workflows are the service's own to end, whatever the handler does with others.
      return async (failed) => ((await endDead(unit, failed)) ? undefined : rest(failed));
    },
  });
}

function tellsOf(options: Called): HandsOver {
  const duty = { who: "jobFailed", timeoutMs: dutyMs(options) };
  return async (failed) => onDuty(options, duty, (handler) => handler.jobFailed?.(failed));
}

function ends(options: Called): HandsOver {
  return async (failed) => endFailed(connection(options), failed, await options.store.now());
}

async function relay(
  options: Called,
  { outbox: callsMax, pageMax }: Shares,
  attempts: number,
): Promise<void> {
  const { settings, store } = options;
  const [waiting] = await store.read([{ q: "waitingEvents", limit: 1 }]);
  // Without a publisher the events wait; trying them would send them to the DLQ.
  if (waiting === 0 || !(await has(options, "publishEvents"))) return;
  const duty = { who: "publishEvents", timeoutMs: dutyMs(options) };
  const publish = async (events: OutboxRecord[]) =>
    (await onDuty(options, duty, (handler) => handler.publishEvents?.(events))) ?? [];
  await relayEvents({
    store,
    persistence: connection(options).persistence,
    publish,
    attemptsMax: settings.outboxAttempts,
    callsMax,
    pageMax,
    // If a handler in another Worker dies, the call fails. An embedded one takes its consumer along.
    wary: options.handler.embedded && attempts > 1,
  });
}
