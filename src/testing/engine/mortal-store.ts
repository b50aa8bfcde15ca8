/** The store of a worker that dies at one of its commits, or never hears what became of it. */
import type { Change, Commit, CommitOutcome, Settlement, Store } from "../../changes/index.ts";
import { ServiceError } from "../../contract/index.ts";
import type { Query, ResultsOf } from "../../queries/index.ts";

export const DEATHS = ["before", "after", "answer lost"] as const;
export type Death = (typeof DEATHS)[number];

/** Where a worker dies: at its nth commit, counted from 0. */
export interface Fault {
  readonly commit: number;
  readonly death: Death;
}

/** Once its owner is dead, nothing of it happens, and none of its calls is answered. */
export class MortalStore implements Store {
  /** The kinds of changes of each commit that was tried. */
  readonly commits: string[] = [];
  /** Resolves when the owner dies. */
  readonly death: Promise<void>;
  readonly #die: () => void;
  readonly #store: Store;
  readonly #fault: Fault | null;
  #isDead = false;

  constructor(store: Store, fault: Fault | null) {
    this.#store = store;
    this.#fault = fault;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.death = promise;
    this.#die = () => {
      this.#isDead = true;
      resolve();
    };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  async now(): Promise<number> {
    return this.#unlessDead(async () => this.#store.now());
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#unlessDead(async () => this.#store.read(queries));
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#unlessDead(async () => this.#store.settle(commit));
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    return this.#unlessDead(async () => {
      const here = this.#fault?.commit === this.commits.length ? this.#fault.death : null;
      this.commits.push(kindsOf(commit.changes));
      if (here === "before") this.#die();
      if (this.#isDead) return never();
      const outcome = await this.#store.attempt(commit);
      if (here === "after") this.#die();
      if (here !== "answer lost") return outcome;
      throw new ServiceError("UNAVAILABLE", "The answer is lost");
    });
  }

  async #unlessDead<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isDead) return never();
    const answer = await call();
    return this.#isDead ? never() : answer;
  }
}

function kindsOf(changes: readonly Change[]): string {
  return [...new Set(changes.map(({ kind }) => kind))].join(", ");
}

async function never(): Promise<never> {
  return new Promise(() => {});
}
