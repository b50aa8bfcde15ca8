/** The store over D1 and the coordinators: how every Worker that has both bindings reaches them. */
import {
  type Commit,
  type CommitOutcome,
  type Query,
  type ResultsOf,
  type Settlement,
  type Store,
  toWire,
  withDeadline,
} from "../changes/index.ts";
import { type Envelope, fromEnvelope, ServiceError } from "../contract/index.ts";
import type { D1Store } from "../store/index.ts";
import { coordinatedRun } from "./routing.ts";

/** A coordinator's stub, as far as it is used. */
export interface CoordinatorStub {
  attempt(commit: Commit | ReadableStream): Promise<Envelope<CommitOutcome>>;
}

export interface CoordinatorNamespace {
  getByName(name: string): CoordinatorStub;
}

/** Longer than a coordinator lets a commit wait for its turn and then for D1. */
const DEADLINE_MS = 40_000;
/** After a coordinator failed, its run's commits go straight to D1 for so long. They lose nothing but order. */
const BYPASS_MS = 10_000;
const BYPASSED_MAX = 1_000;

export class CoordinatedStore implements Store {
  readonly #direct: D1Store;
  readonly #runs: CoordinatorNamespace;
  readonly #bypassedUntil = new Map<string, number>();

  constructor(direct: D1Store, runs: CoordinatorNamespace) {
    this.#direct = direct;
    this.#runs = runs;
  }

  async now(): Promise<number> {
    return this.#direct.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#direct.read(queries);
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    const run = coordinatedRun(commit);
    if (run === null || (this.#bypassedUntil.get(run) ?? 0) > Date.now()) {
      return this.#direct.attempt(commit);
    }
    let envelope: Envelope<CommitOutcome>;
    try {
      // A stub that has thrown is spent, so each attempt gets its own.
      const attempt = this.#runs.getByName(run).attempt(toWire(commit));
      envelope = await withDeadline(attempt, DEADLINE_MS, "The coordinator");
    } catch (error) {
      if (this.#bypassedUntil.size >= BYPASSED_MAX) this.#bypassedUntil.clear();
      this.#bypassedUntil.set(run, Date.now() + BYPASS_MS);
      throw new ServiceError(
        "UNAVAILABLE",
        `The coordinator of run ${run} did not answer`,
        {},
        error,
      );
    }
    return fromEnvelope(envelope);
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#direct.settle(commit);
  }
}
