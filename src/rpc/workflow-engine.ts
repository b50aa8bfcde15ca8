/**
 * The named entrypoints that other Workers bind: everything, reads, or jobs. Every method of a WorkerEntrypoint's prototype can be called from
 * outside, private ones by TypeScript's word included, so there is only what is meant to be called.
 */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import {
  type Commit,
  type CommitOutcome,
  fromWire,
  type Lack,
  lackForCommit,
  lackForQueries,
  type Scope,
  SCOPES,
  type Settlement,
  type Store,
  stamped,
  toWire,
  withoutStamp,
} from "../changes/index.ts";
import { type AnyResult, type Query } from "../queries/index.ts";
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

/** May read, and nothing else: for dashboards. Commits that change anything are answered FORBIDDEN. */
export class WorkflowReader extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), ["read"]);
  }
}

/**
 * May do what the scopes `read` and `work` allow: read, lease and settle jobs, and write logs, annotations and AI calls. For workers that
 * are not to change runs and stages. Other commits are answered FORBIDDEN.
 */
export class WorkflowWorker extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), ["read", "work"]);
  }
}

/** Opened by the first call: a setting that is refused is told in its answer. */
function storeOf(env: WorkflowEngineEnv, ctx: ExecutionContext): () => Store {
  let store: Store | null = null;
  return () => (store ??= openStore(env, { waitUntil: (promise) => ctx.waitUntil(promise) }));
}

/** The store over RPC. Each method answers an envelope. */
export class EngineSession extends RpcTarget {
  readonly #store: () => Store;
  readonly #scopes: ReadonlySet<Scope>;

  constructor(store: () => Store, scopes: readonly Scope[] = SCOPES) {
    super();
    this.#store = store;
    this.#scopes = new Set(scopes);
  }

  /** Milliseconds by this Worker's clock. */
  async now(): Promise<Envelope<number>> {
    return toEnvelope(async () => this.#store().now());
  }

  /** The answers; as a stream of their JSON when they are too large for one RPC message. */
  async read(queries: unknown): Promise<Envelope<readonly AnyResult[] | ReadableStream>> {
    return toEnvelope(async () =>
      toWire<readonly AnyResult[]>(
        await this.#store().read(allowedQueries(validQueries(queries), this.#scopes)),
      ),
    );
  }

  /** Takes a commit, or a stream of its JSON. */
  async attempt(commit: unknown): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => {
      const valid = allowedCommit(validCommit(await received(commit)), this.#scopes);
      const store = this.#store();
      return store.attempt(stamped(valid, await store.now()));
    });
  }

  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () => {
      const valid = allowedCommit(validCommit(await received(commit)), this.#scopes);
      return this.#store().settle(withoutStamp(valid));
    });
  }
}

/** A commit without changes only looks. */
function allowedCommit(commit: Commit, scopes: ReadonlySet<Scope>): Commit {
  requireNoLack(lackForCommit(scopes, commit));
  return commit;
}

function allowedQueries(queries: readonly Query[], scopes: ReadonlySet<Scope>): readonly Query[] {
  requireNoLack(lackForQueries(scopes, queries));
  return queries;
}

function requireNoLack(lack: Lack | null): void {
  if (lack === null) return;
  const { act, needs } = lack;
  const scope = needs.join(" or ");
  throw new ServiceError("FORBIDDEN", `This entrypoint does not take ${act}: it lacks ${scope}`, {
    change: act,
    scope,
  });
}
