/**
 * Settles the jobs of a batch as their handlers finish. Those that finish in the same turns of the
 * event loop share a commit, and so do those that finish while the commit before is under way. So a
 * slow job holds up no other, and a fast batch takes one commit.
 */
import type { ConsumerJobs } from "./consumer-jobs.ts";
import type { Settling } from "../persistence/settling.ts";
import { ServiceError, type SettledJob } from "../contract/index.ts";

interface Waiting {
  readonly settling: Settling;
  readonly done: (settled: SettledJob) => void;
  readonly failed: (error: unknown) => void;
}

export class Settler {
  readonly #jobs: ConsumerJobs;
  /** Jobs of the batch that have not been handed in yet. */
  #outstanding: number;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(jobs: ConsumerJobs, count: number) {
    this.#jobs = jobs;
    this.#outstanding = count;
  }

  /**
   * Resolves when the row holds the result. Rejects if it could not be written: then the lease
   * expires, and the job is delivered again.
   */
  async settle(settling: Settling): Promise<SettledJob> {
    const { promise, resolve, reject } = Promise.withResolvers<SettledJob>();
    this.#waiting.push({ settling, done: resolve, failed: reject });
    this.#outstanding -= 1;
    if (this.#busy) return promise;
    this.#busy = true;
    try {
      await this.#gathered();
      while (this.#waiting.length > 0) {
        await this.#together(this.#waiting.splice(0));
      }
    } finally {
      this.#busy = false;
    }
    return promise;
  }

  /**
   * Resolves when a turn of the event loop has brought no further job: after as many turns as the
   * batch has jobs, at the latest.
   */
  async #gathered(): Promise<void> {
    for (let before = 0; before < this.#waiting.length && this.#outstanding > 0;) {
      before = this.#waiting.length;
      await new Promise((resolve) => {
        setTimeout(resolve, 0);
      });
    }
  }

  async #together(group: readonly Waiting[]): Promise<void> {
    try {
      const settled = await this.#jobs.settleMany(group.map(({ settling }) => settling));
      for (const [index, { done, failed }] of group.entries()) {
        const answer = settled[index];
        if (answer === undefined) failed(new ServiceError("INTERNAL", "A job was not settled"));
        else done(answer);
      }
    } catch (error) {
      for (const { failed } of group) failed(error);
    }
  }
}
