/**
 * A pipeline that is written over the contract: each job's stage is stored, announced, settled and
 * followed by the next one in one transaction. One stage of each run waits once, and one run fails.
 */
import type {
  Backend,
  DequeueResult,
  FailedDelivery,
  JobOutcome,
  JobQueue,
  WorkflowPersistence,
} from "../../src/contract/index.ts";

export const STAGES: readonly string[] = ["first", "second", "third", "last"];
/** The run whose second stage fails for good. */
export const BROKEN = "broken";
const FAILS = "second";
const WAITS = "third";
const NAMES = { workflowId: "pipeline", workflowName: "Pipeline", workflowType: "pipeline" };

interface Step {
  readonly tx: WorkflowPersistence;
  readonly jobs: JobQueue;
  /** How often a job is tried. */
  readonly maxAttempts: number;
}

export async function startRun(
  { persistence, jobs }: Backend,
  id: string,
  maxAttempts = 3,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    await tx.createRun({ ...NAMES, id, input: {} });
    await tx.updateRun(id, { status: "RUNNING", startedAt: new Date() });
    await openStage({ tx, jobs, maxAttempts }, id, "first");
  });
}

async function openStage({ tx, jobs, maxAttempts }: Step, run: string, stageId: string) {
  const place = STAGES.indexOf(stageId) + 1;
  await tx.createStage({
    workflowRunId: run,
    stageId,
    stageName: stageId,
    stageNumber: place,
    executionGroup: place,
    status: "RUNNING",
  });
  await jobs.enqueue({ workflowRunId: run, workflowId: NAMES.workflowId, stageId, maxAttempts });
}

/** Works one job, over a connection of its own. */
export async function workJob(
  { persistence, jobs }: Backend,
  job: DequeueResult,
): Promise<JobOutcome> {
  jobs.adopt(job);
  const { workflowRunId, stageId, maxAttempts } = job;
  if (workflowRunId === BROKEN && stageId === FAILS) {
    return { status: "failed", error: "out of luck", retry: false };
  }
  return persistence.withTransaction(async (tx): Promise<JobOutcome> => {
    const stage = await tx.getStage(workflowRunId, stageId);
    if (stage === null) return { status: "failed", error: "no such stage", retry: false };
    if (stage.status === "COMPLETED") {
      await jobs.complete(job.jobId);
      return { status: "settled" };
    }
    const occurredAt = new Date();
    if (stageId === WAITS && stage.suspendedState === null) {
      const nextPollAt = new Date(occurredAt.getTime() + 1_000);
      const suspendedState = { since: occurredAt.getTime() };
      await tx.updateStage(stage.id, { status: "SUSPENDED", nextPollAt, suspendedState });
      return { status: "suspended", until: nextPollAt };
    }
    const completed = { status: "COMPLETED", completedAt: occurredAt } as const;
    await tx.updateStage(stage.id, { ...completed, nextPollAt: null });
    await tx.appendOutboxEvents([
      {
        workflowRunId,
        eventType: "stage.completed",
        payload: { stageId },
        causationId: job.jobId,
        occurredAt,
      },
    ]);
    const next = STAGES[STAGES.indexOf(stageId) + 1];
    if (next === undefined) await tx.updateRun(workflowRunId, completed);
    else await openStage({ tx, jobs, maxAttempts }, workflowRunId, next);
    await jobs.complete(job.jobId);
    return { status: "settled" };
  });
}

/** The attempts of a job are used up: its stage fails, and so does the run. May be called twice. */
export async function failRunOf(
  { persistence }: Backend,
  { workflowRunId, stageId, error }: FailedDelivery,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    const stage = await tx.getStage(workflowRunId, stageId);
    if (stage === null || stage.status === "FAILED") return;
    const failed = { status: "FAILED", completedAt: new Date() } as const;
    await tx.updateStage(stage.id, { ...failed, errorMessage: `told: ${error}` });
    await tx.updateRun(workflowRunId, failed);
  });
}
