/** A store that stops chosen commits until they are let go, so that a race happens as a test says. */
import type { Commit, CommitOutcome, Settlement, Store } from "../../../src/changes/index.ts";
import type { Query, ResultsOf } from "../../../src/queries/index.ts";

/** Commits that are stopped. */
export interface Gate {
  /** Resolves when so many have come. */
  reached(count?: number): Promise<void>;
  /** Lets those go that have come, and all that come later. */
  open(): void;
  readonly waiting: number;
}

export class GatedStore implements Store {
  readonly #store: Store;
  readonly #gates: { readonly matches: (commit: Commit) => boolean; pass(): Promise<void> }[] = [];

  readonly #readers: { readonly q: Query["q"]; pass(): Promise<void> }[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Stops the commits that match, before they are made. */
  before(matches: (commit: Commit) => boolean): Gate {
    const { gate, pass } = newGate();
    this.#gates.push({ matches, pass });
    return gate;
  }

  /** Stops the reads with this query, before they are made. */
  beforeReading(q: Query["q"]): Gate {
    const { gate, pass } = newGate();
    this.#readers.push({ q, pass });
    return gate;
  }

  async now(): Promise<number> {
    return this.#store.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    for (const { q, pass } of this.#readers) {
      if (queries.some((query) => query.q === q)) await pass();
    }
    return this.#store.read(queries);
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#store.settle(commit);
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    for (const { matches, pass } of this.#gates) if (matches(commit)) await pass();
    return this.#store.attempt(commit);
  }
}

/** For what a stage does. */
export function newGate(): { readonly gate: Gate; readonly pass: () => Promise<void> } {
  const opened = Promise.withResolvers<void>();
  const watchers: { readonly count: number; readonly tell: () => void }[] = [];
  let waiting = 0;
  const tell = () => {
    for (const watcher of watchers) if (waiting >= watcher.count) watcher.tell();
  };
  const gate: Gate = {
    async reached(count = 1) {
      const { promise, resolve } = Promise.withResolvers<void>();
      watchers.push({ count, tell: resolve });
      tell();
      return promise;
    },
    open: () => {
      opened.resolve();
    },
    get waiting() {
      return waiting;
    },
  };
  const pass = async () => {
    waiting += 1;
    tell();
    await opened.promise;
  };
  return { gate, pass };
}

/** Whether a commit has a change of this kind, and of this stage where one is named. */
export function has(kind: string, stageId?: string) {
  return ({ changes }: Commit) =>
    changes.some(
      (change) =>
        change.kind === kind &&
        (stageId === undefined || ("stageId" in change && change.stageId === stageId)),
    );
}

/** Whether a commit tells of this event. */
export function tells(eventType: string) {
  return ({ changes }: Commit) =>
    changes.some(
      (change) => change.kind === "appendOutboxEvent" && change.row.eventType === eventType,
    );
}
