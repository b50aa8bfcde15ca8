/**
 * The named entrypoint that other Workers bind. Every method of a WorkerEntrypoint's prototype can be called from
 * outside, private ones by TypeScript's word included, so there is only what is meant to be called.
 */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import {
  type AnyResult,
  type CommitOutcome,
  fromWire,
  type Settlement,
  type Store,
  toWire,
} from "../changes/index.ts";
import { type Envelope, isServiceError, ServiceError, toEnvelope } from "../contract/index.ts";
import { openStore, type WorkflowEngineEnv } from "../queue/index.ts";
import { validCommit, validQueries } from "./validation.ts";

/** A commit, also one that came as a stream. */
async function received(commit: unknown): Promise<unknown> {
  try {
    return await fromWire(commit);
  } catch (error) {
    if (isServiceError(error)) throw error;
    throw new ServiceError("INVALID_ARGUMENT", "The commit is not JSON", {}, error);
  }
}

export class WorkflowEngine extends WorkerEntrypoint<WorkflowEngineEnv> {
  /** A session that carries all further calls: one Worker invocation, of the 32 that a request may make. */
  open(): EngineSession {
    const waitUntil = (promise: Promise<unknown>) => this.ctx.waitUntil(promise);
    return new EngineSession(openStore(this.env, { waitUntil }));
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
    return toEnvelope(async () =>
      toWire<readonly AnyResult[]>(await this.#store.read(validQueries(queries))),
    );
  }

  /** Takes a commit, or a stream of its JSON. */
  async attempt(commit: unknown): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => this.#store.attempt(validCommit(await received(commit))));
  }

  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () => this.#store.settle(validCommit(await received(commit))));
  }
}
