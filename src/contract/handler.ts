/**
 * Handlers: the code that the queue's consumer calls. A handler is an object in the embedding
 * Worker ({@link JobHandler}) or an entrypoint of another Worker ({@link BoundJobHandler}).
 */
import type { Backend } from "./backend.ts";
import type { DequeueResult } from "./inputs.ts";
import type { JobOutcome } from "./job-queue.ts";
import type { OutboxRecord } from "./records.ts";

/**
 * What `jobFailed` gets: a job that has failed for good.
 * @example
 * const failed: FailedDelivery = {
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
  /** The error of the failure, or that the lease expired. */
  readonly error: string | null;
}

/**
 * What an embedded handler gets: a connection, and a signal. For `handleJob` the connection has
 * adopted the job already, so what it settles is fenced by the attempt.
 * @example
 * class Fetcher implements JobHandler {
 *   async handleJob(job: DequeueResult, context: HandlerContext): Promise<JobOutcome> {
 *     const page = await fetch(String(job.payload["url"]), { signal: context.signal });
 *     await context.persistence.saveStageOutput(
 *       job.workflowRunId,
 *       job.workflowId,
 *       job.stageId,
 *       await page.text(),
 *     );
 *     return { status: "completed" };
 *   }
 * }
 */
export interface HandlerContext extends Backend {
  /**
   * Aborted when the call's time is up or the lease is lost. The result of the delivery will not be
   * taken then.
   */
  readonly signal: AbortSignal;
}

/**
 * Works the jobs that the queue's consumer claims, in the Worker that embeds the service. Only
 * `handleJob` is required; the service calls the other methods where the handler has them. A
 * handler in another Worker is a {@link BoundJobHandler}.
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
   * Works one job. Its lease is renewed meanwhile. If it throws, or its Worker dies, that counts as
   * `failed` with `retry`. While the Worker of a bound handler cannot be reached, jobs wait for it
   * and lose no attempt. The same attempt is never given twice, but a later attempt may start while
   * an earlier one still runs somewhere: settle through the connection, which is fenced by the
   * attempt. Its time is 14 minutes by default.
   */
  handleJob(job: DequeueResult, context: HandlerContext): Promise<JobOutcome>;
  /**
   * There are PENDING runs: claim them. Called again within a minute while runs are PENDING. Its
   * time is that of `handleJob`. Without this method, runs wait for a worker that claims them.
   */
  claimRuns?(context: HandlerContext): Promise<void>;
  /**
   * A job has failed for good: it has no attempt left, or its handler asked for no retry. End the
   * stage and the run here, or enqueue another job. Called at least once, and again after pauses
   * that grow from a minute to an hour, until the job has left nothing open: its run is finished,
   * its stage has a later job, or its stage is done and something else moves the run on. It has a
   * minute; a call that takes longer or throws comes again. Without this method, the service ends
   * the stage and its run as FAILED, with the job's error.
   */
  jobFailed?(job: FailedDelivery, context: HandlerContext): Promise<void>;
  /**
   * Publishes outbox events, each run's in order, and answers the ids of those that are published.
   * Of each run, the first event that is missing from the answer has failed once; after ten
   * failures it goes to the DLQ. If the method throws, it is called again with fewer events until
   * the one at which it throws is found; so it may get events a second time that it had published
   * before it threw. It has a minute. Without this method, events wait for a client that polls
   * them.
   */
  publishEvents?(events: OutboxRecord[]): Promise<string[]>;
}

/**
 * A {@link JobHandler} in another Worker, bound as `HANDLER`: the same methods, of a named
 * entrypoint, without a context. Connections do not travel between Workers, so it opens its own,
 * and adopts the job there, for the fence.
 * @example
 * import { WorkerEntrypoint } from "cloudflare:workers";
 * import { connect, type WorkflowEngineBinding } from "workflow-engine-cloudflare/client";
 *
 * export class Jobs
 *   extends WorkerEntrypoint<{ WORKFLOWS: WorkflowEngineBinding }>
 *   implements BoundJobHandler
 * {
 *   async handleJob(job: DequeueResult): Promise<JobOutcome> {
 *     const { jobs } = connect(this.env.WORKFLOWS);
 *     jobs.adopt(job);
 *     await jobs.complete(job.jobId);
 *     return { status: "settled" };
 *   }
 * }
 */
export interface BoundJobHandler {
  handleJob(job: DequeueResult): Promise<JobOutcome>;
  claimRuns?(): Promise<void>;
  jobFailed?(job: FailedDelivery): Promise<void>;
  publishEvents?(events: OutboxRecord[]): Promise<string[]>;
}
