/**
 * Settles the jobs of a batch as their handlers finish: the first at once, and all that finish
 * while a commit is under way together in the next one. So a slow job holds up no other, and a fast
 * batch takes one or two commits.
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
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(jobs: Jobs) {
    this.#jobs = jobs;
  }

  /**
   * Resolves when the row holds the result. Rejects if it could not be written: then the lease
   * expires, and the job is delivered again.
   */
  async settle(settling: Settling): Promise<SettledJob> {
    const { promise, resolve, reject } = Promise.withResolvers<SettledJob>();
    this.#waiting.push({ settling, done: resolve, failed: reject });
    if (this.#busy) return promise;
    this.#busy = true;
    try {
      while (this.#waiting.length > 0) {
        await this.#together(this.#waiting.splice(0));
      }
    } finally {
      this.#busy = false;
    }
    return promise;
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
