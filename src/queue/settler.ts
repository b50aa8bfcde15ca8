/**
 * Settles the jobs of a batch as their handlers finish: together with whatever else finishes in the same turns of the event loop, or
 * finished while the commit before was under way. So a slow job holds up nobody, and a fast batch is one commit.
 */
import type { Jobs, Settling } from "../persistence/jobs.ts";
import { ServiceError, type SettledJob } from "../contract/index.ts";

interface Waiting {
  readonly settling: Settling;
  readonly done: (settled: SettledJob) => void;
  readonly failed: (error: unknown) => void;
}

export class Settler {
  readonly #jobs: Jobs;
  /** Jobs of the batch that have not come here. */
  #outstanding: number;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(jobs: Jobs, count: number) {
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

  /** Resolves when a turn of the event loop has brought no other: after as many turns as the batch has jobs, at the latest. */
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
