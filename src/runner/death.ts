/** A run whose job has failed for good without an outcome of its stage: its worker kept dying. */
import type { Change } from "../changes/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { isLive } from "../model/status.ts";
import {
  encodeText,
  JOB_MAX_ATTEMPTS_DEFAULT,
  joinId,
  takesStages,
  tokenOf,
} from "../model/index.ts";
import { engineRunOf } from "./lease.ts";
import { event, jobRow } from "./rows.ts";

export interface DeadJob {
  readonly jobId: string;
  readonly workflowRunId: string;
  readonly stageId: string;
  readonly error: string | null;
}

/**
 * Ends the stage and its run as FAILED. If the stage is done, and only the way on from it was not,
 * another job goes on, once: what it does is no try of the stage, whose own were used up. Answers false
 * for a job that is none of a typed workflow's. Nothing happens if the run or the stage was written
 * meanwhile: then the failure is looked at again.
 */
export async function endDead(
  unit: OwnUnit,
  { jobId, workflowRunId, stageId, error }: DeadJob,
): Promise<boolean> {
  const [row, stage, all] = await unit.read([
    { q: "run", id: workflowRunId },
    { q: "stage", workflowRunId, stageId },
    { q: "jobs", workflowRunId },
  ]);
  const job = all.find(({ ordinal }) => joinId(workflowRunId, ordinal) === jobId);
  const run = row === null ? null : engineRunOf(row, job?.payload);
  if (row === null || run === null || job === undefined) return false;
  // A caller's own job, which no stage of the run stands or falls with.
  if (!takesStages(job) && (stage === null || !isLive(stage))) return false;
  if (!isLive(row)) return true;
  const dead = all.filter(
    (other) => other.stageId === stageId && other.status === "FAILED" && takesStages(other),
  );
  const at = await unit.now();
  const reason = error ?? "Its worker died";
  const failed = { status: "FAILED", completedAt: at } as const;
  const set = { ...failed, nextPollAt: null, errorMessage: encodeText(reason) };
  const goesOn: Change[] = [
    // Written, so that of two that hand over the failure one is refused.
    { kind: "updateRun", id: run.id, set: { status: row.status }, at, bump: 1 },
    {
      kind: "enqueueJob",
      row: jobRow(
        run,
        { id: stageId, attempts: JOB_MAX_ATTEMPTS_DEFAULT, concurrency: null },
        { at, ordinal: () => unit.ordinal(at) },
      ),
    },
  ];
  const ends: Change[] = [
    ...(stage !== null && isLive(stage)
      ? [
          { kind: "updateStage" as const, workflowRunId, stageId, set, at, bump: 1 },
          event(run, at, "stage:failed", { stageId, attempt: stage.attempt, error: reason }),
        ]
      : []),
    { kind: "cancelStages", workflowRunId, at },
    {
      kind: "updateRun",
      id: run.id,
      set: { ...failed, duration: at - run.createdAt },
      at,
      bump: 1,
    },
    event(run, at, "workflow:failed", { stageId, error: reason }),
    { kind: "cancelJobs", workflowRunId, leased: true, at },
  ];
  await unit.write({
    guards: [
      { on: "run", id: run.id, expect: { is: "unchanged", token: tokenOf(row) } },
      {
        on: "stage",
        workflowRunId,
        stageId,
        expect: stage === null ? { is: "absent" } : { is: "unchanged", token: tokenOf(stage) },
      },
    ],
    changes: stage === null || isLive(stage) || dead.length > 1 ? ends : goesOn,
  });
  return true;
}
