/** Expired leases. */
import { nearestInstant, READ_QUERIES_MAX, type StaleJob } from "../model/index.ts";
import { afterFirstCommit } from "./auto-commit.ts";
import { invalid } from "./encode.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/**
 * Ends leases that were not renewed for `staleThresholdMs`, in at most `pagesMax` commits of 100.
 * Answers how many. A lease that is renewed between the look and the commit stays: the change looks
 * again.
 */
export async function releaseStaleJobs(
  direct: UnitOfWork,
  staleThresholdMs: number,
  pagesMax: number,
): Promise<number> {
  if (typeof staleThresholdMs !== "number" || Number.isNaN(staleThresholdMs)) {
    throw invalid("releaseStaleJobs: staleThresholdMs must be a number", {
      field: "staleThresholdMs",
    });
  }
  let unit = direct;
  const at = await unit.now();
  const staleBefore = Math.ceil(nearestInstant(at - staleThresholdMs));
  let released = 0;
  for (let page = 0; page < pagesMax; page += 1) {
    const [stale] = await unit.read([
      { q: "staleJobs", before: staleBefore, limit: READ_QUERIES_MAX },
    ]);
    if (stale.length === 0) return released;
    const keys = stale.map(({ workflowRunId, ordinal }) => ({ workflowRunId, ordinal }));
    const written = await unit.write({
      changes: stale.map((state) => ({
        kind: "releaseJob" as const,
        workflowRunId: state.workflowRunId,
        ordinal: state.ordinal,
        staleBefore,
        error: leaseExpired(state),
        at,
      })),
      reads: (commitId) => [{ q: "unwrittenJobs", keys, commitId }],
    });
    if (written.applied) released += stale.length - written.results[0].length;
    unit = afterFirstCommit(direct);
    if (stale.length < READ_QUERIES_MAX) return released;
  }
  return released;
}

function leaseExpired({ attempt, maxAttempts }: StaleJob): string {
  const last = attempt >= maxAttempts ? ", and no attempts are left" : "";
  return `The lease of attempt ${attempt} expired${last}`;
}
