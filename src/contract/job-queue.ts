/** The job queue beyond the contract: batches, leases that travel, and figures. */
import type { DequeueResult } from "./inputs.ts";
import type { JobQueue } from "./interfaces.ts";
import type { JobRecord, Status } from "./records.ts";

/** What became of one job of a batch. */
export type SettledJob = {
  readonly jobId: string;
  /**
   * - `settled`: it is as the call says.
   * - `over`: it had come to its end before (COMPLETED, FAILED, CANCELLED); nothing was changed.
   * - `lease-lost`: a later attempt owns it; nothing was changed, and the late result is kept as an annotation.
   * - `not-found`: there is no such job.
   */
  readonly outcome: "settled" | "over" | "lease-lost" | "not-found";
};

/** How many jobs are in which state. Each count stops at 10,000: that many, or more. */
export interface JobStats {
  /** PENDING and due, those that wait for a slot of their concurrency key included. */
  readonly due: number;
  /** PENDING, and due later. */
  readonly delayed: number;
  readonly leased: number;
  readonly suspended: number;
  /** FAILED within the last 24 hours. */
  readonly failed: number;
  /** Of those due and delayed, the ones that came back since their handler could not be reached. More than 0: the handler is away. */
  readonly undelivered: number;
  /** Milliseconds that the longest waiting of the counted due jobs has been due; null when none is. */
  readonly oldestDueMs: number | null;
}

export interface ExtendedJobQueue extends JobQueue {
  touchJob(jobId: string): Promise<void>;
  getJobsByWorkflowRun(workflowRunId: string): Promise<JobRecord[]>;
  getSuspendedJobsReadyToPoll(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  >;
  /**
   * Up to `count` (1 to 100) of the best due jobs, in one round trip and one statement; those of `dequeue()`, in its order.
   * Each is a lease of its own.
   */
  dequeueMany(count: number): Promise<DequeueResult[]>;
  /**
   * Completes up to 1,000 jobs in one round trip, each for itself: a job whose lease is lost does not hold up the others.
   * Answers what became of each, in the order of the ids. In a transaction's callback it joins the transaction.
   */
  completeMany(jobIds: string[]): Promise<SettledJob[]>;
  /**
   * Makes this connection act for a delivery that another connection was given, such as the job that a {@link JobHandler} is
   * called with: it may settle and renew that attempt, and no later one. Writes nothing.
   */
  adopt(delivery: Pick<DequeueResult, "jobId" | "attempt">): void;
  /** One round trip; its cost does not depend on the number of finished jobs. */
  jobStats(): Promise<JobStats>;
}

export type AuditProblem =
  /** A RUNNING or SUSPENDED run with neither a stage nor a job that is live: nobody will move it on. */
  | "run-without-work"
  /** A stage that somebody should be working, without a live job. */
  | "stage-without-job"
  /** A stage whose last job failed for good, and nobody has ended the stage, or tried again, so far. */
  | "failure-unhandled"
  /** A RUNNING job without the instant that its lease is measured from. */
  | "lease-without-start"
  /** A job that waits for an instant that it does not have. */
  | "wait-without-end"
  /** A stage without a job, or a job, that was suspended, and that nobody has polled for ten minutes after its instant. */
  | "poll-overdue";

/** A row that is not finished, and that nothing will make progress. */
export interface AuditFinding {
  readonly entity: "run" | "stage" | "job";
  /** The record's id; a stage's as `run/stageId`. */
  readonly id: string;
  readonly workflowRunId: string;
  readonly status: Status;
  readonly problem: AuditProblem;
}

/** What a handler has made of a job. */
export type JobOutcome =
  | { readonly status: "completed" }
  /** To be given to the handler again at `until`, as a further attempt that does not count against `maxAttempts`. */
  | { readonly status: "suspended"; readonly until: Date | number }
  /** With `retry` (default true) again after a pause, while attempts are left. */
  | { readonly status: "failed"; readonly error: string; readonly retry?: boolean }
  /** The handler settled the job itself, in the transaction that stored the result. */
  | { readonly status: "settled" };
