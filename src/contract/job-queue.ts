/**
 * The job queue beyond the contract: batches, leases that are handed to another connection, figures
 * and the audit.
 */
import type { DequeueResult } from "./inputs.ts";
import type { JobQueue } from "./interfaces.ts";
import type { JobRecord, Status } from "./records.ts";

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
   * Leases up to `count` (1 to 100) due jobs, in one round trip: the same jobs, in the same order,
   * that this many calls of `dequeue()` would lease. Each has its own lease. Large payloads may
   * make the answer shorter than asked for.
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
  /** A stage whose last job failed for good; so far nothing has ended the stage or tried again. */
  | "failure-unhandled"
  /** A RUNNING job without the instant from which its lease counts. */
  | "lease-without-start"
  /** A job that should wait until an instant, but has none. */
  | "wait-without-end"
  /**
   * A suspended stage without a job, or a suspended job, whose instant passed ten minutes ago
   * without a poll.
   */
  | "poll-overdue";

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
