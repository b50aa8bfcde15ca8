/**
 * Renews the leases of the jobs that are being worked, all in one commit, and aborts the signal of
 * a job whose lease is lost.
 */
import type { Jobs } from "../persistence/jobs.ts";

export class LeaseKeeper {
  readonly #jobs: Jobs;
  readonly #held = new Map<string, AbortController>();
  readonly #timer: ReturnType<typeof setInterval>;
  #renewing: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(jobs: Jobs, intervalMs: number) {
    this.#jobs = jobs;
    this.#timer = setInterval(() => {
      // A renewal that D1 delays beyond the interval is not followed by a second one.
      if (!this.#busy) this.#renewing = this.#renew();
    }, intervalMs);
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

  async #renew(): Promise<void> {
    this.#busy = true;
    const jobIds = [...this.#held.keys()];
    try {
      for (const jobId of await this.#jobs.touchMany(jobIds)) {
        // A job that was released meanwhile is settled, and no longer held.
        this.release(jobId, "The lease is lost: a later attempt owns the job");
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
