/**
 * A connection: the three interfaces over one store, apart from how it finds the transaction that a
 * call belongs to. `connection.ts` follows the call chain with AsyncLocalStorage;
 * `client/browser.ts` has nothing that follows it.
 */
import { type Store } from "../changes/index.ts";
import { AUDIT_MAX, joinId } from "../model/index.ts";
import { requireRuntime } from "../model/runtime.ts";
import {
  type Backend,
  type FlushableAICallLogger,
  type AuditFinding,
  StaleVersionError,
  type StaleVersionErrorClass,
  type WorkflowPersistence,
} from "../contract/index.ts";
import { AICalls } from "./ai-calls.ts";
import type { CallChain } from "./call-chain.ts";
import { AutoCommit } from "./auto-commit.ts";
import { invalid } from "./encode.ts";
import { Jobs } from "./jobs.ts";
import { madeWhenUsed, ownMethods } from "./own-methods.ts";
import { type RetryOptions, retryOptions } from "./retry.ts";
import { persistenceOver } from "./persistence.ts";
import { staleOf } from "./stale-version.ts";
import { join, type Running, runToCommit } from "./transaction/index.ts";

/**
 * How a connection acts.
 * @example
 * const options: ConnectionOptions = {
 *   workerId: "digest-worker",
 *   waitUntil: (promise) => ctx.waitUntil(promise),
 *   retry: { baseMs: 500, jitter: 0.2 },
 * };
 * const { persistence, jobs } = connect(env.WORKFLOWS, options);
 */
export interface ConnectionOptions {
  /** Names this connection in the jobs that it dequeues (`JobRecord.workerId`). Default null. */
  readonly workerId?: string;
  /** Keeps the Worker alive until an AI call is recorded: `(promise) => ctx.waitUntil(promise)`. */
  readonly waitUntil?: (promise: Promise<unknown>) => void;
  /**
   * When jobs that fail through this connection are tried again. Default: after 2 s, 4 s, ..., at
   * most an hour.
   */
  readonly retry?: RetryOptions;
  /**
   * The engine's own class of stale versions, so that its `instanceof` recognises the error. The
   * error gets our `code` and `details` as well, unless it has members of these names. Default:
   * {@link StaleVersionError}.
   */
  readonly StaleVersionError?: StaleVersionErrorClass;
}

/** Options that the package does not offer to its callers. */
export interface CoreOptions extends ConnectionOptions {
  /**
   * False: every call of a transaction reads what it has to know, so the callback runs again only
   * if others wrote what it had read. Default true: it also runs again if a write was assumed to be
   * allowed, and was not.
   */
  readonly assumes?: boolean;
}

/**
 * The call can neither act outside the transaction, which could break its atomicity, nor join it,
 * which could undo what has nothing to do with it. So it is refused.
 */
const WHOSE =
  "A transaction of this connection is open, and without AsyncLocalStorage nobody can tell whether this call belongs to it. " +
  "In the callback use tx, and no jobs. Outside it open another connection";

/** A connection's own unit of work: what `runs` are written over. */
export type OwnUnit = Pick<AutoCommit, "now" | "ordinal" | "read" | "write" | "store">;

const units = new WeakMap<object, OwnUnit>();

/**
 * The unit of work of a connection.
 * @throws INVALID_ARGUMENT for an object that is no connection of this copy of the package.
 */
export function unitOf(connection: Backend): OwnUnit {
  const unit = units.get(connection);
  if (unit !== undefined) return unit;
  throw invalid("Expected a connection of this package: connect(...), embed(...)", {
    field: "connection",
  });
}

export class ConnectionCore implements Backend {
  declare readonly persistence: WorkflowPersistence;
  declare readonly jobs: Jobs;
  declare readonly aiCalls: FlushableAICallLogger;
  readonly #direct: AutoCommit;
  readonly #chain: CallChain<Running>;
  readonly #assumes: boolean;

  constructor(store: Store, options: CoreOptions = {}, chain: CallChain<Running>) {
    requireRuntime();
    this.#assumes = options.assumes ?? true;
    this.#chain = chain;
    const stale = staleOf(options.StaleVersionError ?? StaleVersionError);
    this.#direct = new AutoCommit(store, stale);
    units.set(this, this.#direct);
    const retry = retryOptions(options.retry);
    // A connection often serves one request, which uses one of the three.
    madeWhenUsed<ConnectionCore>(this, {
      persistence: () => persistenceOver(this.#direct, async (fn) => this.#withTransaction(fn)),
      jobs: () => this.#jobs(options.workerId ?? null, retry),
      aiCalls: () => new AICalls(this.#direct, options.waitUntil),
    });
    ownMethods(this);
  }

  #jobs(workerId: string | null, retry: RetryOptions): Jobs {
    return new Jobs({
      direct: this.#direct,
      current: () => this.#transaction()?.unit ?? this.#direct,
      claimed: (row) => {
        // The lease is taken, so nothing may be thrown any more.
        const running = this.#chain.current();
        if (running !== null && running !== "unknown" && running.unit.open) {
          running.unit.claimed(row);
        }
      },
      joining: this.#chain.joining,
      workerId,
      retry,
    });
  }

  async audit(): Promise<AuditFinding[]> {
    const now = await this.#direct.now();
    const [rows] = await this.#direct.read([{ q: "audit", now, limit: AUDIT_MAX }]);
    return rows.map(({ entity, workflowRunId, key, status, problem }) => {
      const id = entity === "run" ? workflowRunId : joinId(workflowRunId, key);
      return { entity, id, workflowRunId, status, problem };
    });
  }

  /**
   * The transaction that the running code belongs to. Null also for code that began in a callback
   * and goes on after the commit, such as a heartbeat. Code of a run of the callback that was given
   * up may not act: nothing of that run has happened.
   * @throws INVALID_ARGUMENT where nobody can tell, and for a run that was given up.
   */
  #transaction(): Running | null {
    const running = this.#chain.current();
    if (running === "unknown") throw invalid(WHOSE);
    if (running === null || running.unit.landed) return null;
    running.unit.requireOpen();
    return running;
  }

  async #withTransaction<T>(fn: (tx: WorkflowPersistence) => Promise<T>): Promise<T> {
    if (typeof fn !== "function") throw invalid("withTransaction: expected a function");
    const running = this.#transaction();
    return running === null
      ? this.#chain.whole(async () =>
          runToCommit(fn, { direct: this.#direct, chain: this.#chain, assumes: this.#assumes }),
        )
      : join(running, fn);
  }
}
