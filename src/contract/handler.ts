/** Handlers: the code that works what the queue's consumer has claimed. */
import type { Backend } from "./backend.ts";
import type { DequeueResult } from "./inputs.ts";
import type { JobOutcome } from "./job-queue.ts";
import type { OutboxRecord } from "./records.ts";

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
