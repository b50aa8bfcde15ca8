/**
 * Renews the leases of the jobs that are being worked, all in one commit, and aborts the signal of
 * a job whose lease is lost.
 */
import type { DequeueResult } from "../contract/index.ts";
import { isStageJob } from "../model/index.ts";
import type { ConsumerJobs } from "./consumer-jobs.ts";

/**
 * A worker learns within this time that its job was cancelled. To look costs no row written, so it may
 * be often.
 */
const CHECK_MS = 10_000;

/** The reasons of a signal that is aborted. */
export const RUN_ENDED = "The run has ended";
export const LEASE_LOST = "The lease is lost: the job was cancelled, or a later attempt owns it";

/** `ofRun`: the run with whose end the signal is aborted. */
interface Held {
  readonly controller: AbortController;
  readonly ofRun: string | null;
}

export class LeaseKeeper {
  readonly #jobs: ConsumerJobs;
  readonly #held = new Map<string, Held>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #intervalMs: number;
  #renewedAt = Date.now();
  #renewing: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(jobs: ConsumerJobs, intervalMs: number) {
    this.#jobs = jobs;
    this.#intervalMs = intervalMs;
    this.#timer = setInterval(
      () => {
        // A renewal that D1 delays beyond the interval is not followed by a second one.
        if (!this.#busy) this.#renewing = this.#keep();
      },
      Math.min(intervalMs, CHECK_MS),
    );
  }

  /**
   * Keeps the job's lease until it is released. The signal is aborted when the lease is lost, and that of a
   * stage also when its run ends; its job keeps the lease then.
   */
  hold({ jobId, workflowRunId, payload }: DequeueResult): AbortSignal {
    const controller = new AbortController();
    const ofRun = isStageJob(payload) ? workflowRunId : null;
    this.#held.set(jobId, { controller, ofRun });
    return controller.signal;
  }

  /**
   * Stops renewing the lease. With a reason the job's signal is aborted, so that a handler that is
   * still at work learns of it.
   */
  release(jobId: string, reason?: string): void {
    const held = this.#held.get(jobId);
    this.#held.delete(jobId);
    if (reason !== undefined) held?.controller.abort(new Error(reason));
  }

  /** Renews nothing any more. Resolves when no renewal is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
  }

  /** Renews the leases where it is time, and otherwise only looks whether they are still there. */
  async #keep(): Promise<void> {
    this.#busy = true;
    const jobIds = [...this.#held.keys()];
    // Timers are not exact: half a tick early is in time.
    const early = Math.min(this.#intervalMs, CHECK_MS) / 2;
    const renews = Date.now() - this.#renewedAt >= this.#intervalMs - early;
    if (renews) this.#renewedAt = Date.now();
    try {
      const lost = renews ? this.#jobs.touchMany(jobIds) : this.#jobs.lostAmong(jobIds);
      for (const jobId of await lost) {
        // A job that was released meanwhile is settled, and no longer held.
        this.release(jobId, LEASE_LOST);
      }
      await this.#abortEnded();
    } catch (error) {
      // The leases last for several intervals. If renewals keep failing, the leases expire, and the
      // jobs are delivered again.
      console.warn("wfe-heartbeat-failed", jobIds.length, error);
    } finally {
      this.#busy = false;
    }
  }

  /** A caller may have ended a run without its jobs. */
  async #abortEnded(): Promise<void> {
    const ofRuns = [...this.#held.values()].flatMap(({ ofRun }) => ofRun ?? []);
    const ended = new Set(await this.#jobs.endedAmong([...new Set(ofRuns)]));
    for (const { controller, ofRun } of this.#held.values()) {
      if (ofRun !== null && ended.has(ofRun)) controller.abort(new Error(RUN_ENDED));
    }
  }
}
