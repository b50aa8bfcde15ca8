/** A run whose job has failed for good without an outcome of its stage: its worker kept dying. */
import type { OwnUnit } from "../persistence/connection-core.ts";
import { isLive } from "../model/status.ts";
import { encodeText, tokenOf } from "../model/index.ts";
import { engineRunOf } from "./lease.ts";
import { event } from "./rows.ts";

export interface DeadJob {
  readonly workflowRunId: string;
  readonly stageId: string;
  readonly error: string | null;
}

/**
 * Ends the stage and its run as FAILED. Answers false for a run that no typed workflow started. Nothing
 * happens if the run or the stage was written meanwhile: then the failure is looked at again.
 */
export async function endDead(
  unit: OwnUnit,
  { workflowRunId, stageId, error }: DeadJob,
): Promise<boolean> {
  const [row, stage] = await unit.read([
    { q: "run", id: workflowRunId },
    { q: "stage", workflowRunId, stageId },
  ]);
  const run = row === null ? null : engineRunOf(row);
  if (row === null || run === null) return false;
  if (!isLive(row) || stage === null) return true;
  const at = await unit.now();
  const reason = error ?? "Its worker died";
  const { attempt } = stage;
  const failed = { status: "FAILED", completedAt: at } as const;
  const set = { ...failed, nextPollAt: null, errorMessage: encodeText(reason) };
  await unit.write({
    guards: [
      { on: "run", id: run.id, expect: { is: "unchanged", token: tokenOf(row) } },
      { on: "stage", workflowRunId, stageId, expect: { is: "unchanged", token: tokenOf(stage) } },
    ],
    changes: [
      ...(isLive(stage)
        ? [{ kind: "updateStage" as const, workflowRunId, stageId, set, at, bump: 1 }]
        : []),
      { kind: "cancelStages", workflowRunId, at },
      {
        kind: "updateRun",
        id: run.id,
        set: { ...failed, duration: at - run.createdAt },
        at,
        bump: 1,
      },
      // Its stage may have been done, and the way to the next one not.
      ...(isLive(stage)
        ? [event(run, at, "stage:failed", { stageId, attempt, error: reason })]
        : []),
      event(run, at, "workflow:failed", { stageId, error: reason }),
      { kind: "cancelJobs", workflowRunId, leased: true, at },
    ],
  });
  return true;
}
