/**
 * Works jobs: takes one, executes its stage, commits the result. A worker may vanish at any instant.
 * What it had not committed is then done again by another one, once its lease has run out; what it
 * had committed is found complete. So a stage may be executed twice, but it is completed once.
 */
import {
  type Backend,
  isRetryable,
  isServiceError,
  type WorkflowRunRecord,
  type WorkflowStageRecord,
} from "workflow-engine-cloudflare/client";
import { advanceRun, elapsed, event, failRun } from "./advance.ts";
import {
  findStage,
  findWorkflow,
  isFinal,
  type StageDefinition,
  type StageResult,
  type Workflow,
} from "./pipeline.ts";

export interface WorkLimits {
  /** A job held for longer than this without a sign of life is given to another worker. */
  readonly leaseMs: number;
  readonly maxJobs: number;
  /** No further job is started after this long. */
  readonly budgetMs: number;
}

export type JobOutcome = "completed" | "waiting" | "failed" | "dropped";

export interface WorkedJob {
  readonly runId: string;
  readonly stageId: string;
  readonly outcome: JobOutcome;
}

export interface WorkResult {
  readonly worked: readonly WorkedJob[];
  /** True when no job was due; there may be some that are leased or wait for their time. */
  readonly idle: boolean;
}

/** A stage that waits is asked again soon at first, and less often the longer it has been waiting. */
const POLL_MS = { min: 400, max: 60_000 };

interface Job {
  readonly jobId: string;
  readonly runId: string;
  readonly stageId: string;
}

/** A job with everything that belongs to it. */
interface Assignment {
  readonly job: Job;
  readonly run: WorkflowRunRecord;
  readonly workflow: Workflow;
  readonly stage: StageDefinition;
}

/** Works jobs until none is due or a limit is reached. Any number of these may run at once. */
export async function work(backend: Backend, limits: WorkLimits): Promise<WorkResult> {
  const deadline = Date.now() + limits.budgetMs;
  const worked: WorkedJob[] = [];
  await recover(backend, limits.leaseMs);
  while (worked.length < limits.maxJobs && Date.now() < deadline) {
    const job = (await dequeue(backend)) ?? (await nextPoll(backend));
    if (job === null) return { worked, idle: true };
    const { runId, stageId } = job;
    worked.push({ runId, stageId, outcome: await workJob(backend, job) });
  }
  return { worked, idle: false };
}

async function dequeue({ jobs }: Backend): Promise<Job | null> {
  const job = await jobs.dequeue();
  return job === null ? null : asJob(job);
}

/** Asking is not exclusive, so take any: workers that all took the first would do the same work. */
async function nextPoll({ jobs }: Backend): Promise<Job | null> {
  const ready = await jobs.getSuspendedJobsReadyToPoll();
  const poll = ready[Math.floor(Math.random() * ready.length)];
  return poll === undefined ? null : asJob(poll);
}

function asJob(job: { jobId: string; workflowRunId: string; stageId: string }): Job {
  return { jobId: job.jobId, runId: job.workflowRunId, stageId: job.stageId };
}

/** Takes back what dead workers hold, and ends the runs whose job has died too often. */
async function recover(backend: Backend, leaseMs: number): Promise<void> {
  const { persistence, jobs } = backend;
  await jobs.releaseStaleJobs(leaseMs);
  for (const run of await persistence.getStuckRuns(new Date(Date.now() - leaseMs))) {
    if (findWorkflow(run.workflowId) === undefined) continue;
    for (const { id: jobId, stageId, status } of await jobs.getJobsByWorkflowRun(run.id)) {
      if (status !== "FAILED") continue;
      await fail(backend, { jobId, runId: run.id, stageId }, "its workers kept dying", false);
    }
  }
}

async function workJob(backend: Backend, job: Job): Promise<JobOutcome> {
  try {
    const assignment = await begin(backend, job);
    if (assignment === null) return "dropped";
    const { run, stage } = assignment;
    const result = await stage.execute({ persistence: backend.persistence, run });
    return await commit(backend, assignment, result);
  } catch (error) {
    return await handleError(backend, job, error);
  }
}

/** Shows the stage as RUNNING. Null: there is nothing left to do, and the job is settled. */
async function begin({ persistence, jobs }: Backend, job: Job): Promise<Assignment | null> {
  return await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(job.runId);
    const record = await tx.getStage(job.runId, job.stageId);
    const workflow = run === null ? undefined : findWorkflow(run.workflowId);
    const stage = workflow === undefined ? undefined : findStage(workflow, job.stageId);
    if (run === null || record === null || workflow === undefined || stage === undefined) {
      await jobs.fail(job.jobId, "no such stage in this app");
      return null;
    }
    if (isFinal(run.status) || isFinal(record.status)) {
      if (!isFinal(record.status)) await tx.updateStage(record.id, { status: "CANCELLED" });
      await jobs.complete(job.jobId);
      return null;
    }
    if (record.status === "PENDING") {
      await tx.updateStage(record.id, { status: "RUNNING", startedAt: new Date() });
    }
    return { job, run, workflow, stage };
  });
}

/**
 * Everything that a stage's end means, in one commit: output, status, log, annotations, the job, the
 * next stages with their jobs, and the events. A crash leaves either all of it or nothing.
 */
async function commit(
  { persistence, jobs }: Backend,
  assignment: Assignment,
  result: StageResult,
): Promise<JobOutcome> {
  const { job, workflow } = assignment;
  return await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(job.runId);
    const stage = await tx.getStage(job.runId, job.stageId);
    if (run === null || stage === null || isFinal(stage.status)) {
      await jobs.complete(job.jobId);
      return "dropped";
    }
    const now = new Date();
    const step = { tx, jobs, now };
    if (result.kind === "wait") {
      const nextPollAt = nextPollOf(stage, now);
      await tx.updateStage(stage.id, {
        status: "SUSPENDED",
        nextPollAt,
        suspendedState: { waitsFor: result.waitsFor },
      });
      await jobs.suspend(job.jobId, nextPollAt);
      return "waiting";
    }
    await storeResult(tx, stage, workflow, result, now);
    await jobs.complete(job.jobId);
    await tx.appendOutboxEvents([
      event(run.id, "stage.completed", { stageId: stage.stageId, summary: result.summary }, now),
    ]);
    await advanceRun(step, run, workflow, stage.executionGroup);
    return "completed";
  });
}

function nextPollOf(stage: WorkflowStageRecord, now: Date): Date {
  const waited = elapsed(stage.startedAt ?? stage.createdAt, now);
  return new Date(now.getTime() + Math.min(Math.max(waited / 4, POLL_MS.min), POLL_MS.max));
}

async function storeResult(
  tx: Backend["persistence"],
  stage: WorkflowStageRecord,
  workflow: Workflow,
  result: Extract<StageResult, { kind: "done" }>,
  now: Date,
): Promise<void> {
  const { workflowRunId, stageId } = stage;
  const link = { workflowRunId, workflowStageId: stage.id };
  const artifactKey = await tx.saveStageOutput(
    workflowRunId,
    workflow.type,
    stageId,
    result.output,
  );
  for (const [key, data] of Object.entries(result.artifacts ?? {})) {
    const size = new TextEncoder().encode(JSON.stringify(data)).length;
    await tx.saveArtifact({ ...link, key, type: "ARTIFACT", data, size });
  }
  await tx.updateStage(stage.id, {
    status: "COMPLETED",
    completedAt: now,
    duration: elapsed(stage.startedAt ?? stage.createdAt, now),
    outputData: { artifactKey, summary: result.summary },
    nextPollAt: null,
  });
  await tx.createLog({ ...link, level: "INFO", message: `${stageId}: ${result.summary}` });
  await tx.appendAnnotations(
    (result.remarks ?? []).map((remark) => ({
      workflowRunId,
      workflowStageRecordId: stage.id,
      scope: "stage",
      scopeId: stageId,
      actor: { kind: "system", id: `documents.${stageId}`, version: "1" },
      ...remark,
    })),
  );
}

async function handleError(backend: Backend, job: Job, error: unknown): Promise<JobOutcome> {
  const code = isServiceError(error) ? error.code : null;
  // Another worker was given the job while this one was busy; the result is its to commit.
  if (code === "LEASE_LOST") return "dropped";
  // The service is away: there is no one to tell. The lease will run out.
  if (code !== null && isRetryable(code)) throw error;
  const hopeless = code === "INVALID_ARGUMENT" || code === "PAYLOAD_TOO_LARGE";
  const message = error instanceof Error ? error.message : String(error);
  await fail(backend, job, message, !hopeless);
  return "failed";
}

/** Gives the job back to be tried again; where it is not, its run ends here. */
async function fail(
  { persistence, jobs }: Backend,
  { jobId, runId, stageId }: Job,
  message: string,
  retry: boolean,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    await jobs.fail(jobId, message, retry);
    const run = await tx.getRun(runId);
    const stage = await tx.getStage(runId, stageId);
    if (run === null || stage === null) return;
    const job = (await jobs.getJobsByWorkflowRun(runId)).find(({ id }) => id === jobId);
    const level = job?.status === "FAILED" ? "ERROR" : "WARN";
    await tx.createLog({ workflowRunId: runId, workflowStageId: stage.id, level, message });
    if (level === "ERROR") await failRun({ tx, jobs, now: new Date() }, run, stage, message);
  });
}
