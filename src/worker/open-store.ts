/**
 * The store over a Worker's bindings: D1, the coordinators, and wake-ups, if something can receive
 * them.
 */
import type { Store } from "../changes/index.ts";
import {
  CoordinatedStore,
  type CoordinatorEnv,
  type CoordinatorNamespace,
} from "../coordinator/index.ts";
import { D1Store } from "../store/index.ts";
import type { BoundHandler } from "../queue/stage-jobs.ts";
import { createWaker, type Waker, type WakeUpQueue } from "../queue/producer.ts";
import { type DispatchVars, dispatchSettings } from "../queue/settings.ts";
import { unwoken } from "../queue/waiting-stages.ts";
import { WakingStore } from "../queue/waking-store.ts";
import { hasStages, requireBindings } from "./bindings.ts";

/**
 * The bindings and variables of a Worker with the engine in it. docs/operations.md tells what each
 * variable does.
 * @example
 * interface Env extends WorkflowEngineEnv {
 *   readonly GREETING: string;
 * }
 * const read = (env: Env) => embed(env).persistence.getRunsByStatus("RUNNING");
 */
export interface WorkflowEngineEnv extends CoordinatorEnv, DispatchVars {
  /** The namespace of the Durable Object class `RunCoordinator`. */
  readonly RUNS: CoordinatorNamespace;
  /**
   * The Cloudflare Queue that carries wake-ups. Without it, jobs are found by polling. A Worker that
   * works jobs or stages itself needs it.
   */
  readonly JOBS?: WakeUpQueue;
  /** A named entrypoint of another Worker that works the jobs, or the stages of typed workflows. */
  readonly HANDLER?: BoundHandler;
}

/**
 * What sends wake-ups. Null without a queue, and while there is nothing to wake: no HANDLER is bound,
 * WAKE_UPS is not "on", and this Worker works no stages.
 */
export function wakerOf(env: WorkflowEngineEnv, wakes?: boolean): Waker | null {
  const { wakeUpsAlways } = dispatchSettings(env);
  const wanted = wakes ?? (hasStages() || env.HANDLER !== undefined || wakeUpsAlways);
  return env.JOBS === undefined || !wanted ? null : createWaker(env.JOBS);
}

export interface OpenStoreOptions {
  /** The clock, in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /**
   * Keeps the invocation alive while wake-ups are sent and coordinators are told of events. Without
   * it, the caller of a commit waits for that.
   */
  readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
  /** Whether wake-ups are sent. True: the queue must be bound. Default: {@link wakerOf} decides. */
  readonly wakes?: boolean | undefined;
  /**
   * What the queries of one call may answer together, in bytes; more is PAYLOAD_TOO_LARGE. Default:
   * no bound.
   */
  readonly answerBytesMax?: number | undefined;
}

/**
 * The store of a Worker. It keeps nothing but which coordinators have just failed, so each request
 * opens its own.
 * @throws INVALID_ARGUMENT for a binding that is missing, and for a variable that is out of range.
 */
export function openStore(env: WorkflowEngineEnv, options: OpenStoreOptions = {}): Store {
  const { now, waitUntil, answerBytesMax } = options;
  requireBindings(env, [
    "DB",
    "RUNS",
    ...((options.wakes ?? hasStages()) ? ["JOBS" as const] : []),
  ]);
  const direct = new D1Store(env.DB, { answerBytesMax, ...(now === undefined ? {} : { now }) });
  const store = new CoordinatedStore(direct, env.RUNS, { waitUntil, answerBytesMax });
  const waker = wakerOf(env, options.wakes);
  if (waker !== null) return new WakingStore(store, waker, options.waitUntil);
  return options.wakes === false ? store : unwoken(store);
}
