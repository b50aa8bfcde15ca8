/**
 * This project, as its contract is used: per step one transaction (complete the stage, two events, the next stage, complete the job, enqueue
 * the next one), then a claim. Embedded, and over a service binding.
 */
import {
  type Backend,
  type DequeueResult,
  embed,
  RunCoordinator,
  type WorkflowEngineEnv,
} from "workflow-engine-cloudflare";
import { connect } from "workflow-engine-cloudflare/client";
import type { Load } from "../protocol.ts";
import { type Drive, valueOf } from "./contestant.ts";
import type { Env } from "./env.ts";
import * as marks from "./marks.ts";

let counted: D1Database | null = null;

/** Coordinators that are made while the body runs use this database. */
export async function countedCoordinators<T>(db: D1Database, body: () => Promise<T>): Promise<T> {
  counted = db;
  try {
    return await body();
  } finally {
    counted = null;
  }
}

export class Coordinator extends RunCoordinator {
  constructor(state: DurableObjectState, env: Env) {
    super(state, { DB: counted ?? env.DB });
  }
}

/** The coordinators of the engine's runs, which have a database of their own. */
export class EngineCoordinator extends RunCoordinator {
  constructor(state: DurableObjectState, env: Env) {
    super(state, { DB: counted ?? env.ENGINE });
  }
}

/** The bindings without the queue. */
export const bindings = ({ DB, RUNS }: Env): WorkflowEngineEnv => ({ DB, RUNS });

/** The contract in process. No wake-up is sent. */
export const embedded = (env: Env): Backend =>
  embed(bindings(env), { workerId: "bench", wakes: false });

export const driveEmbedded: Drive = (env, ids, load) => drive(() => embedded(env), ids, load);

export const driveBound: Drive = (env, ids, load) =>
  drive(() => connect(env.WORKFLOWS, { workerId: "bench" }), ids, load);

/**
 * As many workers as runs, each with a connection of its own: a worker that asks for a job always
 * finds one.
 */
async function drive(open: () => Backend, ids: readonly string[], load: Load): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      const backend = open();
      await start(backend, id);
      marks.created(id);
      let goesOn = true;
      while (goesOn) goesOn = await work(backend, await next(backend), load);
    }),
  );
}

const WORKFLOW = { workflowId: "bench", workflowName: "Bench", workflowType: "bench" };

const stage = (workflowRunId: string, step: number) => ({
  workflowRunId,
  stageId: `s${step}`,
  stageName: `s${step}`,
  stageNumber: step + 1,
  executionGroup: step + 1,
  status: "RUNNING" as const,
  startedAt: new Date(),
});

const job = (workflowRunId: string, step: number) => ({
  workflowRunId,
  workflowId: WORKFLOW.workflowId,
  stageId: `s${step}`,
});

async function start({ persistence, jobs }: Backend, id: string): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    await tx.createRun({ id, ...WORKFLOW, input: {} });
    await tx.createStage(stage(id, 0));
    await jobs.enqueue(job(id, 0));
  });
}

async function next({ jobs }: Backend): Promise<DequeueResult> {
  const claimed = await jobs.dequeue();
  if (claimed === null) throw new Error("there is no job");
  return claimed;
}

/** One step of the run that the job is of. True: the run goes on. */
async function work(backend: Backend, claimed: DequeueResult, load: Load): Promise<boolean> {
  const { persistence, jobs } = backend;
  const { jobId, workflowRunId, stageId } = claimed;
  const step = Number(stageId.slice(1));
  const isLast = step === load.steps - 1;
  marks.begin(workflowRunId, step);
  const output = valueOf(step, load);
  const event = { workflowRunId, causationId: jobId, occurredAt: new Date() };
  await persistence.withTransaction(async (tx) => {
    await tx.updateStageByRunAndStageId(workflowRunId, stageId, {
      status: "COMPLETED",
      completedAt: new Date(),
      outputData: output,
    });
    await tx.appendOutboxEvents([
      { ...event, eventType: "stage:completed", payload: { stageId, output } },
      isLast
        ? { ...event, eventType: "workflow:completed", payload: {} }
        : { ...event, eventType: "stage:started", payload: { stageId: `s${step + 1}` } },
    ]);
    if (isLast) {
      await tx.updateRun(workflowRunId, { status: "COMPLETED", completedAt: new Date() });
    } else {
      await tx.createStage(stage(workflowRunId, step + 1));
    }
    await jobs.complete(jobId);
    if (!isLast) await jobs.enqueue(job(workflowRunId, step + 1));
  });
  return !isLast;
}
