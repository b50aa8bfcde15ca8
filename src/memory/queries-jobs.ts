/** Queries of jobs. What each answers is told in changes/query.ts. Pure. */
import {
  JOB_STATS_MAX,
  type JobRow,
  type JobState,
  type JobStatsRow,
  PAGE_ROWS,
  type QueryOf,
  type StaleJob,
  tokenOf,
} from "../changes/index.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "./order.ts";
import type { State } from "./state.ts";

const byKey: Compare<Pick<JobRow, "workflowRunId" | "ordinal">> = inTurn(
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

export function jobs(state: State, query: QueryOf<"jobs">): JobRow[] {
  return [...state.jobs.part(query.workflowRunId).values()].toSorted(byKey);
}

/** Just claimed: RUNNING, locked since then, and nobody wrote it after the claim. */
export function claimedJobs(state: State, query: QueryOf<"claimedJobs">): JobRow[] {
  return [...state.jobs.all()]
    .filter(
      (job) => job.status === "RUNNING" && job.lockedAt !== null && job.lockedAt >= query.since,
    )
    .filter((job) => tokenOf(job) === query.commitId)
    .toSorted(
      inTurn<JobRow>(
        descending(byNumber((job) => job.priority)),
        byText((job) => job.ordinal),
        byText((job) => job.workflowRunId),
      ),
    );
}

export function isLive({ status }: Pick<JobRow, "status">): boolean {
  return status === "PENDING" || status === "RUNNING" || status === "SUSPENDED";
}

export function liveJob(
  state: State,
  { dedupeKey }: { readonly dedupeKey: string | null },
): JobRow | null {
  if (dedupeKey === null) return null;
  for (const job of state.jobs.all()) {
    if (job.dedupeKey === dedupeKey && isLive(job)) return job;
  }
  return null;
}

export function jobStates(state: State, { keys, now }: QueryOf<"jobStates">): JobState[] {
  const known = new Map(keys.map((key) => [`${key.workflowRunId}\0${key.ordinal}`, key]));
  return [...known.values()].flatMap(({ workflowRunId, ordinal }) => {
    const job = state.jobs.get(workflowRunId, ordinal);
    if (job === undefined) return [];
    const { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits } = job;
    const keyWaits = concurrencyKey !== null && isAwaited(state, concurrencyKey, now) ? 1 : 0;
    const what = { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits, keyWaits };
    return [{ workflowRunId, ordinal, ...what }];
  });
}

function isAwaited(state: State, key: string, now: number): boolean {
  for (const job of state.jobs.all()) {
    if (job.concurrencyKey !== key || job.status !== "PENDING") continue;
    if (job.nextPollAt === null || job.nextPollAt <= now) return true;
  }
  return false;
}

/** The instant from which a PENDING job may be claimed. */
function dueAt(job: JobRow): number {
  return job.nextPollAt ?? job.createdAt;
}

export function jobStats(state: State, { now, failedSince }: QueryOf<"jobStats">): JobStatsRow {
  const all = [...state.jobs.all()];
  const count = (holds: (job: JobRow) => boolean) =>
    Math.min(all.filter(holds).length, JOB_STATS_MAX);
  const isDue = (job: JobRow) => job.status === "PENDING" && dueAt(job) <= now;
  const due = all.filter(isDue).map(dueAt);
  return {
    due: Math.min(due.length, JOB_STATS_MAX),
    delayed: count((job) => job.status === "PENDING" && !isDue(job)),
    leased: count((job) => job.status === "RUNNING"),
    suspended: count((job) => job.status === "SUSPENDED"),
    undelivered: count((job) => job.status === "PENDING" && job.undelivered > 0),
    failed: count(
      ({ status, completedAt }) =>
        status === "FAILED" && completedAt !== null && completedAt >= failedSince,
    ),
    oldestDueAt: due.length === 0 ? null : Math.min(...due),
  };
}

export function overdueJobs(state: State, { before, limit }: QueryOf<"overdueJobs">): number {
  const overdue = [...state.jobs.all()].filter(
    (job) => job.status === "PENDING" && dueAt(job) <= before,
  );
  return Math.min(overdue.length, limit);
}

/** Nothing writes a cancelled job again: its token stays that of the commit that cancelled it. */
export function cancelledJobs(state: State, query: QueryOf<"cancelledJobs">): number {
  return [...state.jobs.part(query.workflowRunId).values()].filter(
    (job) => job.status === "CANCELLED" && tokenOf(job) === query.commitId,
  ).length;
}

export function staleJobs(state: State, { before, limit }: QueryOf<"staleJobs">): StaleJob[] {
  return [...state.jobs.all()]
    .filter((job) => job.status === "RUNNING")
    .filter((job) => job.lockedAt !== null && job.lockedAt < before)
    .toSorted(
      inTurn<JobRow>(
        byNumber((job) => job.lockedAt ?? 0),
        byKey,
      ),
    )
    .slice(0, limit)
    .map(({ workflowRunId, ordinal, attempt, maxAttempts }) => ({
      workflowRunId,
      ordinal,
      attempt,
      maxAttempts,
    }));
}

const byPoll: Compare<Pick<JobRow, "nextPollAt" | "workflowRunId" | "ordinal">> = inTurn<
  Pick<JobRow, "nextPollAt" | "workflowRunId" | "ordinal">
>(
  byNumber((job) => job.nextPollAt ?? 0),
  byKey,
);

export function suspendedJobs(state: State, query: QueryOf<"suspendedJobs">): JobRow[] {
  const { now, after, limit = PAGE_ROWS } = query;
  return [...state.jobs.all()]
    .filter((job) => job.status === "SUSPENDED")
    .filter((job) => job.nextPollAt !== null && job.nextPollAt <= now)
    .filter((job) => after === null || byPoll(job, after) > 0)
    .toSorted(byPoll)
    .slice(0, limit);
}

export function resumableJobs(state: State, { now, limit }: QueryOf<"resumableJobs">): number {
  const due = [...state.jobs.all()].filter(
    ({ status, resumeAt }) => status === "SUSPENDED" && resumeAt !== null && resumeAt <= now,
  );
  return Math.min(due.length, limit);
}
