/**
 * The handlers of the platform: the queue's consumer and the cron. Neither trusts what it is given.
 */
import type { JobHandler } from "../contract/index.ts";
import type { StageRunner, StageTools } from "../engine/delivery.ts";
import {
  consume,
  type ConsumersHandler,
  dispatchSettings,
  type WakeUpDelivery,
} from "../queue/index.ts";
import { BoundTools } from "./bound-tools.ts";
import { openStore, wakerOf, type WorkflowEngineEnv } from "./open-store.ts";
import { sweep } from "../schedule/sweep.ts";

/**
 * A batch of messages, as far as it is used: a `MessageBatch` of the platform fits.
 * @example
 * const batch: WakeUpBatch = {
 *   messages: [{ body: { v: 1, kind: "jobs" }, ack() {}, retry() {} }],
 * };
 * await dispatcher().queue(batch, env, ctx);
 */
export interface WakeUpBatch {
  readonly messages: readonly WakeUpDelivery[];
}

/**
 * What works the jobs, and by which clock.
 * @example
 * const options: DispatcherOptions<WorkflowEngineEnv> = {
 *   handler: () => ({ handleJob: async () => ({ status: "completed" }) }),
 * };
 */
export interface DispatcherOptions<Env extends WorkflowEngineEnv> {
  /**
   * Makes the handler that works the jobs in this Worker. Default: the `HANDLER` that is bound, if
   * there is one.
   */
  readonly handler?: (env: Env) => JobHandler;
  /** Makes what works the stages of typed workflows in this Worker: `engine` does. */
  readonly stages?: (env: Env) => StageRunner;
  /** The clock, in milliseconds. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * The two handlers, to be spread into a Worker's default export.
 * @example
 * const { queue, scheduled }: Dispatcher<WorkflowEngineEnv> = dispatcher();
 */
export interface Dispatcher<Env extends WorkflowEngineEnv> {
  /**
   * Consumes a batch of wake-ups: claims as many due jobs as there are messages for jobs, runs the
   * handler for each, and settles it. Logs the figures as one line of JSON, `wfe-consumed`. Every
   * message is acked or handed back.
   * @throws INVALID_ARGUMENT for a variable that is out of range.
   */
  queue(batch: WakeUpBatch, env: Env, ctx: Pick<ExecutionContext, "waitUntil">): Promise<void>;
  /**
   * Runs one tick of the sweep and logs its figures, a {@link SweepReport}, as one line of JSON,
   * `wfe-swept`.
   * @throws INVALID_ARGUMENT for a variable that is out of range.
   */
  scheduled(controller: unknown, env: Env, ctx: Pick<ExecutionContext, "waitUntil">): Promise<void>;
}

/**
 * Bytes of the jobs that the consumer takes in at once: the largest row, and as much again of small
 * ones. As JSON values they take many times that in memory, and an isolate has 128 MB.
 */
const TAKEN_IN_MAX = 2_500_000;

/** Names this invocation in the `workerId` of the jobs that it claims. */
function workerName(): string {
  return `consumer-${crypto.randomUUID().slice(0, 13)}`;
}

/**
 * The queue's consumer and the sweep, for a Worker's default export. The queue `JOBS` and a cron
 * trigger of one minute call them. Without a handler, messages are acked and jobs wait to be
 * polled.
 * @example
 * import { dispatcher, type WorkflowEngineEnv } from "workflow-engine-cloudflare";
 *
 * export default {
 *   fetch: async () => new Response("ok"),
 *   ...dispatcher({
 *     handler: () => ({ handleJob: async (job) => ({ status: "completed" }) }),
 *   }),
 * } satisfies ExportedHandler<WorkflowEngineEnv>;
 */
export function dispatcher<Env extends WorkflowEngineEnv = WorkflowEngineEnv>(
  options: DispatcherOptions<Env> = {},
): Dispatcher<Env> {
  const wakes = options.handler !== undefined || options.stages !== undefined || undefined;
  return {
    async queue(batch, env, ctx) {
      const started = Date.now();
      const open = (answerBytesMax?: number) =>
        openStore(env, {
          now: options.now,
          wakes,
          waitUntil: (promise) => ctx.waitUntil(promise),
          answerBytesMax,
        });
      const consumed = await consume(batch.messages, {
        store: open(),
        bounded: open(TAKEN_IN_MAX),
        handler: handlerOf(options, env),
        settings: dispatchSettings(env),
        workerId: workerName(),
        waitUntil: (promise) => ctx.waitUntil(promise),
      });
      if (consumed.claimed > 0) log("wfe-consumed", { ...consumed, ms: Date.now() - started });
    },
    async scheduled(_controller, env, ctx) {
      const started = Date.now();
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
  { handler, stages }: DispatcherOptions<Env>,
  env: Env,
): ConsumersHandler | null {
  if (handler !== undefined || stages !== undefined) {
    return {
      embedded: true,
      handler: handler?.(env) ?? STAGES_ALONE,
      ...(stages === undefined ? {} : { stages: stages(env) }),
    };
  }
  if (env.HANDLER === undefined) return null;
  const travelling = (tools: StageTools) => new BoundTools(tools);
  return { embedded: false, handler: env.HANDLER, travelling };
}

/** The handler of a Worker that works stages and no other jobs. */
const STAGES_ALONE: JobHandler = {
  handleJob: async () => ({
    status: "failed",
    error: "This Worker works stages of typed workflows alone",
    retry: false,
  }),
};

function log(event: string, figures: object): void {
  console.log(JSON.stringify({ event, ...figures }));
}
