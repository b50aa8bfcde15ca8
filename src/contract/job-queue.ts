/**
 * The job queue beyond the contract: batches, leases that travel, figures, and the handler that the queue's
 * consumer calls.
 */
import type { DequeueResult } from "./inputs.ts";
import type { JobQueue } from "./interfaces.ts";
import type { Backend } from "./backend.ts";
import type { JobRecord, OutboxRecord, Status } from "./records.ts";

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
  /** A stage without a job, or a job, that was suspended, and that nobody has polled for an hour and ten minutes after its instant. */
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

/** A job that has failed for good. */
export interface FailedDelivery {
  readonly jobId: string;
  readonly workflowRunId: string;
  readonly workflowId: string;
  readonly stageId: string;
  readonly attempt: number;
  readonly error: string | null;
}

/** What a handler works with: a connection like any other, fenced by the attempt it was given. */
export interface HandlerContext extends Backend {
  /** Aborted when the consumer's time is up, or the lease is lost: the result will not be taken. */
  readonly signal: AbortSignal;
}

/**
 * Works what the queue's consumer has claimed. Every method but `handleJob` may be left out; what a handler is called for follows from what
 * it has. A named entrypoint of another Worker is a {@link BoundJobHandler}.
 */
export interface JobHandler {
  /**
   * Works one job. While it runs its lease is renewed. What it throws counts as `failed` with `retry`, and so does a Worker that dies
   * of it. While the Worker of a bound handler cannot be reached, its jobs come back to it, and use up no attempt. The same attempt is
   * never given twice; a job can be, as a further attempt, while an earlier one is still at work somewhere.
   */
  handleJob(job: DequeueResult, context: HandlerContext): Promise<JobOutcome>;
  /** PENDING runs wait: claims them. */
  claimRuns?(context: HandlerContext): Promise<void>;
  /**
   * A job has failed for good: its attempts are used up, or its worker said so. Ends the stage and the run, or tries again by
   * another job. Called at least once, and again after pauses that grow from a minute to an hour, until nothing is left open: the run is
   * finished, or the stage has a later job, or the stage is done and something else moves the run on. It may take a minute; then it is
   * given up, like one that throws. Without it, the stage and its run end as FAILED, with the job's error.
   */
  jobFailed?(job: FailedDelivery, context: HandlerContext): Promise<void>;
  /**
   * Publishes outbox events, in order per run, and answers the ids of those it has published. The first that a run's list lacks
   * counts as a failure of that event; after ten failures it goes to the DLQ. If it throws, it is called again with fewer of them,
   * until the event is found at which it throws: what it had published before it threw, it is given again. It may take a minute. Without
   * it, events wait for whoever polls them.
   */
  publishEvents?(events: OutboxRecord[]): Promise<string[]>;
}

/**
 * A {@link JobHandler} in another Worker, bound as `HANDLER`: the same methods, of a named entrypoint. No connection can be handed to another
 * Worker, so it makes its own: `connect(env.ENGINE)`, and `jobs.adopt(job)` for the fence.
 */
export interface BoundJobHandler {
  handleJob(job: DequeueResult): Promise<JobOutcome>;
  claimRuns?(): Promise<void>;
  jobFailed?(job: FailedDelivery): Promise<void>;
  publishEvents?(events: OutboxRecord[]): Promise<string[]>;
}
