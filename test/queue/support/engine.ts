/**
 * A small engine: runs of stages, each worked by a job, each step a transaction that stores the result and settles the job. It does
 * what an engine does, so that the audit has something to look at.
 */
import type {
  Backend,
  DequeueResult,
  HandlerContext,
  JobHandler,
  JobOutcome,
  JobRecord,
  OutboxRecord,
  WorkflowPersistence,
} from "../../../src/contract/index.ts";
import { HOUR_MS } from "./world.ts";

/**
 * What a stage's first delivery does; later ones complete it.
 * - `completes`: at once.
 * - `answers`: leaves the settling of its job to the consumer.
 * - `retries`: fails, and is tried again.
 * - `suspends`: its job, for an hour, and the stage with it.
 * - `polls`: suspends the stage for an hour and completes the job. No engine polls it, so the sweep gives it another job a day later.
 * - `delays`: completes, and has the next stage start 25 hours later.
 */
export type Behaviour = "completes" | "answers" | "retries" | "suspends" | "polls" | "delays";

const SUSPENDED_MS = HOUR_MS;
export const DELAY_MS = 25 * HOUR_MS;
const NAMES = { workflowId: "w", workflowName: "W", workflowType: "t" };

export interface Plan {
  readonly run: string;
  readonly stages: readonly Behaviour[];
}

export function planOf(...stages: Behaviour[]): Plan {
  return { run: `run-${stages.join("-")}`, stages };
}

export class Engine implements JobHandler {
  /** Deliveries that a handler was given, as `job#attempt`. */
  readonly given: string[] = [];
  readonly #plans: ReadonlyMap<string, Plan>;
  readonly #now: () => number;

  constructor(plans: readonly Plan[], now: () => number) {
    this.#plans = new Map(plans.map((plan) => [plan.run, plan]));
    this.#now = now;
  }

  /** Creates the run, its first stage and that one's job, or nothing. May be repeated. */
  async start({ persistence, jobs }: Backend, { run }: Plan): Promise<void> {
    await persistence.withTransaction(async (tx) => {
      if ((await tx.getRun(run)) !== null) return;
      await tx.createRun({ ...NAMES, id: run, input: {} });
      await tx.updateRun(run, { status: "RUNNING", startedAt: new Date(this.#now()) });
      await this.#begin(tx, jobs, run, 0);
    });
  }

  async handleJob(job: DequeueResult, context?: HandlerContext): Promise<JobOutcome> {
    this.given.push(`${job.jobId}#${job.attempt}`);
    if (context === undefined) throw new Error("The engine is embedded");
    return this.#work(job, context);
  }

  async #begin(
    tx: WorkflowPersistence,
    jobs: Backend["jobs"],
    run: string,
    index: number,
    scheduledFor?: Date,
  ): Promise<void> {
    const stageId = String(index);
    await tx.createStage({
      workflowRunId: run,
      stageId,
      stageName: stageId,
      stageNumber: index,
      executionGroup: index,
      status: "RUNNING",
    });
    await jobs.enqueue({
      workflowRunId: run,
      workflowId: NAMES.workflowId,
      stageId,
      ...(scheduledFor === undefined ? {} : { scheduledFor }),
    });
  }

  async #work(job: DequeueResult, context: HandlerContext): Promise<JobOutcome> {
    const { workflowRunId: run, stageId } = job;
    const plan = this.#plans.get(run);
    const index = Number(stageId);
    const behaviour = plan?.stages[index] ?? "completes";
    if (behaviour === "retries" && job.attempt === 1) throw new Error("Not yet");
    return context.persistence.withTransaction(async (tx): Promise<JobOutcome> => {
      const stage = await tx.getStage(run, stageId);
      const first = stage?.suspendedState === null;
      if (first && (behaviour === "suspends" || behaviour === "polls")) {
        const nextPollAt = new Date(this.#now() + SUSPENDED_MS);
        const suspendedState = { since: this.#now() };
        const update = { status: "SUSPENDED" as const, nextPollAt, suspendedState };
        await tx.updateStageByRunAndStageId(run, stageId, update);
        if (behaviour === "suspends") return { status: "suspended", until: nextPollAt };
        await context.jobs.complete(job.jobId);
        return { status: "settled" };
      }
      if (stage?.status !== "COMPLETED") await this.#finish(tx, job, context, plan);
      if (behaviour === "answers") return { status: "completed" };
      await context.jobs.complete(job.jobId);
      return { status: "settled" };
    });
  }

  /** Ends the stage with its event, and begins the next one or ends the run. */
  async #finish(
    tx: WorkflowPersistence,
    job: DequeueResult,
    { jobs }: HandlerContext,
    plan: Plan | undefined,
  ): Promise<void> {
    const { workflowRunId: run, stageId, jobId } = job;
    const index = Number(stageId);
    const occurredAt = new Date(this.#now());
    const completed = { status: "COMPLETED" as const, completedAt: occurredAt };
    await tx.updateStageByRunAndStageId(run, stageId, { ...completed, nextPollAt: null });
    await tx.appendOutboxEvents([
      {
        workflowRunId: run,
        eventType: `stage-${stageId}`,
        payload: {},
        causationId: jobId,
        occurredAt,
      },
    ]);
    if (index + 1 < (plan?.stages.length ?? 0)) {
      const delayed = plan?.stages[index] === "delays";
      const at = delayed ? new Date(this.#now() + DELAY_MS) : undefined;
      await this.#begin(tx, jobs, run, index + 1, at);
    } else await tx.updateRun(run, completed);
  }
}

/** What the rows tell of a plan: to be compared with {@link finished}. */
export async function told({ persistence, jobs }: Backend, { run }: Plan) {
  const events = (await persistence.getUnpublishedOutboxEvents(1_000)).filter(
    ({ workflowRunId }) => workflowRunId === run,
  );
  const ofRun = await jobs.getJobsByWorkflowRun(run);
  return {
    run: await persistence.getRunStatus(run),
    stages: (await persistence.getStagesByRun(run)).map(({ status }) => status),
    jobs: ofRun.map(({ stageId, status }) => `${stageId} ${status}`),
    events: events.map(({ sequence, eventType }) => `${sequence} ${eventType}`),
    causes: causesAmong(events, ofRun),
  };
}

/** The events' causes that are jobs of the run, each once. */
function causesAmong(events: readonly OutboxRecord[], jobs: readonly JobRecord[]): number {
  const ids = new Set(jobs.map(({ id }) => id));
  return new Set(events.map(({ causationId }) => causationId).filter((id) => ids.has(id))).size;
}

/** Everything has happened, and exactly once. A stage that polls has had two jobs. */
export function finished({ stages }: Plan): Awaited<ReturnType<typeof told>> {
  return {
    run: "COMPLETED",
    stages: stages.map(() => "COMPLETED"),
    jobs: stages.flatMap((behaviour, index) =>
      Array.from({ length: behaviour === "polls" ? 2 : 1 }, () => `${index} COMPLETED`),
    ),
    events: stages.map((_, index) => `${index + 1} stage-${index}`),
    causes: stages.length,
  };
}
