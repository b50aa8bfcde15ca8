/**
 * The named entrypoint that other Workers bind. Every method of a WorkerEntrypoint's prototype can be called from
 * outside, private ones by TypeScript's word included, so there is only what is meant to be called.
 */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { AnyResult, CommitOutcome, Settlement, Store } from "../changes/index.ts";
import { type Envelope, ServiceError, toEnvelope } from "../contract/index.ts";
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

/** An RPC message holds 32 MiB, and a UTF-16 unit may take two bytes of it. */
const MESSAGE_UNITS_MAX = 14 * 1_024 * 1_024;

function fitsMessage(results: readonly AnyResult[]): boolean {
  let units = 0;
  for (const row of results.flat()) {
    if (typeof row !== "object" || row === null) continue;
    for (const value of Object.values(row)) {
      units += typeof value === "string" ? value.length : 8;
    }
  }
  return units <= MESSAGE_UNITS_MAX;
}

function jsonStream(results: readonly AnyResult[]): ReadableStream {
  const { body } = new Response(JSON.stringify(results));
  if (body === null) throw new ServiceError("INTERNAL", "wfe-empty-answer");
  return body;
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

  /** The answers; as a stream of their JSON when they are too large for one RPC message. */
  async read(queries: unknown): Promise<Envelope<readonly AnyResult[] | ReadableStream>> {
    return toEnvelope(async () => {
      const results = await this.#store.read(validQueries(queries));
      return fitsMessage(results) ? results : jsonStream(results);
    });
  }

  async attempt(commit: unknown): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => this.#store.attempt(validCommit(commit)));
  }

  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () => this.#store.settle(validCommit(commit)));
  }
}
