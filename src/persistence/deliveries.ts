/**
 * Deliveries: the jobs that a worker has claimed, with the attempt of each. What the contract's queue
 * (`jobs.ts`) and the consumer's (`queue/consumer-jobs.ts`) are written over.
 */
import type { Change, RetryBackoff } from "../changes/index.ts";
import {
  CLAIM_JOBS_MAX,
  encodeFreeText,
  encodeInstant,
  JOB_ERROR_BYTES_MAX,
  type JobRow,
  TRANSACTION_CHANGES_MAX,
  unpolledAt,
} from "../model/index.ts";
import { ServiceError, type SettledJob } from "../contract/index.ts";
import { asManyAsFit } from "./as-many-as-fit.ts";
import type { AutoCommit } from "./auto-commit.ts";
import { checkedChanges, invalid } from "./encode.ts";
import { idOf, isJobId, requireKey } from "./job-keys.ts";
import { type LateResult, recordLateResults } from "./late-results.ts";
import { drawBackoff, type RetryOptions, retryOptions } from "./retry.ts";
import { outcomeOf, type Settling, UNKNOWN, type Unwritten } from "./settling.ts";

/** Deliveries that a connection remembers. Usually a connection lives for one request. */
const DELIVERIES_MAX = 10_000;

/** The unit that acts at once. */
export type DirectUnit = Pick<AutoCommit, "now" | "ordinal" | "read" | "write">;

/** Whose deliveries these are. */
export interface DeliveriesOptions {
  readonly direct: DirectUnit;
  readonly workerId: string | null;
  readonly retry?: RetryOptions | undefined;
}

/** A job at an instant, and the attempt that the worker has of it. */
interface Fenced {
  readonly jobId: string;
  readonly attempt: number | undefined;
  readonly at: number;
}

/** The jobs of a claim. `cut`: fewer than asked for, since their rows are large; more may be due. */
interface Claimed {
  readonly rows: readonly JobRow[];
  readonly cut: boolean;
}

/** The change that an outcome asks for. */
type ChangeAt = (
  at: number,
  attempt?: number,
) => Extract<Change, { kind: "completeJob" | "suspendJob" | "failJob" }>;

export class Deliveries {
  readonly retry: Required<RetryOptions>;
  readonly #direct: DirectUnit;
  readonly #workerId: string | null;
  /** The attempt of each job that was given out here. That one may be settled, and no later one. */
  readonly #attempts = new Map<string, number>();

  constructor({ direct, workerId, retry }: DeliveriesOptions) {
    this.retry = retryOptions(retry);
    this.#direct = direct;
    this.#workerId = workerId;
  }

  /** Claims up to `count` jobs. `first` are changes that come before the claim, in its commit. */
  async claim(
    method: string,
    count: number,
    first: (at: number) => readonly Change[] = () => [],
  ): Promise<Claimed> {
    if (!Number.isInteger(count) || count < 1 || count > CLAIM_JOBS_MAX) {
      throw invalid(`${method}: count must be a whole number from 1 to ${CLAIM_JOBS_MAX}`, {
        field: "count",
        limit: CLAIM_JOBS_MAX,
      });
    }
    const at = await this.#direct.now();
    const claim = { kind: "claimJobs", workerId: this.#workerId, at } as const;
    const claimed = await asManyAsFit(count, async (limit) => {
      const written = await this.#direct.write({
        changes: [...first(at), ...checkedChanges(method, [{ ...claim, limit }])],
        reads: (commitId) => [{ q: "claimedJobs", since: at, commitId }],
      });
      const rows = written.applied ? written.results[0] : [];
      return { rows, cut: limit < count && rows.length === limit };
    });
    for (const row of claimed.rows) this.remember(idOf(row), row.attempt);
    return claimed;
  }

  remember(jobId: string, attempt: number): void {
    this.#attempts.delete(jobId);
    this.#attempts.set(jobId, attempt);
    if (this.#attempts.size > DELIVERIES_MAX) {
      const [oldest] = this.#attempts.keys();
      if (oldest !== undefined) this.#attempts.delete(oldest);
    }
  }

  attemptOf(jobId: string): number | undefined {
    return this.#attempts.get(jobId);
  }

  /**
   * The change that an outcome asks for. A faulty outcome is refused here, before anything is
   * written.
   */
  settlement(method: string, { jobId, outcome, died = false }: Settling): ChangeAt {
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
          outcome.retry === false ? null : drawBackoff(this.retry, died);
        return (at, attempt) => ({ kind: "failJob", ...key, attempt, error, died, retry, at });
      }
    }
  }

  /**
   * Settles each job for itself, all in one round trip, and outside any transaction. If a late result
   * cannot be recorded, `forgiven` gets the error; without it the error is thrown, and a repeated call
   * records the result.
   */
  async settleAtOnce(
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
    const changes = known.map((settling) => this.settlement("completeMany", settling));
    const attempts = this.#attemptsOf(settlings.map(({ jobId }) => jobId));
    const unwritten = await this.writeEach(
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

  /** Keeps what the attempt wanted to record, although `owner` has the job by now. */
  async recordLate(settling: Settling, attempt: number, owner: number): Promise<void> {
    await recordLateResults(this.#direct, [this.#lateResult(settling, attempt, owner)]);
  }

  /**
   * One fenced change for each job, in one commit. Answers the jobs that it did not write, as they
   * are.
   */
  async writeEach(
    jobIds: readonly string[],
    changeOf: (fenced: Fenced, index: number) => Change | undefined,
  ): Promise<Map<string, Unwritten>> {
    if (jobIds.length === 0) return new Map();
    const keys = jobIds.map((jobId) => requireKey("completeMany", jobId));
    const attempts = this.#attemptsOf(jobIds);
    const at = await this.#direct.now();
    const written = await this.#direct.write({
      changes: jobIds.flatMap(
        (jobId, index) => changeOf({ jobId, attempt: attempts.get(jobId), at }, index) ?? [],
      ),
      reads: (commitId) => [{ q: "unwrittenJobs", keys, commitId }],
    });
    if (!written.applied) throw new ServiceError("INTERNAL", "A commit without guards was refused");
    return new Map(written.results[0].map((job) => [idOf(job), job]));
  }

  /**
   * The attempts that the worker has of these jobs at this moment. While a call is under way it may
   * be given others.
   */
  #attemptsOf(jobIds: readonly string[]): Map<string, number | undefined> {
    return new Map(jobIds.map((jobId) => [jobId, this.#attempts.get(jobId)]));
  }

  #lateResult({ jobId, outcome }: Settling, attempt: number, owner: number): LateResult {
    return { ...requireKey("settle", jobId), attempt, owner, outcome, workerId: this.#workerId };
  }
}
