/**
 * A store whose commits take an idempotency key along: a commit and its key land together, or
 * neither does.
 */
import type { Change, Commit, CommitOutcome, Settlement, Store } from "../../changes/index.ts";
import type { Query, ResultsOf } from "../../queries/index.ts";
import { inUse, type KeyedRequest } from "./responses.ts";

export class CarryingStore implements Store {
  readonly #store: Store;
  readonly #keyed: KeyedRequest;
  readonly #at: number;
  readonly #carried: Change;
  /** The id of the commit that has landed. */
  landed: string | null = null;

  /** @param at the instant of everything that the request does. */
  constructor(store: Store, keyed: KeyedRequest, at: number, carried: Change) {
    this.#store = store;
    this.#keyed = keyed;
    this.#at = at;
    this.#carried = carried;
  }

  async now(): Promise<number> {
    return this.#at;
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#store.read(queries);
  }

  /** @throws IDEMPOTENCY_KEY_IN_USE when another request was first. Nothing was written then. */
  async attempt(commit: Commit): Promise<CommitOutcome> {
    const outcome = await this.#store.attempt(this.#withKey(commit));
    if (outcome.applied) {
      this.landed = commit.id;
      return outcome;
    }
    const { guard, actual } = outcome.violation;
    if (guard === 0) throw inUse();
    return { applied: false, violation: { guard: guard - 1, actual } };
  }

  async settle(commit: Commit): Promise<Settlement> {
    const settlement = await this.#store.settle(this.#withKey(commit));
    if (settlement === "applied") this.landed = commit.id;
    return settlement;
  }

  /**
   * The key's guard is the first one: so the later of two requests gets IDEMPOTENCY_KEY_IN_USE, and
   * not the error of another guard.
   */
  #withKey(commit: Commit): Commit {
    const { key, commandType } = this.#keyed;
    const free = { on: "idempotencyKey", key, commandType, expect: { is: "absent" } } as const;
    return {
      ...commit,
      guards: [free, ...commit.guards],
      changes: [...commit.changes, this.#carried],
    };
  }
}
