/** The store over a Worker's bindings: D1, coordinators, and wake-ups where there is somebody to wake. */
import type { Store } from "../changes/index.ts";
import type { BoundJobHandler } from "../contract/index.ts";
import {
  CoordinatedStore,
  type CoordinatorEnv,
  type CoordinatorNamespace,
} from "../coordinator/index.ts";
import { D1Store } from "../store/index.ts";
import { createWaker, type Waker, type WakeUpQueue } from "../queue/producer.ts";
import { type DispatchVars, dispatchSettings } from "../queue/settings.ts";
import { WakingStore } from "../queue/waking-store.ts";

/** The bindings and variables of a Worker with the engine in it. */
export interface WorkflowEngineEnv extends CoordinatorEnv, DispatchVars {
  readonly RUNS: CoordinatorNamespace;
  /** The Cloudflare Queue that carries wake-ups. Without it, jobs are found by those who poll. */
  readonly JOBS?: WakeUpQueue;
  /** A named entrypoint of another Worker that works the jobs. */
  readonly HANDLER?: BoundJobHandler;
}

/** Who is woken: nobody without a queue, or while neither a HANDLER is bound nor WAKE_UPS is "on". */
export function wakerOf(env: WorkflowEngineEnv, wakes?: boolean): Waker | null {
  const { wakeUpsAlways } = dispatchSettings(env);
  const wanted = wakes ?? (env.HANDLER !== undefined || wakeUpsAlways);
  return env.JOBS === undefined || !wanted ? null : createWaker(env.JOBS);
}

export interface OpenStoreOptions {
  /** Milliseconds; default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** Keeps the invocation alive while wake-ups are sent, and those who watch are told of events. Without it, a commit's caller waits for that. */
  readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
  /** Whether wake-ups are sent; default: {@link wakerOf} decides. */
  readonly wakes?: boolean | undefined;
  /** What the queries of one call may answer together, in bytes; more is PAYLOAD_TOO_LARGE. Absent: whatever there is. */
  readonly answerBytesMax?: number | undefined;
}

export function openStore(env: WorkflowEngineEnv, options: OpenStoreOptions = {}): Store {
  const { now, waitUntil, answerBytesMax } = options;
  const direct = new D1Store(env.DB, { answerBytesMax, ...(now === undefined ? {} : { now }) });
  const store = new CoordinatedStore(direct, env.RUNS, { waitUntil, answerBytesMax });
  const waker = wakerOf(env, options.wakes);
  return waker === null ? store : new WakingStore(store, waker, options.waitUntil);
}
