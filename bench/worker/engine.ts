/**
 * This project's engine: a workflow of stages that answer a value, started by its `runs` and worked there;
 * what they leave, in the queue's consumer. In this Worker, and as the stages of a service that is bound.
 */
import type { WorkflowEngineEnv } from "workflow-engine-cloudflare";
import { connect } from "workflow-engine-cloudflare/client";
import * as z from "zod";
import type { Runs, Workflow } from "workflow-engine-cloudflare/engine";
import { engine, runsIn, runsOver, StageWorker } from "workflow-engine-cloudflare/engine/worker";
import { Chain } from "../../src/engine/chain.ts";
import type { Load } from "../protocol.ts";
import { type Drive, valueOf } from "./contestant.ts";
import type { Env } from "./env.ts";
import * as marks from "./marks.ts";

interface Input extends Load {
  readonly id: string;
}

const input = z.object({ id: z.string(), steps: z.number(), valueBytes: z.number() });

/** Stages that are short are worked at once where their run is started. */
const SHORT = { timeout: "10s" } as const;

/** Each stage takes the run's input from the first one: the others are given the output before them. */
function workflowOf(steps: number): Workflow {
  const first = ({ input: load }: { input: Input }) => {
    loads.set(load.id, load);
    return stepOf(load.id, 0);
  };
  let chain = Chain.of(`bench-${steps}`, { input }).stage("s0", first, SHORT);
  for (let step = 1; step < steps; step += 1) {
    const next = ({ input: { run } }: { input: { run: string } }) => stepOf(run, step);
    chain = chain.stage(`s${step}`, next, SHORT);
  }
  return chain.build();
}

/** The loads of the runs that are under way, by run. */
const loads = new Map<string, Load>();

function stepOf(run: string, step: number) {
  marks.begin(run, step);
  const load = loads.get(run) ?? { steps: 1, valueBytes: 0 };
  return { run, ...valueOf(step, load) };
}

const WORKFLOWS = new Map([8, 16, 128].map((steps) => [steps, workflowOf(steps)]));

let counted: D1Database | null = null;

/** The consumer uses this database while the body runs. */
export async function countedEngine<T>(db: D1Database, body: () => Promise<T>): Promise<T> {
  counted = db;
  try {
    return await body();
  } finally {
    counted = null;
  }
}

const bindings = ({ ENGINE, ENGINE_RUNS, ENGINE_JOBS }: Env): WorkflowEngineEnv => ({
  DB: counted ?? ENGINE,
  RUNS: ENGINE_RUNS,
  JOBS: ENGINE_JOBS,
});

const worker = engine<WorkflowEngineEnv>({ workflows: [...WORKFLOWS.values()] });

export async function consumeStages(
  batch: MessageBatch,
  env: Env,
  context: ExecutionContext,
): Promise<void> {
  await worker.queue(batch, bindings(env), context);
}

/** The stages of the bound service. */
export class Stages extends StageWorker<Env> {
  readonly workflows = [...WORKFLOWS.values()];
}

export const driveEngine: Drive = (env, ids, load) =>
  // The request lives until the runs have ended.
  drive(() => runsIn(bindings(env), { waitUntil: () => {} }), ids, load);

export const driveEngineBound: Drive = (env, ids, load) =>
  drive(() => runsOver(connect(env.ENGINE_SERVICE), env, { waitUntil: () => {} }), ids, load);

async function drive(open: () => Runs, ids: readonly string[], load: Load): Promise<void> {
  const found = WORKFLOWS.get(load.steps);
  if (found === undefined) throw new Error(`No workflow of ${load.steps} steps`);
  await Promise.all(
    ids.map(async (id) => {
      const run = await open().start(found, { id, ...load });
      marks.created(id);
      const { status } = await run.output({ within: "1m" });
      loads.delete(id);
      if (status !== "COMPLETED") throw new Error(`run ${id} is ${status}`);
    }),
  );
}
