/** What the consumer does with jobs, beyond what the contract's queue offers. */
import {
  encodeFreeText,
  JOB_ERROR_BYTES_MAX,
  RESUME_JOBS_MAX,
  toDelivery,
  UNDELIVERED_CAP_MS,
} from "../model/index.ts";
import type { DequeueResult, SettledJob } from "../contract/index.ts";
import { Deliveries, type DeliveriesOptions, type DirectUnit } from "../persistence/deliveries.ts";
import { idOf, requireKey } from "../persistence/job-keys.ts";
import { isLive } from "../model/status.ts";
import { drawBackoff } from "../persistence/retry.ts";
import type { Settling } from "../persistence/settling.ts";

/**
 * Jobs of a claim. `suspects`: the ids of those whose last worker died. `cut`: fewer were taken than
 * asked for, since their rows are large; more may be due.
 */
export interface ClaimedJobs {
  readonly jobs: DequeueResult[];
  readonly suspects: readonly string[];
  readonly cut: boolean;
}

export class ConsumerJobs {
  readonly #direct: DirectUnit;
  readonly #deliveries: Deliveries;

  constructor(options: DeliveriesOptions) {
    this.#direct = options.direct;
    this.#deliveries = new Deliveries(options);
  }

  /**
   * As dequeueMany, and suspended jobs whose instant has come count as due: they are given out as
   * further attempts.
   */
  async resumeAndDequeue(count: number): Promise<ClaimedJobs> {
    const { rows, cut } = await this.#deliveries.claim("resumeAndDequeue", count, (at) => [
      { kind: "resumeJobs", limit: RESUME_JOBS_MAX, at },
    ]);
    const suspects = rows.filter(({ unanswered }) => unanswered > 0).map(idOf);
    return { jobs: rows.map(toDelivery), suspects, cut };
  }

  /**
   * Settles each job for itself, all in one round trip, and outside any transaction. A late result
   * that cannot be recorded is only logged.
   */
  async settleMany(settlings: readonly Settling[]): Promise<SettledJob[]> {
    return this.#deliveries.settleAtOnce(settlings, (error) => {
      console.warn("wfe-late-result-not-recorded", error);
    });
  }

  /** Renews the leases of these jobs in one round trip. Answers those whose lease is lost. */
  async touchMany(jobIds: readonly string[]): Promise<string[]> {
    if (jobIds.length === 0) return [];
    const unwritten = await this.#deliveries.writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "touchJob",
      ...requireKey("touchMany", jobId),
      ...fence,
    }));
    return jobIds.filter((jobId) => unwritten.has(jobId));
  }

  /** Those of the jobs whose lease was lost: settled, cancelled, or given to others. */
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
    return jobIds.filter(
      (jobId) => !leased.has(`${jobId}\0${this.#deliveries.attemptOf(jobId) ?? 0}`),
    );
  }

  /** Those of the runs that have ended, or are not there any more. */
  async endedAmong(runIds: readonly string[]): Promise<string[]> {
    if (runIds.length === 0) return [];
    const statuses = await this.#direct.read(runIds.map((id) => ({ q: "runStatus", id }) as const));
    return runIds.filter((_, at) => {
      const status = statuses[at] ?? null;
      return status === null || !isLive({ status });
    });
  }

  /**
   * Gives back deliveries that did not reach their handler, in one round trip. They count as no
   * attempt, and the jobs come again after pauses that grow. Answers how many were given back; the
   * others have ended, or a later attempt owns them.
   */
  async giveBackMany(jobIds: readonly string[], reason: string): Promise<number> {
    const error = encodeFreeText(reason, "error", JOB_ERROR_BYTES_MAX);
    const { retry } = this.#deliveries;
    const capMs = Math.min(retry.capMs, UNDELIVERED_CAP_MS);
    const unwritten = await this.#deliveries.writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "returnJob",
      ...requireKey("giveBackMany", jobId),
      ...fence,
      error,
      retry: drawBackoff({ ...retry, capMs }),
    }));
    return jobIds.length - unwritten.size;
  }

  /** As giveBackMany, of jobs that this worker has not begun: they are ready again. */
  async unclaimMany(jobIds: readonly string[]): Promise<number> {
    const unwritten = await this.#deliveries.writeEach(jobIds, ({ jobId, ...fence }) => ({
      kind: "unclaimJob",
      ...requireKey("unclaimMany", jobId),
      ...fence,
    }));
    return jobIds.length - unwritten.size;
  }
}
