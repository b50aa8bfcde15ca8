/**
 * How a run advances. Every function here is called inside a transaction and writes through it,
 * so that a stage's completion and its consequences are one commit: the transaction that completes
 * the last stage of a group sees all its siblings complete, and no other one does.
 */
import type {
  CreateOutboxEventInput,
  JobQueue,
  WorkflowPersistence,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "workflow-engine-cloudflare/client";
import { isFinal, type Workflow } from "./pipeline.ts";

/** One transaction: its view of the database, and the queue of the same connection, which joins it. */
export interface Step {
  readonly tx: WorkflowPersistence;
  readonly jobs: JobQueue;
  readonly now: Date;
}

/** Starts a run: created, claimed, its first group open, in the transaction that `step` is. */
export async function startRun(
  step: Step,
  workflow: Workflow,
  input: { id: string; name: string; input: unknown },
): Promise<void> {
  const run = await step.tx.createRun({
    id: input.id,
    workflowId: workflow.id,
    workflowName: workflow.name,
    workflowType: workflow.type,
    input: input.input,
  });
  await step.tx.claimPendingRun(run.id);
  await step.tx.appendOutboxEvents([event(run.id, "run.started", { name: input.name }, step.now)]);
  await openGroup(step, run, workflow, 1);
}

/** Creates the stages of a group and the jobs that will work them. Groups count from 1. */
export async function openGroup(
  step: Step,
  run: WorkflowRunRecord,
  workflow: Workflow,
  group: number,
): Promise<void> {
  const stages = workflow.groups[group - 1] ?? [];
  for (const [index, stage] of stages.entries()) {
    await step.tx.createStage({
      workflowRunId: run.id,
      stageId: stage.id,
      stageName: stage.name,
      stageNumber: index + 1,
      executionGroup: group,
    });
  }
  await step.jobs.enqueueParallel(
    stages.map((stage) => ({
      workflowRunId: run.id,
      workflowId: workflow.id,
      stageId: stage.id,
      priority: stage.priority,
    })),
  );
}

/** Call this when a stage of `group` has just been completed in this transaction. */
export async function advanceRun(
  step: Step,
  run: WorkflowRunRecord,
  workflow: Workflow,
  group: number,
): Promise<void> {
  const stages = await step.tx.getStagesByRun(run.id);
  const siblings = stages.filter((stage) => stage.executionGroup === group);
  if (isFinal(run.status) || siblings.some((stage) => stage.status !== "COMPLETED")) return;
  if (group < workflow.groups.length) await openGroup(step, run, workflow, group + 1);
  else await completeRun(step, run, stages);
}

async function completeRun(
  { tx, now }: Step,
  run: WorkflowRunRecord,
  stages: readonly WorkflowStageRecord[],
): Promise<void> {
  await tx.updateRun(run.id, {
    status: "COMPLETED",
    completedAt: now,
    duration: elapsed(run.startedAt ?? run.createdAt, now),
    output: stages.at(-1)?.outputData ?? null,
  });
  await tx.appendOutboxEvents([event(run.id, "run.completed", { stages: stages.length }, now)]);
}

/** Ends a run at the stage that failed. Stages that have not started never will. */
export async function failRun(
  { tx, jobs, now }: Step,
  run: WorkflowRunRecord,
  failed: WorkflowStageRecord,
  message: string,
): Promise<void> {
  if (!isFinal(failed.status)) {
    await tx.updateStage(failed.id, { status: "FAILED", completedAt: now, errorMessage: message });
  }
  if (isFinal(run.status)) return;
  await jobs.cancelByRun(run.id);
  for (const stage of await tx.getStagesByRun(run.id)) {
    if (stage.id === failed.id || stage.status === "RUNNING" || isFinal(stage.status)) continue;
    await tx.updateStage(stage.id, { status: "CANCELLED", completedAt: now });
  }
  await tx.updateRun(run.id, { status: "FAILED", completedAt: now });
  await tx.appendOutboxEvents([
    event(run.id, "run.failed", { stageId: failed.stageId, message }, now),
  ]);
}

export function event(
  workflowRunId: string,
  eventType: string,
  payload: unknown,
  occurredAt: Date,
): CreateOutboxEventInput {
  return { workflowRunId, eventType, payload, causationId: workflowRunId, occurredAt };
}

export function elapsed(from: Date, to: Date): number {
  return Math.max(0, to.getTime() - from.getTime());
}
