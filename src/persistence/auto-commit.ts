/**
 * The unit of work that acts at once. When an answer is lost, it finds out what became of the call
 * before it tries again. So a call has exactly one effect, or says UNAVAILABLE.
 */
import {
  type CallerChange,
  type Change,
  askedAgain,
  textLength,
  type Commit,
  type Guard,
  type Settlement,
  type Store,
} from "../changes/index.ts";
import {
  COMMIT_CHANGES_MAX,
  createOrdinals,
  newCommitId,
  sleep,
  TRANSACTION_CHANGES_MAX,
} from "../model/index.ts";
import { inOrderOf, type Query, type ResultsOf } from "../queries/index.ts";
import {
  type ErrorCode,
  isServiceError,
  ServiceError,
  StaleVersionError,
} from "../contract/index.ts";
import { requireRoom } from "./encode.ts";
import { hasCode } from "./faults.ts";
import { type Stale, staleOf } from "./stale-version.ts";
import type { UnitOfWork, Write, Written } from "./unit-of-work.ts";

/** Tries of one call, the first one included. */
const TRIES_MAX = 4;
const PAUSE_MS = 25;
/** Text of one of several commits: far below the limit, so that each is quick. */
const PORTION_LENGTH_MAX = 8 * 1_024 * 1_024;

/**
 * One for the whole isolate, so that what its connections write within one millisecond keeps its
 * order.
 */
const nextOrdinal = createOrdinals();

export class AutoCommit implements UnitOfWork {
  readonly stale: Stale;
  /** For what tells of the end of a run. */
  readonly store: Pick<Store, "whenOver" | "streams">;
  readonly #store: Store;

  /** `stale` makes the error for a stale version; by default one of our own class. */
  constructor(store: Store, stale: Stale = staleOf(StaleVersionError)) {
    this.stale = stale;
    this.store = store;
    this.#store = store;
  }

  async call<T>(body: () => Promise<T>): Promise<T> {
    return body();
  }

  async now(): Promise<number> {
    return trying(() => this.#store.now());
  }

  ordinal(now: number): string {
    return nextOrdinal(now);
  }

  portions(changes: readonly CallerChange[]): CallerChange[][] {
    const portions: CallerChange[][] = [];
    let length = 0;
    for (const change of changes) {
      const added = textLength(change);
      const current = portions.at(-1);
      const fits = length + added <= PORTION_LENGTH_MAX;
      if (current !== undefined && fits && current.length < TRANSACTION_CHANGES_MAX) {
        current.push(change);
        length += added;
      } else {
        portions.push([change]);
        length = added;
      }
    }
    return portions;
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return trying(() => this.#store.read(queries));
  }

  async write<const Qs extends readonly Query[] = readonly []>(
    write: Write<Qs, Change, Guard>,
  ): Promise<Written<Qs>> {
    // One change alone is bounded by its row.
    if (write.changes.length > 1) requireRoom(write.changes, COMMIT_CHANGES_MAX);
    for (let tries = 1; ; tries += 1) {
      const id = newCommitId(await this.now());
      // Without reads, Qs is the empty list.
      const reads = write.reads?.(id) ?? ([] as unknown as Qs);
      const commit: Commit = { id, guards: write.guards ?? [], changes: write.changes, reads };
      try {
        const outcome = await this.#store.attempt(commit);
        if (!outcome.applied) return outcome;
        const results = inOrderOf(reads, outcome.results);
        return { applied: true, commitId: id, results, late: false };
      } catch (error) {
        // After a repeat, being turned away does not mean that nothing was written: an earlier try
        // may have landed.
        if (!hasCode(error, "UNAVAILABLE")) throw tries === 1 ? error : asUnknown(error);
        const settlement = await findingOut(() => this.#store.settle(commit));
        if (wasApplied(settlement, error)) {
          const again = await findingOut(() => this.#store.read(askedAgain(reads)));
          const results = inOrderOf(reads, again);
          return { applied: true, commitId: id, results, late: true };
        }
        if (tries >= TRIES_MAX) throw error;
      }
      await backOff(tries);
    }
  }
}

/**
 * Whether a commit whose answer was lost has landed. If not, it never will, and may be tried again
 * under a new id.
 */
function wasApplied(settlement: Settlement, loss: unknown): boolean {
  switch (settlement) {
    case "applied":
      return true;
    case "fenced":
      return false;
    case "unknown":
      throw new ServiceError(
        "UNAVAILABLE",
        "The answer was lost, and the row was written too often since to tell the outcome",
        {},
        loss,
      );
  }
}

/** Repeats a call that does no harm when repeated, while it answers UNAVAILABLE. */
export async function trying<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (!hasCode(error, "UNAVAILABLE") || tries >= TRIES_MAX) throw error;
    }
    await backOff(tries);
  }
}

/**
 * Repeats the search for a lost answer. A refusal of the search says nothing of the commit: a token
 * may have expired meanwhile, or something on the way may answer in the service's place. So a
 * refusal is UNAVAILABLE.
 */
async function findingOut<T>(call: () => Promise<T>): Promise<T> {
  const codes = [...TURNED_AWAY, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE"] as const;
  return trying(() => mayHaveWritten(call, codes));
}

/** Runs a call before which something may have been written already. */
async function mayHaveWritten<T>(
  call: () => Promise<T>,
  codes: readonly ErrorCode[] = TURNED_AWAY,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw asUnknown(error, codes);
  }
}

/**
 * Codes of calls that were turned away before anything was done. A token may expire, or be revoked,
 * between two calls.
 */
const TURNED_AWAY = ["OVERLOADED", "UNAUTHENTICATED", "FORBIDDEN"] as const;

/** The error of a call that was turned away, where something may have been written before it. */
function asUnknown(error: unknown, codes: readonly ErrorCode[] = TURNED_AWAY): unknown {
  if (!isServiceError(error) || !codes.includes(error.code)) return error;
  return new ServiceError("UNAVAILABLE", `The outcome is unknown: ${error.message}`, {}, error);
}

/**
 * The unit for the rest of a method that takes several commits: once the first is made, the outcome
 * of the whole may be unknown.
 */
export function afterFirstCommit(unit: UnitOfWork): UnitOfWork {
  return {
    stale: unit.stale,
    call: (body) => unit.call(body),
    now: () => unit.now(),
    ordinal: (now) => unit.ordinal(now),
    portions: (changes) => unit.portions(changes),
    read: (queries) => mayHaveWritten(() => unit.read(queries)),
    write: (write) => mayHaveWritten(() => unit.write(write)),
  };
}

/**
 * Waits exponentially longer each round, with jitter, so that callers that failed together do not
 * come back together.
 */
export async function backOff(round: number, capMs = 1_000): Promise<void> {
  const ceiling = Math.min(PAUSE_MS * 2 ** round, capMs);
  await sleep(ceiling / 2 + Math.random() * (ceiling / 2));
}
