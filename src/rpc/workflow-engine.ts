/**
 * The named entrypoints that other Workers bind: for everything, for reading, or for working jobs.
 * Not here: the client's side (`client/rpc-store.ts`), what a commit may hold (`changes/`), and any
 * binding but through `worker/`. Imports `worker/`, `changes/`, `queries/`, `model/` and
 * `contract/`.
 *
 * Every method on the prototype of a WorkerEntrypoint can be called from outside, even one that
 * TypeScript calls private. So the classes here have no method that is not meant to be called.
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
import { parseJson } from "../model/index.ts";
import { type AnyResult, type Query } from "../queries/index.ts";
import { type Envelope, isServiceError, ServiceError, toEnvelope } from "../contract/index.ts";
import { openStore, type WorkflowEngineEnv } from "../worker/index.ts";
import { validCommit, validQueries } from "../changes/validation.ts";

/** The commit, also if it came as a stream. */
async function received(commit: unknown): Promise<unknown> {
  try {
    return await fromWire(commit, (text) => parseJson(text, "message"));
  } catch (error) {
    if (isServiceError(error)) throw error;
    throw new ServiceError("INVALID_ARGUMENT", "The commit is not JSON", {}, error);
  }
}

/**
 * The entrypoint with every right. A Worker binds it, and `connect` opens sessions of it.
 * @example
 * // wrangler.toml of the caller:
 * //   [[services]]
 * //   binding = "WORKFLOWS"
 * //   service = "workflow-engine-cloudflare"
 * //   entrypoint = "WorkflowEngine"
 * const { persistence } = connect(env.WORKFLOWS);
 */
export class WorkflowEngine extends WorkerEntrypoint<WorkflowEngineEnv> {
  /**
   * A session for all further calls: one invocation of the service, of the 32 that a request may
   * cause.
   */
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx));
  }
}

/**
 * The entrypoint that may only read, for dashboards. A commit that changes anything is answered
 * FORBIDDEN.
 * @example
 * // entrypoint = "WorkflowReader" in the caller's wrangler.toml
 * const running = await connect(env.WORKFLOWS).persistence.getRunsByStatus("RUNNING");
 */
export class WorkflowReader extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), ["read"]);
  }
}

/**
 * The entrypoint for workers that must not change runs and stages: the scopes `read` and `work`. It
 * may read, lease and settle jobs, and write logs, annotations and AI calls. Any other commit is
 * answered FORBIDDEN.
 * @example
 * // entrypoint = "WorkflowWorker" in the caller's wrangler.toml
 * const { jobs } = connect(env.WORKFLOWS);
 * const job = await jobs.dequeue();
 * if (job !== null) await jobs.complete(job.jobId);
 */
export class WorkflowWorker extends WorkerEntrypoint<WorkflowEngineEnv> {
  open(): EngineSession {
    return new EngineSession(storeOf(this.env, this.ctx), ["read", "work"]);
  }
}

/**
 * The store is opened by the first call, so that the call's answer names a setting that is refused.
 */
function storeOf(env: WorkflowEngineEnv, ctx: ExecutionContext): () => Store {
  let store: Store | null = null;
  return () => (store ??= openStore(env, { waitUntil: (promise) => ctx.waitUntil(promise) }));
}

/** A caller that waits longer asks again. */
const WITHIN_MS_MAX = 30_000;

/**
 * The store over RPC, limited to some scopes. Each method checks what it is given and answers an
 * envelope.
 */
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

  /**
   * Takes a commit, or a stream of its JSON. The instants that decide anything are stamped here.
   */
  async attempt(commit: unknown): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => {
      const valid = allowedCommit(validCommit(await received(commit)), this.#scopes);
      const store = this.#store();
      return store.attempt(stamped(valid, await store.now()));
    });
  }

  /** Answers when the run's events tell that it has ended, or after this time: 30 s at most. */
  async whenOver(workflowRunId: unknown, withinMs: unknown): Promise<Envelope<null>> {
    return toEnvelope(async () => {
      const [query] = allowedQueries(
        validQueries([{ q: "runStatus", id: workflowRunId }]),
        this.#scopes,
      );
      const id = query?.q === "runStatus" ? query.id : "";
      if (typeof withinMs !== "number" || !(withinMs >= 0 && withinMs <= WITHIN_MS_MAX)) {
        const message = `withinMs must be a number from 0 to ${WITHIN_MS_MAX}`;
        throw new ServiceError("INVALID_ARGUMENT", message, { field: "withinMs" });
      }
      await this.#store().whenOver?.(id, withinMs);
      return null;
    });
  }

  /**
   * Finds out what became of a commit. Takes the commit itself, since it tells where its trace
   * would be.
   */
  async settle(commit: unknown): Promise<Envelope<Settlement>> {
    return toEnvelope(async () => {
      const valid = allowedCommit(validCommit(await received(commit)), this.#scopes);
      return this.#store().settle(withoutStamp(valid));
    });
  }
}

/**
 * @throws FORBIDDEN with the first part that the scopes do not allow. A commit without changes only
 * reads.
 */
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
