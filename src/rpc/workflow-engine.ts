/**
 * The named entrypoints that other Workers bind: everything, reads, or jobs. Every method of a WorkerEntrypoint's prototype can be called from
 * outside, private ones by TypeScript's word included, so there is only what is meant to be called.
 */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import {
  type ChangeKind,
  type Commit,
  type CommitOutcome,
  fromWire,
  type Settlement,
  type Store,
  toWire,
} from "../changes/index.ts";
import { type AnyResult } from "../queries/index.ts";
import { type Envelope, isServiceError, ServiceError, toEnvelope } from "../contract/index.ts";
import { openStore, type WorkflowEngineEnv } from "../worker/index.ts";
import { validCommit, validQueries } from "../changes/validation.ts";

/** A commit, also one that came as a stream. */
async function received(commit: unknown): Promise<unknown> {
  try {
    return await fromWire(commit);
  } catch (error) {
    if (isServiceError(error)) throw error;
    throw new ServiceError("INVALID_ARGUMENT", "The commit is not JSON", {}, error);
  }
}

/** May do everything. */
export class WorkflowEngine extends WorkerEntrypoint<WorkflowEngineEnv> {
  /** A session that carries all further calls: one Worker invocation, of the 32 that a request may make. */
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx));
  }
}

/** May read, and nothing else: for dashboards. Commits are answered FORBIDDEN. */
export class WorkflowReader extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), []);
  }
}

/**
 * May read, lease and settle jobs, and write logs, annotations and AI calls: for workers that are not to change runs and stages. Other
 * commits are answered FORBIDDEN.
 */
export class WorkflowWorker extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), WORK);
  }
}

const WORK: readonly ChangeKind[] = [
  "claimJobs",
  "completeJob",
  "suspendJob",
  "failJob",
  "touchJob",
  "createLog",
  "appendAnnotation",
  "recordAiCall",
];

function storeOf(env: WorkflowEngineEnv, ctx: ExecutionContext): Store {
  return openStore(env, { waitUntil: (promise) => ctx.waitUntil(promise) });
}

/** The store over RPC. Each method answers an envelope. */
export class EngineSession extends RpcTarget {
  readonly #store: Store;
  /** The changes that it takes; null: all. */
  readonly #allowed: ReadonlySet<string> | null;

  constructor(store: Store, allowed: readonly ChangeKind[] | null = null) {
    super();
    this.#store = store;
    this.#allowed = allowed === null ? null : new Set(allowed);
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
    return toEnvelope(async () =>
      this.#store.attempt(permitted(validCommit(await received(commit)), this.#allowed)),
    );
  }

  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () =>
      this.#store.settle(permitted(validCommit(await received(commit)), this.#allowed)),
    );
  }
}

/** A commit without changes only looks. */
function permitted(commit: Commit, allowed: ReadonlySet<string> | null): Commit {
  const refused = commit.changes.find(({ kind }) => allowed !== null && !allowed.has(kind));
  if (refused === undefined) return commit;
  throw new ServiceError("FORBIDDEN", `This entrypoint does not take ${refused.kind}`, {
    change: refused.kind,
  });
}
