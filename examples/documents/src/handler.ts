/**
 * Works jobs: executes a job's stage and commits the result. The service's queue consumer claims the
 * jobs, calls this for each, and renews its lease meanwhile. Either may vanish at any time. Work that
 * was not committed is then done again, as a further attempt; a stage that was committed is found
 * complete. So a stage may be executed twice, but it is completed once.
 */
import {
  type Backend,
  type DequeueResult,
  type FailedDelivery,
  isRetryable,
  isServiceError,
  type JobOutcome,
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

/** A stage that waits is asked again soon at first, and less often the longer it has been waiting. */
const POLL_MS = { min: 500, max: 60_000 };

/** The handler itself has settled the job, in the transaction that stored the result. */
const SETTLED: JobOutcome = { status: "settled" };

/** A job with everything that belongs to it. */
interface Assignment {
  readonly job: DequeueResult;
  readonly run: WorkflowRunRecord;
  readonly workflow: Workflow;
  readonly stage: StageDefinition;
}

/** Works one job, over a connection of its own. */
export async function workJob(backend: Backend, job: DequeueResult): Promise<JobOutcome> {
  // From here on this connection can settle this attempt, and no later one.
  backend.jobs.adopt(job);
  try {
    const assignment = await begin(backend, job);
    if (assignment === null) return SETTLED;
    const { run, stage } = assignment;
    const result = await stage.execute({ persistence: backend.persistence, run });
    return await commit(backend, assignment, result);
  } catch (error) {
    return await outcomeOf(backend, job, error);
  }
}

/** The attempts of a job are used up: its stage fails, and so does the run. May be called twice. */
export async function failRunOf(
  { persistence, jobs }: Backend,
  { workflowRunId, stageId, error }: FailedDelivery,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(workflowRunId);
    const stage = await tx.getStage(workflowRunId, stageId);
    if (run === null || stage === null || isFinal(stage.status)) return;
    const message = error ?? "no reason was given";
    const link = { workflowRunId, workflowStageId: stage.id };
    await tx.createLog({ ...link, level: "ERROR", message });
    await failRun({ tx, jobs, now: new Date() }, run, stage, message);
  });
}

/** Shows the stage as RUNNING. Null: there is nothing left to do, and the job is settled. */
async function begin(
  { persistence, jobs }: Backend,
  job: DequeueResult,
): Promise<Assignment | null> {
  return await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(job.workflowRunId);
    const record = await tx.getStage(job.workflowRunId, job.stageId);
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
 * next stages with their jobs, and the events. A crash leaves either all of it or nothing. A stage that has to wait is suspended, and the
 * answer says so: the service gives its job out again at that instant.
 */
async function commit(
  { persistence, jobs }: Backend,
  assignment: Assignment,
  result: StageResult,
): Promise<JobOutcome> {
  const { job, workflow } = assignment;
  return await persistence.withTransaction(async (tx): Promise<JobOutcome> => {
    const run = await tx.getRun(job.workflowRunId);
    const stage = await tx.getStage(job.workflowRunId, job.stageId);
    if (run === null || stage === null || isFinal(stage.status)) {
      await jobs.complete(job.jobId);
      return SETTLED;
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
      return { status: "suspended", until: nextPollAt };
    }
    await storeResult(tx, stage, workflow, result, now);
    await jobs.complete(job.jobId);
    await tx.appendOutboxEvents([
      event(run.id, "stage.completed", { stageId: stage.stageId, summary: result.summary }, now),
    ]);
    await advanceRun(step, run, workflow, stage.executionGroup);
    return SETTLED;
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

/** The job's outcome when its stage could not be executed or committed. */
async function outcomeOf(
  { persistence }: Backend,
  { workflowRunId, stageId }: DequeueResult,
  error: unknown,
): Promise<JobOutcome> {
  const code = isServiceError(error) ? error.code : null;
  // A later attempt began while this one was busy. That one commits the result.
  if (code === "LEASE_LOST") return SETTLED;
  // The service is away, so nothing can be logged there.
  if (code !== null && isRetryable(code)) throw error;
  const message = error instanceof Error ? error.message : String(error);
  const stage = await persistence.getStage(workflowRunId, stageId);
  if (stage !== null) {
    const link = { workflowRunId, workflowStageId: stage.id };
    await persistence.createLog({ ...link, level: "WARN", message });
  }
  const hopeless = code === "INVALID_ARGUMENT" || code === "PAYLOAD_TOO_LARGE";
  return { status: "failed", error: message, retry: !hopeless };
}
