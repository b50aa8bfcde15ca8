/** The job queue, over a unit of work. */
import type { CallerChange, RowGuard } from "../changes/index.ts";
import {
  JOB_STATS_FAILED_MS,
  type JobRow,
  STALE_LEASE_MS_DEFAULT,
  toDelivery,
  toJobRecord,
} from "../model/index.ts";
import {
  type DequeueResult,
  type EnqueueJobInput,
  type ExtendedJobQueue,
  type JobRecord,
  type JobStats,
  ServiceError,
  type SettledJob,
} from "../contract/index.ts";
import type { AutoCommit } from "./auto-commit.ts";
import { Deliveries, type DeliveriesOptions } from "./deliveries.ts";
import { enqueueJobs } from "./enqueue.ts";
import { checkedChanges, checkedQuery, invalid, requireList, requireObject } from "./encode.ts";
import { hasCode } from "./faults.ts";
import { jobNotFound, requireKey } from "./job-keys.ts";
import { ownMethods } from "./own-methods.ts";
import type { Settling } from "./settling.ts";
import { releaseStaleJobs } from "./stale-jobs.ts";
import { suspendedJobsDue } from "./suspended-jobs.ts";
import type { JoiningJobs } from "./transaction/joining-jobs.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** What the queue acts through. */
export interface JobsOptions extends DeliveriesOptions {
  /** The unit that acts at once. */
  readonly direct: AutoCommit;
  /** The transaction whose callback is running, or else the unit that acts at once. */
  readonly current: () => UnitOfWork;
  /**
   * Tells the transaction whose callback is running, if there is one, that a job was just dequeued.
   */
  readonly claimed: (row: JobRow) => void;
  /** Null: `current` never is a transaction. */
  readonly joining: JoiningJobs | null;
}

export class Jobs implements ExtendedJobQueue {
  readonly #direct: AutoCommit;
  readonly #current: () => UnitOfWork;
  readonly #claimed: (row: JobRow) => void;
  readonly #joining: JoiningJobs | null;
  readonly #deliveries: Deliveries;

  constructor(options: JobsOptions) {
    ownMethods(this);
    this.#direct = options.direct;
    this.#current = options.current;
    this.#claimed = options.claimed;
    this.#joining = options.joining;
    this.#deliveries = new Deliveries(options);
  }

  async enqueue(options: EnqueueJobInput): Promise<string> {
    const [id] = await this.#enqueue("enqueue", [options]);
    return id ?? "";
  }

  async enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]> {
    return requireList("enqueueParallel", jobs).length === 0
      ? []
      : this.#enqueue("enqueueParallel", jobs);
  }

  async #enqueue(method: string, jobs: readonly EnqueueJobInput[]): Promise<string[]> {
    const unit = this.#current();
    return unit.call(() => enqueueJobs(unit, method, jobs));
  }

  async dequeue(): Promise<DequeueResult | null> {
    const [job] = await this.#claim("dequeue", 1);
    return job ?? null;
  }

  async dequeueMany(count: number): Promise<DequeueResult[]> {
    return this.#claim("dequeueMany", count);
  }

  async #claim(method: string, count: number): Promise<DequeueResult[]> {
    const { rows } = await this.#deliveries.claim(method, count);
    for (const row of rows) this.#claimed(row);
    return rows.map(toDelivery);
  }

  adopt(delivery: Pick<DequeueResult, "jobId" | "attempt">): void {
    const { jobId, attempt } = requireObject("adopt", delivery);
    requireKey("adopt", jobId);
    if (!Number.isSafeInteger(attempt) || attempt < 0) {
      throw invalid("adopt: attempt must be a whole number", { field: "attempt" });
    }
    this.#deliveries.remember(jobId, attempt);
  }

  async complete(jobId: string): Promise<void> {
    await this.#settle("complete", { jobId, outcome: { status: "completed" } });
  }

  async suspend(jobId: string, nextPollAt: Date): Promise<void> {
    await this.#settle("suspend", { jobId, outcome: { status: "suspended", until: nextPollAt } });
  }

  async fail(jobId: string, error: string, shouldRetry = false): Promise<void> {
    const outcome = { status: "failed", error, retry: shouldRetry } as const;
    await this.#settle("fail", { jobId, outcome });
  }

  async #settle(method: string, settling: Settling): Promise<void> {
    const { jobId } = settling;
    const change = this.#deliveries.settlement(method, settling);
    try {
      await this.#write(method, jobId, change);
    } catch (error) {
      if (!hasCode(error, "LEASE_LOST")) throw error;
      // The attempt as it was when the call began: the same connection may have been given the job
      // again since then.
      const { attempt, actual } = error.details;
      // If the late result cannot be recorded, that error is thrown instead. A repeated call comes
      // here again, so nothing is lost.
      await this.#deliveries.recordLate(settling, Number(attempt), Number(actual));
      throw error;
    }
  }

  async touchJob(jobId: string): Promise<void> {
    try {
      const key = requireKey("touchJob", jobId);
      await this.#write("touchJob", jobId, (at) => ({ kind: "touchJob", ...key, at }));
    } catch (error) {
      // A heartbeat for a job that does not exist is as silent as one for a job that is not
      // running.
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  /**
   * Writes one change of one job, in the transaction if there is one. Refused when a later attempt
   * owns the job.
   */
  async #write(
    method: string,
    jobId: string,
    changeOf: (at: number) => CallerChange,
  ): Promise<void> {
    const key = requireKey(method, jobId);
    const attempt = this.#deliveries.attemptOf(jobId);
    const guard: RowGuard = {
      on: "job",
      ...key,
      expect: attempt === undefined ? { is: "present" } : { is: "attempt", attempt },
    };
    const unit = this.#current();
    const written = await unit.call(async () => {
      const changes = checkedChanges(method, [changeOf(await unit.now())]);
      return unit.write({ guards: [guard], changes });
    });
    if (written.applied) return;
    if (written.violation.actual === -1) throw jobNotFound(jobId);
    throw new ServiceError(
      "LEASE_LOST",
      `${method}: attempt ${attempt} of job ${jobId} is over, attempt ${written.violation.actual} owns it`,
      { id: jobId, attempt: attempt ?? null, actual: written.violation.actual },
    );
  }

  async completeMany(jobIds: string[]): Promise<SettledJob[]> {
    const settlings = [...new Set(requireList("completeMany", jobIds))].map((jobId) => ({
      jobId,
      outcome: { status: "completed" } as const,
    }));
    const unit = this.#current();
    const settled =
      unit === this.#direct || this.#joining === null
        ? await this.#deliveries.settleAtOnce(settlings)
        : await this.#joining.settleEach(settlings, unit, async (settling) =>
            this.#settle("completeMany", settling),
          );
    const byId = new Map(settled.map((job) => [job.jobId, job]));
    return jobIds.flatMap((jobId) => byId.get(jobId) ?? []);
  }

  async jobStats(): Promise<JobStats> {
    const now = await this.#direct.now();
    const [row] = await this.#direct.read([
      { q: "jobStats", now, failedSince: now - JOB_STATS_FAILED_MS },
    ]);
    const { oldestDueAt, ...counts } = row;
    const oldestDueMs = oldestDueAt === null ? null : Math.max(0, now - oldestDueAt);
    return { ...counts, oldestDueMs };
  }

  async getJobsByWorkflowRun(workflowRunId: string): Promise<JobRecord[]> {
    if (workflowRunId === "") return [];
    const query = checkedQuery("getJobsByWorkflowRun", { q: "jobs", workflowRunId });
    const unit = this.#current();
    const [rows] = await unit.call(() => unit.read([query]));
    return rows.map(toJobRecord);
  }

  async getSuspendedJobsReadyToPoll(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  > {
    return suspendedJobsDue(this.#direct);
  }

  async releaseStaleJobs(staleThresholdMs: number = STALE_LEASE_MS_DEFAULT): Promise<number> {
    return releaseStaleJobs(this.#direct, staleThresholdMs, Number.POSITIVE_INFINITY);
  }

  async cancelByRun(workflowRunId: string): Promise<number> {
    const unit = this.#current();
    const written = await unit.call(async () => {
      const at = await unit.now();
      return unit.write({
        changes: checkedChanges("cancelByRun", [{ kind: "cancelJobs", workflowRunId, at }]),
        reads: (commitId) => [{ q: "cancelledJobs", workflowRunId, commitId }],
      });
    });
    return written.applied ? written.results[0] : 0;
  }
}
