/** When the service itself looks after a suspended stage or job, or after a failure: columns that only stores keep. Pure. */
import { nearestInstant } from "./instant.ts";
import { UNPOLLED_MS } from "./limits.ts";
import type { JobRow, NewJobRow, StageRow } from "./rows.ts";

/** An engine that polls what is due at `nextPollAt` has done so by then. */
export function unpolledAt(nextPollAt: number): number {
  return nearestInstant(nextPollAt + UNPOLLED_MS);
}

export function attendAtOf({
  status,
  nextPollAt,
}: Pick<StageRow, "status" | "nextPollAt">): number | null {
  return status === "SUSPENDED" && nextPollAt !== null ? unpolledAt(nextPollAt) : null;
}

/** Of a job that is inserted. In a transaction it may have been suspended, or have failed, before it is there. */
export function attendedWith(row: NewJobRow): Pick<JobRow, "resumeAt" | "handOverAt"> {
  return {
    resumeAt: attendAtOf(row),
    handOverAt: row.status === "FAILED" ? row.completedAt : null,
  };
}
