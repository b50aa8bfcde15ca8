/** Queries of jobs. What each answers is told in changes/query.ts. Pure. */
import { type JobRow, PAGE_ROWS, type QueryOf, tokenOf } from "../changes/index.ts";
import { byNumber, byText, type Compare, firstBy, inTurn } from "./order.ts";
import type { State } from "./state.ts";

const byKey: Compare<Pick<JobRow, "workflowRunId" | "ordinal">> = inTurn(
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

export function jobs(state: State, query: QueryOf<"jobs">): JobRow[] {
  return [...state.jobs.part(query.workflowRunId).values()].toSorted(byKey);
}

/** Just claimed: RUNNING, locked at the claim's instant, and nobody wrote it since. */
export function claimedJob(state: State, query: QueryOf<"claimedJob">): JobRow | null {
  const claimed = [...state.jobs.all()]
    .filter((job) => job.status === "RUNNING" && job.lockedAt === query.at)
    .filter((job) => tokenOf(job) === query.commitId);
  return firstBy<JobRow>(claimed, byKey);
}

/** Nothing writes a cancelled job again: its token stays that of the commit that cancelled it. */
export function cancelledJobs(state: State, query: QueryOf<"cancelledJobs">): number {
  return [...state.jobs.part(query.workflowRunId).values()].filter(
    (job) => job.status === "CANCELLED" && tokenOf(job) === query.commitId,
  ).length;
}

export function staleJobs(state: State, { before, limit }: QueryOf<"staleJobs">): JobRow[] {
  return [...state.jobs.all()]
    .filter((job) => job.status === "RUNNING")
    .filter((job) => job.lockedAt !== null && job.lockedAt < before)
    .toSorted(
      inTurn<JobRow>(
        byNumber((job) => job.lockedAt ?? 0),
        byKey,
      ),
    )
    .slice(0, limit);
}

const byPoll: Compare<Pick<JobRow, "nextPollAt" | "workflowRunId" | "ordinal">> = inTurn<
  Pick<JobRow, "nextPollAt" | "workflowRunId" | "ordinal">
>(
  byNumber((job) => job.nextPollAt ?? 0),
  byKey,
);

export function suspendedJobs(state: State, { now, after }: QueryOf<"suspendedJobs">): JobRow[] {
  return [...state.jobs.all()]
    .filter((job) => job.status === "SUSPENDED")
    .filter((job) => job.nextPollAt !== null && job.nextPollAt <= now)
    .filter((job) => after === null || byPoll(job, after) > 0)
    .toSorted(byPoll)
    .slice(0, PAGE_ROWS);
}
