/**
 * Renews the leases of the jobs that are being worked, all in one commit, and aborts the signal of
 * a job whose lease is lost.
 */
import type { ConsumerJobs } from "./consumer-jobs.ts";

/**
 * A worker learns within this time that its job was cancelled. To look costs no row written, so it may
 * be often.
 */
const CHECK_MS = 10_000;

/** The reason of a signal that is aborted for it. */
export const LEASE_LOST = "The lease is lost: the job was cancelled, or a later attempt owns it";

export class LeaseKeeper {
  readonly #jobs: ConsumerJobs;
  readonly #held = new Map<string, AbortController>();
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

  /** Keeps the job's lease until it is released. The signal is aborted when the lease is lost. */
  hold(jobId: string): AbortSignal {
    const controller = new AbortController();
    this.#held.set(jobId, controller);
    return controller.signal;
  }

  /**
   * Stops renewing the lease. With a reason the job's signal is aborted, so that a handler that is
   * still at work learns of it.
   */
  release(jobId: string, reason?: string): void {
    const controller = this.#held.get(jobId);
    this.#held.delete(jobId);
    if (reason !== undefined) controller?.abort(new Error(reason));
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
    } catch (error) {
      // The leases last for several intervals. If renewals keep failing, the leases expire, and the
      // jobs are delivered again.
      console.warn("wfe-heartbeat-failed", jobIds.length, error);
    } finally {
      this.#busy = false;
    }
  }
}
