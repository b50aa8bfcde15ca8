/**
 * The named entrypoint that other Workers bind. Every method of a WorkerEntrypoint's prototype can be called from
 * outside, private ones by TypeScript's word included, so there is only what is meant to be called.
 */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { AnyResult, CommitOutcome, Settlement, Store } from "../changes/index.ts";
import { type Envelope, toEnvelope } from "../contract/index.ts";
import {
  CoordinatedStore,
  type CoordinatorEnv,
  type CoordinatorNamespace,
} from "../coordinator/index.ts";
import { D1Store } from "../store/index.ts";
import { validCommit, validQueries } from "./validation.ts";

export interface WorkflowEngineEnv extends CoordinatorEnv {
  readonly RUNS: CoordinatorNamespace;
}

export class WorkflowEngine extends WorkerEntrypoint<WorkflowEngineEnv> {
  /** A session that carries all further calls: one Worker invocation, of the 32 that a request may make. */
  open(): EngineSession {
    return new EngineSession(new CoordinatedStore(new D1Store(this.env.DB), this.env.RUNS));
  }
}

/** The store over RPC. Each method answers an envelope. */
export class EngineSession extends RpcTarget {
  readonly #store: Store;

  constructor(store: Store) {
    super();
    this.#store = store;
  }

  /** Milliseconds by this Worker's clock. */
  async now(): Promise<Envelope<number>> {
    return toEnvelope(() => this.#store.now());
  }

  async read(queries: unknown): Promise<Envelope<readonly AnyResult[]>> {
    return toEnvelope(async () => this.#store.read(validQueries(queries)));
  }

  async attempt(commit: unknown): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => this.#store.attempt(validCommit(commit)));
  }

  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () => this.#store.settle(validCommit(commit)));
  }
}
