/**
 * The job queue beyond the contract: batches, leases that are handed to another connection,
 * figures, and the handler that the queue's consumer calls.
 */
import type { DequeueResult } from "./inputs.ts";
import type { FlushableAICallLogger, JobQueue, WorkflowPersistence } from "./interfaces.ts";
import type { JobRecord, OutboxRecord, Status } from "./records.ts";

/**
 * What became of one job of a batch.
 * @example
 * const settled = await jobs.completeMany(["run-1/0a", "run-1/0b"]);
 * const lost = settled.filter(({ outcome }) => outcome === "lease-lost");
 * console.log(lost.map(({ jobId }) => jobId));
 */
export type SettledJob = {
  readonly jobId: string;
  /**
   * - `settled`: the job is as the call says.
   * - `over`: it had ended before (COMPLETED, FAILED, CANCELLED); nothing was changed.
   * - `lease-lost`: a later attempt owns it; nothing was changed, and the late result is kept as an
   *   annotation.
   * - `not-found`: there is no such job.
   */
  readonly outcome: "settled" | "over" | "lease-lost" | "not-found";
};

/**
 * How many jobs are in which state. Each count stops at 10,000, which then means 10,000 or more.
 * @example
 * const { due, oldestDueMs } = await jobs.jobStats();
 * if (due > 1_000 || (oldestDueMs ?? 0) > 60_000) console.warn("the queue is behind");
 */
export interface JobStats {
  /** PENDING and due, also those that wait for a slot of their concurrency key. */
  readonly due: number;
  /** PENDING, and due later. */
  readonly delayed: number;
  /** RUNNING, those with an expired lease included until the sweep ends it. */
  readonly leased: number;
  readonly suspended: number;
  /** FAILED within the last 24 hours. */
  readonly failed: number;
  /**
   * Due and delayed jobs that came back because their handler could not be reached. More than 0:
   * the handler is away.
   */
  readonly undelivered: number;
  /**
   * For how many milliseconds the oldest of the counted due jobs has been due; null when none is
   * due.
   */
  readonly oldestDueMs: number | null;
}

/**
 * A connection's queue: the contract's, with the methods that some versions of it lack, and what
 * goes beyond it.
 * @example
 * const batch = await jobs.dequeueMany(25);
 * const settled = await jobs.completeMany(batch.map(({ jobId }) => jobId));
 * console.log(settled.filter(({ outcome }) => outcome === "settled").length, "done");
 */
export interface ExtendedJobQueue extends JobQueue {
  /** See {@link JobQueue.touchJob}. */
  touchJob(jobId: string): Promise<void>;
  /** See {@link JobQueue.getJobsByWorkflowRun}. */
  getJobsByWorkflowRun(workflowRunId: string): Promise<JobRecord[]>;
  /** See {@link JobQueue.getSuspendedJobsReadyToPoll}. */
  getSuspendedJobsReadyToPoll(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  >;
  /**
   * Leases up to `count` (1 to 100) due jobs, the same and in the same order as as many calls of
   * `dequeue()`, in one round trip. Each is a lease of its own. Large payloads may make the answer
   * shorter than asked for.
   * @throws INVALID_ARGUMENT for another count.
   */
  dequeueMany(count: number): Promise<DequeueResult[]>;
  /**
   * Completes up to 1,000 jobs in one round trip, each for itself: a lost lease does not hold up
   * the others. Answers what became of each, in the order of the ids. In the callback of a
   * transaction it joins the transaction.
   * @throws INVALID_ARGUMENT for more than 1,000.
   */
  completeMany(jobIds: string[]): Promise<SettledJob[]>;
  /**
   * Makes this connection act for a delivery that another connection was given, such as the job
   * that a {@link JobHandler} is called with: it may settle and renew that attempt, and no later
   * one. Writes nothing.
   * @example
   * // In handleJob(job), on a connection of the handler's own:
   * jobs.adopt(job);
   * await jobs.complete(job.jobId);
   */
  adopt(delivery: Pick<DequeueResult, "jobId" | "attempt">): void;
  /**
   * Counts the jobs by state. One round trip; its cost does not depend on the number of finished
   * jobs.
   */
  jobStats(): Promise<JobStats>;
}

/**
 * What is wrong with a row that the audit finds.
 * @example
 * const counts = new Map<AuditProblem, number>();
 * for (const { problem } of await audit()) counts.set(problem, (counts.get(problem) ?? 0) + 1);
 */
export type AuditProblem =
  /**
   * A RUNNING or SUSPENDED run with neither a stage nor a job that is live: nothing will move it
   * on.
   */
  | "run-without-work"
  /** A stage whose turn it is, without a live job. */
  | "stage-without-job"
  /**
   * A stage whose last job failed for good more than ten minutes ago; since then nothing ended the
   * stage or tried again.
   */
  | "failure-unhandled"
  /** A RUNNING job without the instant from which its lease counts. */
  | "lease-without-start"
  /** A job that is to wait until an instant, and has none. */
  | "wait-without-end";

/**
 * A row that is not finished and that nothing will ever move on.
 * @example
 * for (const { entity, id, problem } of await audit()) console.error(entity, id, problem);
 */
export interface AuditFinding {
  readonly entity: "run" | "stage" | "job";
  /** The record's id; a stage's as `run/stageId`. */
  readonly id: string;
  readonly workflowRunId: string;
  readonly status: Status;
  readonly problem: AuditProblem;
}

/**
 * How a handler ends a delivery.
 * @example
 * const later: JobOutcome = { status: "suspended", until: Date.now() + 60_000 };
 * const broken: JobOutcome = { status: "failed", error: "the page is gone", retry: false };
 */
export type JobOutcome =
  | { readonly status: "completed" }
  /**
   * The handler gets the job again at `until`, as a further attempt that does not count against
   * `maxAttempts`.
   */
  | { readonly status: "suspended"; readonly until: Date | number }
  /** With `retry` (default true) the job comes again after a pause, while attempts are left. */
  | { readonly status: "failed"; readonly error: string; readonly retry?: boolean }
  /** The handler has settled the job itself, usually in the transaction that stored the result. */
  | { readonly status: "settled" };

/**
 * A job that has failed for good, as `jobFailed` is told of it.
 * @example
 * const ended: FailedDelivery = {
 *   jobId: "run-1/0a",
 *   workflowRunId: "run-1",
 *   workflowId: "digest",
 *   stageId: "fetch",
 *   attempt: 3,
 *   error: "the page is gone",
 * };
 */
export interface FailedDelivery {
  readonly jobId: string;
  readonly workflowRunId: string;
  readonly workflowId: string;
  readonly stageId: string;
  /** The last attempt. */
  readonly attempt: number;
  /** What was recorded with the failure, or that the lease expired. */
  readonly error: string | null;
}

/**
 * What an embedded handler gets beside the job: a connection that has adopted the job already, and
 * a signal.
 * @example
 * class Fetcher implements JobHandler {
 *   async handleJob(job: DequeueResult, context?: HandlerContext): Promise<JobOutcome> {
 *     const page = await fetch(String(job.payload["url"]), { signal: context?.signal ?? null });
 *     await context?.persistence.saveStageOutput(
 *       job.workflowRunId,
 *       job.workflowId,
 *       job.stageId,
 *       await page.text(),
 *     );
 *     return { status: "completed" };
 *   }
 * }
 */
export interface HandlerContext {
  readonly persistence: WorkflowPersistence;
  readonly jobs: ExtendedJobQueue;
  readonly aiCalls: FlushableAICallLogger;
  /**
   * Aborted when the handler's time is up or the lease is lost. The delivery's result will not be
   * taken then.
   */
  readonly signal: AbortSignal;
}

/**
 * Works the jobs that the queue's consumer claims: an object in the embedding Worker, or a named
 * entrypoint of another Worker, bound as `HANDLER`. The bound one gets no context and connects
 * itself.
 * @example
 * const handler: JobHandler = {
 *   async handleJob(job) {
 *     if (job.attempt > 1) console.warn("again", job.jobId);
 *     return { status: "completed" };
 *   },
 * };
 */
export interface JobHandler {
  /**
   * Works one job. Its lease is renewed meanwhile. What it throws, and a Worker that dies of it,
   * count as `failed` with `retry`. While the Worker of a bound handler cannot be reached, jobs
   * wait for it and lose no attempt. The same attempt is never given twice, but a later attempt may
   * start while an earlier one still runs somewhere: settle through the connection, which is fenced
   * by the attempt. Its time is 14 minutes by default.
   */
  handleJob(job: DequeueResult, context?: HandlerContext): Promise<JobOutcome>;
  /**
   * There are PENDING runs: claim them. Called only where `runs` is among the handler's duties, and
   * again within a minute while runs are PENDING.
   */
  claimRuns?(context?: HandlerContext): Promise<void>;
  /**
   * A job has failed for good: it has no attempt left, or its handler asked for no retry. End the
   * stage and the run here, or enqueue another job. Called at least once, and every minute for a
   * day while stage and run are unfinished and the stage has no later job. It has a minute. Called
   * only where `failures` is among the duties.
   */
  jobFailed?(job: FailedDelivery, context?: HandlerContext): Promise<void>;
  /**
   * Publishes outbox events, each run's in order, and answers the ids of those that are published.
   * The first event that a run's list lacks has failed once; after ten failures it goes to the DLQ.
   * If the method throws, it is called again with fewer events until the one at which it throws is
   * found; so it may get events a second time that it had published before it threw. It has a
   * minute. Called only where `outbox` is among the duties.
   */
  publishEvents?(events: OutboxRecord[]): Promise<string[]>;
}

/**
 * What the queue's consumer may call a handler for. The service's variable `HANDLER_DUTIES` lists
 * them, with commas between; default `jobs`.
 * @example
 * console.log(HANDLER_DUTIES.join(",")); // jobs,runs,failures,outbox
 */
export const HANDLER_DUTIES = ["jobs", "runs", "failures", "outbox"] as const;
/**
 * One of {@link HANDLER_DUTIES}.
 * @example
 * const duties: HandlerDuty[] = ["jobs", "failures"];
 */
export type HandlerDuty = (typeof HANDLER_DUTIES)[number];
