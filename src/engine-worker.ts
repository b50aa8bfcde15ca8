/**
 * `workflow-engine-cloudflare/engine/worker`: what runs typed workflows on Workers. `engine` is a whole
 * Worker: storage, queue's consumer, cron and stages. `StageWorker` is an app beside the service, which
 * calls it for each stage that it has to work. `runsIn` and `runsOver` start runs, and begin their short
 * first stages. Wiring, and the line on the console of a try that fails.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Backend, BoundJobHandler, JobOutcome } from "./contract/index.ts";
import type {
  GroupAnswer,
  GroupDelivery,
  StageAnswer,
  StageDelivery,
  StageRunner,
  StageTools,
} from "./engine/delivery.ts";
import type { Runs } from "./engine/runs.ts";
import { stackOf } from "./engine/thrown.ts";
import { type FailedTry, stageRunner } from "./engine/work.ts";
import type { Workflow } from "./engine/workflow.ts";
import { embed } from "./embed.ts";
import { app } from "./http/app.ts";
import type { HttpEnv } from "./http/env.ts";
import { logLine } from "./http/log-line.ts";
import { dispatchSettings } from "./queue/index.ts";
import { workingAtOnce } from "./runner/at-once.ts";
import { runsOf } from "./runner/runs.ts";
import { declareStages, dispatcher } from "./worker/index.ts";

export { RunCoordinator } from "./coordinator/index.ts";
export type { WorkflowEngineEnv } from "./worker/index.ts";

/**
 * What a Worker with its own storage is made of.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const options: EngineOptions<HttpEnv> = { workflows: [hello] };
 */
export interface EngineOptions<Env extends HttpEnv> {
  /** Every workflow whose runs this Worker works. */
  readonly workflows: readonly Workflow[];
  /** Answers the Worker's requests. Default: the HTTP API. */
  readonly fetch?: (
    request: Request,
    env: Env,
    ctx: ExecutionContext,
  ) => Response | Promise<Response>;
}

/**
 * The default export of a Worker that is everything: it keeps the runs, works their stages, and answers
 * requests. It needs the bindings `DB`, `RUNS` and `JOBS`, to consume that queue, a cron of one minute, and
 * to export `RunCoordinator`. Every commit of such a Worker wakes the queue's consumer: those over its
 * HTTP API, `embed` and its entrypoints, too. Without one of the bindings each of them is refused:
 * INVALID_ARGUMENT, and over HTTP NOT_CONFIGURED.
 * Each try of a stage that fails is a line of JSON on the console, `wfe-stage-failed`, with the error's
 * stack.
 * @throws INVALID_ARGUMENT for two workflows of one id.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 * import { engine, runsIn } from "workflow-engine-cloudflare/engine/worker";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 *
 * export { RunCoordinator } from "workflow-engine-cloudflare/engine/worker";
 * export default engine({
 *   workflows: [hello],
 *   async fetch(request, env, ctx) {
 *     const run = await runsIn(env, ctx).start(hello, { name: await request.text() });
 *     return Response.json(await run.output({ within: "30s" }));
 *   },
 * });
 */
export function engine<Env extends HttpEnv = HttpEnv>({ workflows, fetch }: EngineOptions<Env>) {
  // Two workflows of one id are told when the Worker starts, not when its first stage is worked.
  runnerOf(workflows, undefined);
  declareStages();
  return {
    fetch:
      fetch ??
      (async (request: Request, env: Env, ctx: ExecutionContext) => app.fetch(request, env, ctx)),
    ...dispatcher<Env>({ stages: (env) => runnerOf(workflows, env) }),
  };
}

/**
 * The runs of typed workflows, in a Worker that has the bindings itself. Make it once per request.
 * @throws INVALID_ARGUMENT where `DB`, `RUNS` or `JOBS` is not bound, with the lines that bind it; and for
 * variables that are out of range. Nothing was written.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const cancelled = (env: HttpEnv, ctx: ExecutionContext, id: string) =>
 *   runsIn(env, ctx).get(hello, id).cancel("not needed any more");
 */
export function runsIn(env: HttpEnv, ctx: Pick<ExecutionContext, "waitUntil">): Runs {
  const waitUntil = (promise: Promise<unknown>) => ctx.waitUntil(promise);
  const { leaseMs } = dispatchSettings(env);
  const worker = workingAtOnce({ runnerOf: runnerFor(env), waitUntil, leaseMs });
  return runsOf(embed(env, { wakes: true, waitUntil }), { worker });
}

/**
 * The runs of typed workflows, over a connection, in a Worker that has their stages: it begins a run's
 * first stages at once, where they are short, and the service goes on with the others. Make it once per
 * request. Where a Worker only starts runs, `runsOf` does.
 * @param env what those stages get as their `env`.
 * @throws INVALID_ARGUMENT for a connection that this package did not make.
 * @example
 * import * as z from "zod";
 * import { connect } from "workflow-engine-cloudflare/client";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 * import { runsOver } from "workflow-engine-cloudflare/engine/worker";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`, { timeout: "5s" })
 *   .build();
 * const run = await runsOver(connect(env.WORKFLOWS), env, ctx).start(hello, { name: "Ada" });
 */
export function runsOver(
  connection: Backend,
  env: object,
  ctx: Pick<ExecutionContext, "waitUntil">,
): Runs {
  const waitUntil = (promise: Promise<unknown>) => ctx.waitUntil(promise);
  return runsOf(connection, { worker: workingAtOnce({ runnerOf: runnerFor(env), waitUntil }) });
}

function runnerFor(env: object) {
  return (workflow: Workflow) => runnerOf([workflow], env);
}

function runnerOf(workflows: readonly Workflow[], env: unknown): StageRunner {
  return stageRunner(workflows, { env, now: Date.now, onFailure: logFailure });
}

/** Characters of a stack that its line has. */
const STACK_LENGTH_MAX = 8_000;

function logFailure({ delivery, error, retryInMs, thrown }: FailedTry): void {
  const { run, stageId, attempt } = delivery;
  const line = {
    event: "wfe-stage-failed",
    runId: run.id,
    workflow: run.workflowId,
    stage: stageId,
    attempt,
    // Null: it is not tried again.
    retryInMs,
    error,
    stack: stackOf(thrown),
  };
  console.error(logLine(line, STACK_LENGTH_MAX));
}

/**
 * Works the stages of an app beside the service, which binds it as `HANDLER`. The service calls it once
 * for each stage, and commits what it answers. Each try that fails is a line of JSON on the console,
 * `wfe-stage-failed`, with the error's stack.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 * import { StageWorker } from "workflow-engine-cloudflare/engine/worker";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 *
 * export class Stages extends StageWorker {
 *   workflows = [hello];
 * }
 */
export abstract class StageWorker<Env = Cloudflare.Env>
  extends WorkerEntrypoint<Env>
  implements BoundJobHandler, StageRunner
{
  /** Every workflow whose stages this Worker works. */
  abstract readonly workflows: readonly Workflow[];

  async runStage(delivery: StageDelivery, tools: StageTools): Promise<StageAnswer> {
    return runnerOf(this.workflows, this.env).runStage(delivery, tools);
  }

  async afterGroup(delivery: GroupDelivery, tools: StageTools): Promise<GroupAnswer> {
    return runnerOf(this.workflows, this.env).afterGroup(delivery, tools);
  }

  /** Jobs that no typed workflow made: override it to work them. */
  async handleJob(): Promise<JobOutcome> {
    return {
      status: "failed",
      error: "This Worker works stages of typed workflows alone",
      retry: false,
    };
  }
}
