/** A store whose owner dies: from a certain call on, nothing of it happens and nothing is answered any more. */
import type { Commit, CommitOutcome, Settlement, Store } from "../../../src/changes/index.ts";
import type { Query, ResultsOf } from "../../../src/queries/index.ts";

export interface StoreCall {
  readonly index: number;
  readonly method: "read" | "attempt" | "settle";
  /** The kinds of the changes, or the names of the queries. */
  readonly parts: readonly string[];
}

/** `before`: this call is not made. `after`: it is made, and its answer reaches nobody. */
export type Death = "before" | "after";

export class MortalStore implements Store {
  readonly calls: StoreCall[] = [];
  /** The call at which it died; null while it lives. */
  diedAt: StoreCall | null = null;
  /** Resolves when it dies. */
  readonly death: Promise<void>;
  readonly #store: Store;
  readonly #deathAt: (call: StoreCall) => Death | null;
  readonly #die: () => void;

  constructor(store: Store, deathAt: (call: StoreCall) => Death | null) {
    this.#store = store;
    this.#deathAt = deathAt;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.death = promise;
    this.#die = resolve;
  }

  async now(): Promise<number> {
    return this.diedAt === null ? this.#store.now() : never();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#call("read", partsOf(queries), () => this.#store.read(queries));
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    return this.#call("attempt", partsOf(commit.changes), () => this.#store.attempt(commit));
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#call("settle", partsOf(commit.changes), () => this.#store.settle(commit));
  }

  async #call<T>(
    method: StoreCall["method"],
    parts: readonly string[],
    make: () => Promise<T>,
  ): Promise<T> {
    if (this.diedAt !== null) return never();
    const call = { index: this.calls.length, method, parts };
    this.calls.push(call);
    const death = this.#deathAt(call);
    if (death === null) {
      const answer = await make();
      return this.diedAt === null ? answer : never();
    }
    this.diedAt = call;
    if (death === "after") await Promise.allSettled([make()]);
    this.#die();
    return never();
  }
}

function partsOf(
  parts: readonly ({ readonly kind: string } | { readonly q: string })[],
): readonly string[] {
  return parts.map((part) => ("kind" in part ? part.kind : part.q));
}

function never(): Promise<never> {
  return new Promise(() => {});
}
