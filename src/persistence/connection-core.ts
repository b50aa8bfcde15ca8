/** A connection: the three interfaces over one store. Every way in ends here; `connection.ts` and `browser.ts` say what follows the call chain. */
import { type Store } from "../changes/index.ts";
import { AUDIT_MAX, joinId, TRANSACTION_RUNS_MAX } from "../model/index.ts";
import {
  type Backend,
  type FlushableAICallLogger,
  type AuditFinding,
  isServiceError,
  ServiceError,
  StaleVersionError,
  type StaleVersionErrorClass,
  type WorkflowPersistence,
} from "../contract/index.ts";
import { AICalls } from "./ai-calls.ts";
import type { CallChain } from "./call-chain.ts";
import { AutoCommit, backOff } from "./auto-commit.ts";
import { invalid } from "./encode.ts";
import { Jobs } from "./jobs.ts";
import { ownMethods } from "./own-methods.ts";
import type { RetryOptions } from "./retry.ts";
import { persistenceOver } from "./persistence.ts";
import { staleOf } from "./stale-version.ts";
import { Transaction } from "./transaction/transaction.ts";

export interface ConnectionOptions {
  /** Who dequeues through this connection; stored with each job it takes. Default null. */
  readonly workerId?: string;
  /** Keeps the Worker alive until an AI call is recorded: `ctx.waitUntil.bind(ctx)`. */
  readonly waitUntil?: (promise: Promise<unknown>) => void;
  /** When jobs that fail through this connection are tried again. Default: after 2 s, 4 s, ..., at most an hour. */
  readonly retry?: RetryOptions;
  /** The engine's own class, so that its `instanceof` recognises what is thrown, which has our `code` and `details` as well. */
  readonly StaleVersionError?: StaleVersionErrorClass;
}

/** What callers of the package are not offered. */
export interface CoreOptions extends ConnectionOptions {
  /**
   * False: the callback of a transaction runs again only if others wrote what it had read, since every call reads what it has to know.
   * Default true: it also runs again where a write was taken to be allowed and was not.
   */
  readonly assumes?: boolean;
}

/** A transaction under way, and the handle that its callback has. */
export interface Running {
  readonly unit: Transaction;
  readonly persistence: WorkflowPersistence;
}

/** Acting outside of the transaction could break its atomicity; joining it could lose what has nothing to do with it. So neither. */
const WHOSE =
  "A transaction of this connection is open, and where there is no AsyncLocalStorage nobody can tell whether this call belongs to it. " +
  "In the callback use tx, and tx.withTransaction to nest; jobs cannot join a transaction here. " +
  "For what has nothing to do with it, open another connection, or wait until the transaction has ended";

/** A transaction inside a transaction is part of it. */
async function join<T>(
  { unit, persistence }: Running,
  fn: (tx: WorkflowPersistence) => Promise<T>,
): Promise<T> {
  unit.requireOpen();
  unit.nested += 1;
  try {
    return await fn(persistence);
  } finally {
    unit.nested -= 1;
  }
}

/** A row that grows beyond its limit is told at the call that makes it grow, so the callback has to run once more for it. */
async function committed(unit: Transaction): ReturnType<Transaction["commit"]> {
  try {
    return await unit.commit();
  } catch (error) {
    if (isServiceError(error) && error.code === "PAYLOAD_TOO_LARGE" && unit.wroteUnseen) {
      return "mistaken";
    }
    throw error;
  }
}

export class ConnectionCore implements Backend {
  readonly persistence: WorkflowPersistence;
  readonly jobs: Jobs;
  readonly aiCalls: FlushableAICallLogger;
  readonly #direct: AutoCommit;
  readonly #chain: CallChain<Running>;
  readonly #assumes: boolean;

  constructor(store: Store, options: CoreOptions = {}, chain: CallChain<Running>) {
    this.#assumes = options.assumes ?? true;
    this.#chain = chain;
    const stale = staleOf(options.StaleVersionError ?? StaleVersionError);
    this.#direct = new AutoCommit(store, stale);
    this.persistence = persistenceOver(this.#direct, async (fn) => this.#withTransaction(fn));
    this.jobs = new Jobs({
      direct: this.#direct,
      current: () => this.#transaction()?.unit ?? this.#direct,
      claimed: (row) => {
        // The lease is taken, so nothing may be thrown any more.
        const running = this.#chain.current();
        if (running !== null && running !== "unknown" && running.unit.open) {
          running.unit.claimed(row);
        }
      },
      workerId: options.workerId ?? null,
      retry: options.retry,
    });
    this.aiCalls = new AICalls(this.#direct, options.waitUntil);
    ownMethods(this);
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
   * The transaction that the code which is running belongs to. Null also for what was begun in a callback and goes on after its commit, such as a heartbeat. What goes on from a run of
   * the callback that was given up may not act: nothing of that run has happened.
   * @throws INVALID_ARGUMENT where nobody can tell.
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
      ? this.#chain.whole(async () => this.#runToCommit(fn))
      : join(running, fn);
  }

  /** Runs the callback until what it read still holds when what it wrote lands. */
  async #runToCommit<T>(fn: (tx: WorkflowPersistence) => Promise<T>): Promise<T> {
    let assumes = this.#assumes;
    for (let run = 1; run <= TRANSACTION_RUNS_MAX; run += 1) {
      const unit = new Transaction(this.#direct, { assumes });
      const persistence: WorkflowPersistence = persistenceOver(unit, async (nested) =>
        join({ unit, persistence }, nested),
      );
      let value: T;
      let unfinished = false;
      try {
        value = await this.#chain.within({ unit, persistence }, () => fn(persistence));
        unfinished = unit.nested > 0;
      } catch (error) {
        await unit.close();
        // It may have been misled: then it runs again, and every call tells at once what is wrong.
        if (await unit.assumedRightly()) throw error;
        assumes = false;
        continue;
      }
      // Calls that the callback did not await still belong to it.
      await unit.close();
      // Half of what it writes may be there and half refused; waiting for it could be waiting for ourselves.
      if (unfinished) throw invalid("A nested transaction was not awaited; nothing was written");
      const outcome = await committed(unit);
      if (outcome === "landed") return value;
      if (outcome === "mistaken") assumes = false;
      else await backOff(run, 250);
    }
    throw new ServiceError(
      "CONFLICT",
      `Others kept writing what the transaction had read; it was run ${TRANSACTION_RUNS_MAX} times`,
    );
  }
}
