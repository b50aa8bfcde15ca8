/** Jobs that take runs of typed workflows from stage to stage, and what works the stages. */
import type { BoundJobHandler, DequeueResult, JobHandler } from "../contract/index.ts";
import type { StageRunner, StageTools } from "../engine/delivery.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { drive } from "../runner/drive.ts";
import { checkedGroupAnswer, checkedStageAnswer } from "./answers.ts";

/**
 * What is bound as `HANDLER`: it works jobs, or the stages of typed workflows, or both. Every property
 * of a stub looks like a method; a call of one that is not there fails.
 */
export type BoundHandler = BoundJobHandler & Partial<StageRunner>;

/**
 * An `embedded` handler runs in this Worker, and can be given a connection and a signal. `stages` works
 * the stages of typed workflows.
 */
export type ConsumersHandler =
  | { readonly embedded: true; readonly handler: JobHandler; readonly stages?: StageRunner }
  | {
      readonly embedded: false;
      readonly handler: BoundHandler;
      /** Makes of a stage's tools what travels to its Worker. Default: they travel as they are. */
      readonly travelling?: (tools: StageTools) => StageTools;
    };

/** How many further stages an invocation may work, all of its jobs together. */
export interface StagesLeft {
  count: number;
}

/**
 * Each stage asks D1 some six times, of the 1,000 that an invocation may; of another Worker each is an
 * invocation, of the 32 that a request may cause.
 */
const STAGES_EMBEDDED_MAX = 150;
const STAGES_BOUND_MAX = 28;

/** What is left after the first stage of each job. */
export function stagesFor({ embedded }: ConsumersHandler, jobs: number): StagesLeft {
  return { count: (embedded ? STAGES_EMBEDDED_MAX : STAGES_BOUND_MAX) - jobs };
}

/**
 * A worker goes on with further stages for this long. The last of them may take all the time of a
 * handler, 14 minutes, and a consumer has 15.
 */
export const GOES_ON_MS = 30_000;

export interface StageJob {
  readonly job: DequeueResult;
  /** Aborted when the lease is lost, or the time is up. */
  readonly signal: AbortSignal;
  readonly stagesLeft: StagesLeft;
}

/** Takes the job's run from stage to stage, and settles the job. */
export async function workStages(
  { job, signal, stagesLeft }: StageJob,
  handler: ConsumersHandler,
  unit: OwnUnit,
): Promise<void> {
  const { jobId, workflowRunId, stageId, attempt } = job;
  const ordinal = jobId.slice(workflowRunId.length + 1);
  const until = Date.now() + GOES_ON_MS;
  await drive(
    { workflowRunId, ordinal, stageId, attempt },
    {
      unit,
      runner: runnerOf(handler),
      signal,
      goesOn() {
        stagesLeft.count -= 1;
        return stagesLeft.count >= 0 && Date.now() < until;
      },
    },
  );
}

/** @throws where nothing works stages: then the job fails with that reason. */
function runnerOf(of: ConsumersHandler): StageRunner {
  if (of.embedded) {
    if (of.stages !== undefined) return of.stages;
    throw new Error("No workflows: this Worker's dispatcher was given none");
  }
  const { handler, travelling = (tools: StageTools) => tools } = of;
  const lacks = () => new Error("No workflows: the HANDLER is no StageWorker");
  return {
    async runStage(delivery, tools) {
      if (handler.runStage === undefined) throw lacks();
      return checkedStageAnswer(await handler.runStage(delivery, travelling(tools)));
    },
    async afterGroup(delivery, tools) {
      if (handler.afterGroup === undefined) throw lacks();
      return checkedGroupAnswer(await handler.afterGroup(delivery, travelling(tools)));
    },
  };
}
