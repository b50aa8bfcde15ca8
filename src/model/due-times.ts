/**
 * When the service itself looks after a suspended stage or job, or after a failure: columns that
 * only the store has. Pure.
 */
import { nearestInstant } from "./instant.ts";
import { UNPOLLED_MS } from "./limits.ts";
import type { JobRow, NewJobRow, StageRow } from "./rows.ts";

/**
 * The instant at which the service takes over a poll that was due at `nextPollAt`: an engine that
 * polls would have done so by then.
 */
export function unpolledAt(nextPollAt: number): number {
  return nearestInstant(nextPollAt + UNPOLLED_MS);
}

export function attendAtOf({
  status,
  nextPollAt,
}: Pick<StageRow, "status" | "nextPollAt">): number | null {
  return status === "SUSPENDED" && nextPollAt !== null ? unpolledAt(nextPollAt) : null;
}

/**
 * The columns of a job that is inserted. In a transaction it may be suspended, or fail, before it
 * is inserted.
 */
export function attendedWith(row: NewJobRow): Pick<JobRow, "resumeAt" | "handOverAt"> {
  return {
    resumeAt: attendAtOf(row),
    handOverAt: row.status === "FAILED" ? row.completedAt : null,
  };
}
