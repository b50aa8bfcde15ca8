/** A store that sends wake-ups after commits that make a job claimable, or leave other work. */
import type { Commit, CommitOutcome, Settlement, Store } from "../changes/index.ts";
import type { JobState } from "../model/index.ts";
import type { Query, ResultsOf } from "../queries/index.ts";
import type { Waker } from "./producer.ts";
import { statesToAsk, wakeUpsAfter } from "./wake-up.ts";

export class WakingStore implements Store {
  readonly #store: Store;
  readonly #waker: Waker;
  readonly #waitUntil: ((promise: Promise<unknown>) => void) | null;

  /**
   * With `waitUntil` no caller waits for the messages to be sent; without it, the commit's caller
   * does.
   */
  constructor(
    store: Store,
    waker: Waker,
    waitUntil: ((promise: Promise<unknown>) => void) | null = null,
  ) {
    this.#store = store;
    this.#waker = waker;
    this.#waitUntil = waitUntil;
  }

  async now(): Promise<number> {
    return this.#store.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#store.read(queries);
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    const now = await this.#store.now();
    const question = statesToAsk(commit, now);
    const reads = question === null ? commit.reads : [...commit.reads, question];
    const outcome = await this.#store.attempt({ ...commit, reads });
    if (!outcome.applied) return outcome;
    // The answers are in the order of the reads, and the caller's own come first.
    const states = (outcome.results[commit.reads.length] ?? []) as JobState[];
    await this.#wake(commit, states, now);
    return { applied: true, results: outcome.results.slice(0, commit.reads.length) };
  }

  /**
   * After a lost answer only the changes themselves tell what to wake: new jobs get their wake-ups,
   * and everything else is left to the sweep.
   */
  async settle(commit: Commit): Promise<Settlement> {
    const settlement = await this.#store.settle(commit);
    if (settlement === "applied") await this.#wake(commit, [], await this.#store.now());
    return settlement;
  }

  async whenOver(workflowRunId: string, withinMs: number): Promise<void> {
    await this.#store.whenOver?.(workflowRunId, withinMs);
  }

  async #wake(commit: Commit, states: readonly JobState[], now: number): Promise<void> {
    const wakeUps = wakeUpsAfter(commit, states, now);
    if (wakeUps.length === 0) return;
    const sent = this.#waker.wake(wakeUps, now);
    if (this.#waitUntil === null) await sent;
    else this.#waitUntil(sent);
  }
}
