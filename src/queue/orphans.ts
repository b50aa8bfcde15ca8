/** Stages of typed workflows whose job a caller of the contract has ended: the sweep gives them another. */
import { type NewJobRow, takesStages, type UnattendedStage } from "../model/index.ts";
import type { DirectUnit } from "../persistence/deliveries.ts";
import { jobAgain } from "../runner/again.ts";
import { engineRunOf } from "../runner/lease.ts";

/**
 * A job that takes the run on from the suspended stage; null for a run that no typed workflow started.
 * Two rows are read, and the run's jobs.
 */
export async function orphansJob(
  unit: DirectUnit,
  { workflowRunId, stageId }: UnattendedStage,
): Promise<NewJobRow | null> {
  const [row, all] = await unit.read([
    { q: "run", id: workflowRunId },
    { q: "jobs", workflowRunId },
  ]);
  const jobs = all.filter(takesStages);
  const run = row === null ? null : engineRunOf(row, jobs.at(-1)?.payload);
  if (run === null) return null;
  const at = await unit.now();
  const moment = { at, ordinal: () => unit.ordinal(at) };
  return jobAgain(run, { stageId, status: "SUSPENDED" }, jobs, moment);
}
