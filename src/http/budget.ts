/**
 * A bound for what an isolate does at once. Of a number of places each request takes some and gives
 * them back.
 */
import { HttpFault } from "./problem.ts";

/** The places that one request holds. */
export interface Holding {
  /** Takes this many more, as {@link Budget.take}. */
  more(amount: number): Promise<void>;
  /** Gives them back. A second call does nothing. */
  release(): void;
}

interface Held {
  readonly owner: string;
  amount: number;
  /**
   * When its request is over at the latest. A client that goes away may end a request at any await,
   * so not every request gives its places back.
   */
  readonly until: number;
}

interface Waiter {
  readonly held: Held;
  readonly amount: number;
  readonly go: () => void;
}

interface BudgetOptions {
  readonly size: number;
  /** What one owner may hold. An owner that dawdles leaves something to the others. */
  readonly share: number;
  /** How long a request waits for its turn. */
  readonly waitMs: number;
  /** How many requests may wait. */
  readonly waitingMax: number;
}

/** Places of an isolate, given out in the order of asking. */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #held = new Set<Held>();
  readonly #waiting: Waiter[] = [];

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  /**
   * Takes places, after waiting for its turn if there is need.
   * @param heldMs how long the request may last; after that its places count as given back.
   * @throws OVERLOADED when its turn does not come in time, or its owner has its share.
   */
  async take(owner: string, amount: number, heldMs: number): Promise<Holding> {
    const held: Held = { owner, amount: 0, until: Date.now() + heldMs };
    this.#held.add(held);
    const holding: Holding = {
      more: async (more) => this.#grow(held, more),
      release: () => {
        if (this.#held.delete(held)) this.#admit();
      },
    };
    try {
      await holding.more(amount);
      return holding;
    } catch (error) {
      holding.release();
      throw error;
    }
  }

  async #grow(held: Held, amount: number): Promise<void> {
    if (this.#taken(held.owner) + amount > this.#options.share) throw overloaded();
    if (this.#waiting.length === 0 && this.#fits(amount)) held.amount += amount;
    else await this.#turn(held, amount);
  }

  async #turn(held: Held, amount: number): Promise<void> {
    const { waitMs, waitingMax } = this.#options;
    if (this.#waiting.length >= waitingMax) throw overloaded();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { held, amount, go: resolve };
    this.#waiting.push(waiter);
    const timer = setTimeout(() => {
      // Requests whose time is up may have gone without giving their places back.
      this.#admit();
      const place = this.#waiting.indexOf(waiter);
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      reject(overloaded());
      this.#admit();
    }, waitMs);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #admit(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || !this.#fits(first.amount)) return;
      this.#waiting.shift();
      first.held.amount += first.amount;
      first.go();
    }
  }

  #fits(amount: number): boolean {
    return this.#taken(null) + amount <= this.#options.size;
  }

  /** What one owner holds, or with null all of them together. */
  #taken(owner: string | null): number {
    const now = Date.now();
    let taken = 0;
    for (const held of this.#held) {
      if (held.until <= now) this.#held.delete(held);
      else if (owner === null || held.owner === owner) taken += held.amount;
    }
    return taken;
  }
}

function overloaded(): HttpFault {
  return new HttpFault("OVERLOADED", "Too many requests are under way; nothing was done");
}
