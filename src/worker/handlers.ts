/** The handlers of the platform: the queue's consumer and the cron. Neither trusts what it is handed. */
import type { JobHandler } from "../contract/index.ts";
import {
  consume,
  type ConsumersHandler,
  dispatchSettings,
  type WakeUpDelivery,
} from "../queue/index.ts";
import { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
import { sweep } from "../schedule/sweep.ts";

/** A batch of messages, as far as it is used. */
export interface WakeUpBatch {
  readonly messages: readonly WakeUpDelivery[];
}

export interface DispatcherOptions<Env extends WorkflowEngineEnv> {
  /** Who works the jobs in this Worker. Default: the `HANDLER` that is bound, if any. */
  readonly handler?: (env: Env) => JobHandler;
  /** Milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

export interface Dispatcher<Env extends WorkflowEngineEnv> {
  queue(batch: WakeUpBatch, env: Env, ctx: Pick<ExecutionContext, "waitUntil">): Promise<void>;
  /** One tick of the sweep. Logs its figures, a {@link SweepReport}, as one line of JSON. */
  scheduled(controller: unknown, env: Env, ctx: Pick<ExecutionContext, "waitUntil">): Promise<void>;
}

/** Tells the invocations apart that claim, in the jobs' `workerId`. */
function workerName(): string {
  return `consumer-${crypto.randomUUID().slice(0, 13)}`;
}

export function dispatcher<Env extends WorkflowEngineEnv = WorkflowEngineEnv>(
  options: DispatcherOptions<Env> = {},
): Dispatcher<Env> {
  return {
    async queue(batch, env, ctx) {
      const started = Date.now();
      const wakes = options.handler !== undefined || undefined;
      const consumed = await consume(batch.messages, {
        store: openStore(env, {
          now: options.now,
          wakes,
          waitUntil: (promise) => ctx.waitUntil(promise),
        }),
        handler: handlerOf(options, env),
        settings: dispatchSettings(env),
        workerId: workerName(),
        waitUntil: (promise) => ctx.waitUntil(promise),
      });
      if (consumed.claimed > 0) log("wfe-consumed", { ...consumed, ms: Date.now() - started });
    },
    async scheduled(_controller, env, ctx) {
      const started = Date.now();
      const wakes = options.handler !== undefined || undefined;
      const report = await sweep({
        store: openStore(env, {
          now: options.now,
          wakes,
          waitUntil: (promise) => ctx.waitUntil(promise),
        }),
        settings: dispatchSettings(env),
        waker: wakerOf(env, wakes),
        queue: env.JOBS,
        handler: handlerOf(options, env),
      });
      log("wfe-swept", { ...report, ms: Date.now() - started });
    },
  };
}

function handlerOf<Env extends WorkflowEngineEnv>(
  { handler }: DispatcherOptions<Env>,
  env: Env,
): ConsumersHandler | null {
  if (handler !== undefined) return { embedded: true, handler: handler(env) };
  return env.HANDLER === undefined ? null : { embedded: false, handler: env.HANDLER };
}

function log(event: string, figures: object): void {
  console.log(JSON.stringify({ event, ...figures }));
}
