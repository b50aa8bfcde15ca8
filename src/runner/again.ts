/** A job for a stage of a run whose own job a caller of the contract has ended. Pure. */
import type { Status } from "../contract/index.ts";
import { isParked, JOB_MAX_ATTEMPTS_DEFAULT, type JobRow, type NewJobRow } from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { EngineRun } from "./lease.ts";
import { jobRow, type Moment } from "./rows.ts";

/**
 * The tries that the stage has left, and its concurrency key, are those of the last of `jobs` that stood
 * at it. A stage that is done has none: the job only goes on from it.
 */
export function jobAgain(
  run: EngineRun,
  { stageId, status }: { readonly stageId: string; readonly status: Status },
  jobs: readonly JobRow[],
  moment: Moment,
): NewJobRow {
  const last = isLive({ status }) ? jobs.findLast((job) => job.stageId === stageId) : undefined;
  if (last === undefined) {
    const none = { attempts: JOB_MAX_ATTEMPTS_DEFAULT, concurrency: null };
    return jobRow(run, { id: stageId, ...none }, moment);
  }
  const { attempt, maxAttempts, concurrencyKey, concurrencyLimit } = last;
  // The delivery that suspends a job counts as none.
  const suspended = status === "SUSPENDED" || isParked(last) ? 1 : 0;
  const attempts = Math.max(maxAttempts - attempt + suspended, 1);
  const row = jobRow(run, { id: stageId, attempts, concurrency: null }, moment);
  return { ...row, concurrencyKey, concurrencyLimit };
}
