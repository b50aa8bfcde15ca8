/**
 * Failures: jobs that have failed for good are handed over until nothing that they have left is open. Each is put back behind the others
 * before anybody is called for it, for a pause that grows, so that one that cannot be handed over holds up none.
 */
import {
  type Change,
  decodeText,
  type FailedJob,
  HAND_OVER_MIN_MS,
  HAND_OVER_MAX_MS,
  joinId,
  newCommitId,
  type Store,
} from "../changes/index.ts";
import type { FailedDelivery, WorkflowPersistence } from "../contract/index.ts";

/** What is closed leaves the line; everything else goes to its end. Applied twice, it does no harm. */
export async function putBack(store: Store, failures: readonly FailedJob[]): Promise<void> {
  if (failures.length === 0) return;
  const now = await store.now();
  const changes = failures.map(({ workflowRunId, ordinal, completedAt, state }): Change => {
    const ageMs = now - (completedAt ?? now);
    const pauseMs = Math.min(Math.max(ageMs, HAND_OVER_MIN_MS), HAND_OVER_MAX_MS);
    const dueAt = state === "closed" ? null : now + pauseMs;
    return { kind: "putBackFailure", workflowRunId, ordinal, dueAt };
  });
  await store.attempt({ id: newCommitId(now), guards: [], changes, reads: [] });
}

export function toFailedDelivery({
  workflowRunId,
  ordinal,
  workflowId,
  stageId,
  attempt,
  lastError,
}: FailedJob): FailedDelivery {
  return {
    jobId: joinId(workflowRunId, ordinal),
    workflowRunId,
    workflowId,
    stageId,
    attempt,
    error: lastError === null ? null : decodeText(lastError),
  };
}

/**
 * What is done for a handler that has no `jobFailed`: the stage and its run end as FAILED, in one transaction, and the run's log says why.
 * Other jobs of the run are left to go on.
 */
export async function endFailed(
  persistence: WorkflowPersistence,
  { jobId, workflowRunId, stageId, error }: FailedDelivery,
  now: number,
): Promise<void> {
  const errorMessage = error ?? "The job failed";
  const completedAt = new Date(now);
  await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(workflowRunId);
    if (run === null || !isLive(run.status)) return;
    const stage = await tx.getStage(workflowRunId, stageId);
    const since = (startedAt: Date | null) =>
      startedAt === null ? {} : { duration: now - startedAt.getTime() };
    const ended = { status: "FAILED", completedAt } as const;
    if (stage !== null && isLive(stage.status)) {
      const update = { ...ended, ...since(stage.startedAt), errorMessage, nextPollAt: null };
      await tx.updateStageByRunAndStageId(workflowRunId, stageId, update);
    }
    await tx.updateRun(workflowRunId, { ...ended, ...since(run.startedAt) });
    await tx.createLog({
      workflowRunId,
      ...(stage === null ? {} : { workflowStageId: stage.id }),
      level: "ERROR",
      message: `Job ${jobId} of stage ${stageId} failed for good, and its handler has no jobFailed: the run ends as FAILED`,
      metadata: { jobId, stageId, error: errorMessage },
    });
  });
  console.error("wfe-run-ended-as-failed", jobId, errorMessage);
}

function isLive(status: string): boolean {
  return status === "PENDING" || status === "RUNNING" || status === "SUSPENDED";
}
