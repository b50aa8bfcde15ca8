/** The job queue, over a unit of work. */
import { type Change, type Guard, type RetryBackoff } from "../changes/index.ts";
import {
  CLAIM_JOBS_MAX,
  encodeFreeText,
  encodeInstant,
  JOB_ERROR_BYTES_MAX,
  JOB_STATS_FAILED_MS,
  type JobRow,
  RESUME_JOBS_MAX,
  STALE_LEASE_MS_DEFAULT,
  toDelivery,
  toJobRecord,
  TRANSACTION_CHANGES_MAX,
  UNDELIVERED_CAP_MS,
  unpolledAt,
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
import { isTerminal } from "../model/status.ts";
import { asManyAsFit } from "./as-many-as-fit.ts";
import { enqueueJobs, enqueueWhile, type GuardedJobs } from "./enqueue.ts";
import { checkedChanges, checkedQuery, invalid, requireList, requireObject } from "./encode.ts";
import { idOf, isJobId, jobNotFound, requireKey } from "./job-keys.ts";
import { ownMethods } from "./own-methods.ts";
import { type LateResult, recordLateResults } from "./late-results.ts";
import { drawBackoff, type RetryOptions, retryOptions } from "./retry.ts";
import { outcomeOf, type Settling, UNKNOWN, type Unwritten } from "./settling.ts";
import { releaseStaleJobs } from "./stale-jobs.ts";
import { suspendedJobsDue } from "./suspended-jobs.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** Deliveries that a connection remembers. Usually a connection lives for one request. */
const DELIVERIES_MAX = 10_000;

/** What the queue acts through. */
export interface JobsOptions {
  /** The unit that acts at once. */
  readonly direct: UnitOfWork;
  /** The transaction whose callback is running, or else the unit that acts at once. */
  readonly current: () => UnitOfWork;
  /**
   * Tells the transaction whose callback is running, if there is one, that a job was just dequeued.
   */
  readonly claimed: (row: JobRow) => void;
  readonly workerId: string | null;
  readonly retry?: RetryOptions | undefined;
}

/**
 * Jobs of a claim. `suspects`: the ids of those whose last worker died. `cut`: fewer were taken than
 * asked for, since their rows are large; more may be due.
 */
interface Claimed {
  readonly jobs: DequeueResult[];
  readonly suspects: readonly string[];
  readonly cut: boolean;
}

/** A job at an instant, and the attempt that the connection has of it. */
interface Fenced {
  readonly jobId: string;
  readonly attempt: number | undefined;
  readonly at: number;
}

export class Jobs implements ExtendedJobQueue {
  readonly #direct: UnitOfWork;
  readonly #current: () => UnitOfWork;
  readonly #workerId: string | null;
  readonly #claimed: (row: JobRow) => void;
  readonly #retry: Required<RetryOptions>;
  /**
   * The attempt of each job that this connection was given. It may settle that attempt, and no
   * later one.
   */
  readonly #deliveries = new Map<string, number>();

  constructor({ direct, current, claimed, workerId, retry }: JobsOptions) {
    ownMethods(this);
    this.#retry = retryOptions(retry);
    this.#direct = direct;
    this.#current = current;
    this.#workerId = workerId;
    this.#claimed = claimed;
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

  /**
   * Adds all jobs at once if all guards hold, and none otherwise. Answers the place of the guard
   * that does not hold, or null.
   */
  async enqueueWhile(guarded: GuardedJobs): Promise<number | null> {
    return enqueueWhile(this.#direct, guarded);
  }

  async dequeue(): Promise<DequeueResult | null> {
    const { jobs } = await this.#claim("dequeue", 1, false);
    return jobs[0] ?? null;
  }

  async dequeueMany(count: number): Promise<DequeueResult[]> {
    return (await this.#claim("dequeueMany", count, false)).jobs;
  }

  /**
   * As dequeueMany, and suspended jobs whose instant has come count as due: they are given out as
   * further attempts.
   */
  async resumeAndDequeue(count: number): Promise<Claimed> {
    return this.#claim("resumeAndDequeue", count, true);
  }

  async #claim(method: string, count: number, resume: boolean): Promise<Claimed> {
    if (!Number.isInteger(count) || count < 1 || count > CLAIM_JOBS_MAX) {
      throw invalid(`${method}: count must be a whole number from 1 to ${CLAIM_JOBS_MAX}`, {
        field: "count",
        limit: CLAIM_JOBS_MAX,
      });
    }
    const at = await this.#direct.now();
    const claim = { kind: "claimJobs", workerId: this.#workerId, at } as const;
    const resumption = { kind: "resumeJobs", limit: RESUME_JOBS_MAX, at } as const;
    const { rows, cut } = await asManyAsFit(count, async (limit) => {
      const changes = [...(resume ? [resumption] : []), { ...claim, limit }];
      const reads = (commitId: string) => [{ q: "claimedJobs", since: at, commitId }] as const;
      const written = await this.#direct.write({ changes: checkedChanges(method, changes), reads });
      const claimed = written.applied ? written.results[0] : [];
      return { rows: claimed, cut: limit < count && claimed.length === limit };
    });
    for (const row of rows) {
      this.#remember(idOf(row), row.attempt);
      this.#claimed(row);
    }
    const suspects = rows.filter(({ unanswered }) => unanswered > 0).map(idOf);
    return { jobs: rows.map(toDelivery), suspects, cut };
  }

  adopt(delivery: Pick<DequeueResult, "jobId" | "attempt">): void {
    const { jobId, attempt } = requireObject("adopt", delivery);
    requireKey("adopt", jobId);
    if (!Number.isInteger(attempt) || attempt < 0) {
      throw invalid("adopt: attempt must be a whole number", { field: "attempt" });
    }
    this.#remember(jobId, attempt);
  }

  #remember(jobId: string, attempt: number): void {
    this.#deliveries.delete(jobId);
    this.#deliveries.set(jobId, attempt);
    if (this.#deliveries.size > DELIVERIES_MAX) {
      const [oldest] = this.#deliveries.keys();
      if (oldest !== undefined) this.#deliveries.delete(oldest);
    }
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
    const change = this.#settlement(method, settling);
    try {
      await this.#write(method, jobId, change);
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === "LEASE_LOST")) throw error;
      // The attempt as it was when the call began: the same connection may have been given the job
      // again since then.
      const { attempt, actual } = error.details;
      // If the late result cannot be recorded, that error is thrown instead. A repeated call comes
      // here again, so nothing is lost.
      const result = this.#lateResult(settling, Number(attempt), Number(actual));
      await recordLateResults(this.#direct, [result]);
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
      if (!(error instanceof ServiceError && error.code === "NOT_FOUND")) throw error;
    }
  }

  /**
   * The change that an outcome asks for. A faulty outcome is refused here, before anything is
   * written.
   */
  #settlement(
    method: string,
    { jobId, outcome, died = false }: Settling,
  ): (at: number, attempt?: number) => Change {
    const key = requireKey(method, jobId);
    switch (outcome.status) {
      case "completed":
        return (at, attempt) => ({ kind: "completeJob", ...key, attempt, at });
      case "suspended": {
        const nextPollAt = encodeInstant(outcome.until, "nextPollAt");
        // A job that a handler suspends is resumed by the service. One that the contract's
        // `suspend` suspends is left to the engine, which polls.
        const resumeAt = method === "suspend" ? unpolledAt(nextPollAt) : nextPollAt;
        return (at, attempt) => ({ kind: "suspendJob", ...key, attempt, nextPollAt, resumeAt, at });
      }
      case "failed": {
        const error = encodeFreeText(outcome.error, "error", JOB_ERROR_BYTES_MAX);
        const retry: RetryBackoff | null =
          outcome.retry === false ? null : drawBackoff(this.#retry, died);
        return (at, attempt) => ({ kind: "failJob", ...key, attempt, error, died, retry, at });
      }
    }
  }

  /**
   * Writes one change of one job, in the transaction if there is one. Refused when a later attempt
   * owns the job.
   */
  async #write(method: string, jobId: string, changeOf: (at: number) => Change): Promise<void> {
    const key = requireKey(method, jobId);
    const attempt = this.#deliveries.get(jobId);
    const guard: Guard = {
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
    const settled =
      this.#current() === this.#direct
        ? await this.#settleAtOnce(settlings)
        : await this.#settleEach(settlings);
    const byId = new Map(settled.map((job) => [job.jobId, job]));
    return jobIds.flatMap((jobId) => byId.get(jobId) ?? []);
  }

  /**
   * Settles each job for itself, all in one round trip, and outside any transaction. A late result
   * that cannot be recorded is only logged.
   */
  async settleMany(settlings: readonly Settling[]): Promise<SettledJob[]> {
    return this.#settleAtOnce(settlings, (error) => {
      console.warn("wfe-late-result-not-recorded", error);
    });
  }

  /**
   * If a late result cannot be recorded, `forgiven` gets the error; without it the error is thrown,
   * and a repeated call records the result.
   */
  async #settleAtOnce(
    settlings: readonly Settling[],
    forgiven?: (error: unknown) => void,
  ): Promise<SettledJob[]> {
    if (settlings.length === 0) return [];
    if (settlings.length > TRANSACTION_CHANGES_MAX) {
      throw invalid(`At most ${TRANSACTION_CHANGES_MAX} jobs are settled at once`, {
        field: "jobIds",
        limit: TRANSACTION_CHANGES_MAX,
      });
    }
    const known = settlings.filter(({ jobId }) => isJobId("completeMany", jobId));
    const changes = known.map((settling) => this.#settlement("completeMany", settling));
    const attempts = this.#attemptsOf(settlings.map(({ jobId }) => jobId));
    const unwritten = await this.#writeEach(
      known.map(({ jobId }) => jobId),
      ({ attempt, at }, index) => changes[index]?.(at, attempt),
    );
    for (const { jobId } of settlings) {
      if (!isJobId("completeMany", jobId)) unwritten.set(jobId, UNKNOWN);
    }
    const settled = settlings.map(({ jobId }) => ({
      jobId,
      outcome: outcomeOf(unwritten.get(jobId), attempts.get(jobId)),
    }));
    const late = settlings.filter((_, index) => settled[index]?.outcome === "lease-lost");
    const results = late.map((settling) => {
      const { jobId } = settling;
      const owner = unwritten.get(jobId)?.attempt ?? 0;
      return this.#lateResult(settling, attempts.get(jobId) ?? 0, owner);
    });
    try {
      await recordLateResults(this.#direct, results);
    } catch (error) {
      if (forgiven === undefined) throw error;
      forgiven(error);
    }
    return settled;
  }

  /** One after the other, in the transaction: each may be refused without the others. */
  async #settleEach(settlings: readonly Settling[]): Promise<SettledJob[]> {
    const settled: SettledJob[] = [];
    for (const settling of settlings) {
      settled.push({ jobId: settling.jobId, outcome: await this.#settleOne(settling) });
    }
    return settled;
  }

  async #settleOne(settling: Settling): Promise<SettledJob["outcome"]> {
    try {
      const over = await this.#isOver(settling.jobId);
      await this.#settle("completeMany", settling);
      return over ? "over" : "settled";
    } catch (error) {
      const code = error instanceof ServiceError ? error.code : null;
      if (code === "LEASE_LOST") return "lease-lost";
      if (code === "NOT_FOUND") return "not-found";
      throw error;
    }
  }

  async #isOver(jobId: string): Promise<boolean> {
    const unit = this.#current();
    const query = { q: "job", ...requireKey("completeMany", jobId) } as const;
    const [job] = await unit.call(() => unit.read([query]));
    return job !== null && isTerminal(job);
  }

  /** Renews the leases of these jobs in one round trip. Answers those whose lease is lost. */
  async touchMany(jobIds: readonly string[]): Promise<string[]> {
    if (jobIds.length === 0) return [];
    const unwritten = await this.#writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "touchJob",
      ...requireKey("touchMany", jobId),
      ...fence,
    }));
    return jobIds.filter((jobId) => unwritten.has(jobId));
  }

  /** Those of the jobs whose lease this connection has lost: settled, cancelled, or given to others. */
  async lostAmong(jobIds: readonly string[]): Promise<string[]> {
    if (jobIds.length === 0) return [];
    const keys = jobIds.map((jobId) => requireKey("lostAmong", jobId));
    const [states] = await this.#direct.read([
      { q: "jobStates", keys, now: await this.#direct.now() },
    ]);
    const leased = new Set(
      states
        .filter(({ status }) => status === "RUNNING")
        .map((state) => `${idOf(state)}\0${state.attempt}`),
    );
    return jobIds.filter((jobId) => !leased.has(`${jobId}\0${this.#deliveries.get(jobId) ?? 0}`));
  }

  /**
   * Gives back deliveries that did not reach their handler, in one round trip. They count as no
   * attempt, and the jobs come again after pauses that grow. Answers how many were given back; the
   * others have ended, or a later attempt owns them.
   */
  async giveBackMany(jobIds: readonly string[], reason: string): Promise<number> {
    const error = encodeFreeText(reason, "error", JOB_ERROR_BYTES_MAX);
    const capMs = Math.min(this.#retry.capMs, UNDELIVERED_CAP_MS);
    const unwritten = await this.#writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "returnJob",
      ...requireKey("giveBackMany", jobId),
      ...fence,
      error,
      retry: drawBackoff({ ...this.#retry, capMs }),
    }));
    return jobIds.length - unwritten.size;
  }

  /** As giveBackMany, of jobs that this worker has not begun: they are ready again. */
  async unclaimMany(jobIds: readonly string[]): Promise<number> {
    const unwritten = await this.#writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "unclaimJob",
      ...requireKey("unclaimMany", jobId),
      ...fence,
    }));
    return jobIds.length - unwritten.size;
  }

  /**
   * The attempts that the connection has of these jobs at this moment. While a call is under way it
   * may be given others.
   */
  #attemptsOf(jobIds: readonly string[]): Map<string, number | undefined> {
    return new Map(jobIds.map((jobId) => [jobId, this.#deliveries.get(jobId)]));
  }

  /**
   * One fenced change for each job, in one commit. Answers the jobs that it did not write, as they
   * are.
   */
  async #writeEach(
    jobIds: readonly string[],
    changeOf: (fenced: Fenced, index: number) => Change | undefined,
  ): Promise<Map<string, Unwritten>> {
    if (jobIds.length === 0) return new Map();
    const keys = jobIds.map((jobId) => requireKey("completeMany", jobId));
    const attempts = this.#attemptsOf(jobIds);
    const at = await this.#direct.now();
    const written = await this.#direct.write({
      changes: checkedChanges(
        "completeMany",
        jobIds.flatMap(
          (jobId, index) => changeOf({ jobId, attempt: attempts.get(jobId), at }, index) ?? [],
        ),
      ),
      reads: (commitId) => [{ q: "unwrittenJobs", keys, commitId }],
    });
    if (!written.applied) throw new ServiceError("INTERNAL", "A commit without guards was refused");
    return new Map(written.results[0].map((job) => [idOf(job), job]));
  }

  #lateResult({ jobId, outcome }: Settling, attempt: number, owner: number): LateResult {
    return { ...requireKey("settle", jobId), attempt, owner, outcome, workerId: this.#workerId };
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
    return this.releaseStalePages(staleThresholdMs, Number.POSITIVE_INFINITY);
  }

  /** As releaseStaleJobs, in at most `pagesMax` commits of 100 jobs. */
  async releaseStalePages(staleThresholdMs: number, pagesMax: number): Promise<number> {
    return releaseStaleJobs(this.#direct, staleThresholdMs, pagesMax);
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
