/** Answers about jobs. */
import {
  isParked,
  type JobRow,
  type JobState,
  type JobStatsRow,
  STAGE_PAYLOAD,
  type StaleJob,
  type StrayJob,
  tokenOf,
  type UnwrittenJob,
  wasWrittenBy,
} from "../../model/index.ts";
import { JOB_STATS_MAX } from "../../model/limits.ts";
import { byNumber, inTurn } from "../../model/order.ts";
import type { State } from "../../model/state.ts";
import { byKey } from "../../queries/jobs.ts";
import { byPoll, byResumption, byUrgency, isResumable } from "../job-order.ts";
import { PAGE_ROWS } from "../../queries/members.ts";
import type { SettledJob } from "../../changes/served-kind.ts";
import type { StoredAnswers } from "./answers.ts";

function isDueForPoll({ status, nextPollAt }: JobRow, now: number): boolean {
  return status === "SUSPENDED" && nextPollAt !== null && nextPollAt <= now;
}

/** The instant from which a PENDING job may be claimed. */
function dueAt(job: JobRow): number {
  return job.nextPollAt ?? job.createdAt;
}

/** Whether a PENDING job waits, due, for a slot of the concurrency key. */
function isAwaited(state: State, key: string, now: number): boolean {
  for (const job of state.jobs.all()) {
    if (job.concurrencyKey !== key || job.status !== "PENDING") continue;
    if (job.nextPollAt === null || job.nextPollAt <= now) return true;
  }
  return false;
}

function eachOnce<Key extends SettledJob>(keys: readonly Key[]): Key[] {
  const nameOf = ({ workflowRunId, ordinal, freed }: SettledJob) =>
    JSON.stringify([workflowRunId, ordinal, freed]);
  return [...new Map(keys.map((key) => [nameOf(key), key])).values()];
}

function mayWake({ status, concurrencyKey }: JobRow): boolean {
  return ["PENDING", "SUSPENDED", "FAILED"].includes(status) || concurrencyKey !== null;
}

/** The CANCELLED jobs of the run that have a concurrency key. */
function cancelledOfRun(state: State, workflowRunId: string): SettledJob[] {
  return [...state.jobs.part(workflowRunId).values()]
    .filter(({ status, concurrencyKey }) => status === "CANCELLED" && concurrencyKey !== null)
    .map(({ ordinal }) => ({ workflowRunId, ordinal }));
}

export const jobAnswers = {
  jobStates(state, { keys, now, wakingOnly = false, cancelledOf }): JobState[] {
    const cancelled = cancelledOf === undefined ? [] : cancelledOfRun(state, cancelledOf);
    return [...eachOnce(keys), ...cancelled].flatMap(({ workflowRunId, ordinal, freed }) => {
      const job = state.jobs.get(workflowRunId, ordinal);
      if (job === undefined) return [];
      if (wakingOnly && freed === undefined && !mayWake(job)) return [];
      const { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits } = job;
      const key = freed ?? concurrencyKey;
      const keyWaits = key !== null && isAwaited(state, key, now) ? 1 : 0;
      const what = { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits, keyWaits };
      return [{ workflowRunId, ordinal, ...what }];
    });
  },

  unwrittenJobs: (state, { keys, commitId }): UnwrittenJob[] =>
    eachOnce(keys).flatMap(({ workflowRunId, ordinal }) => {
      const job = state.jobs.get(workflowRunId, ordinal);
      if (job !== undefined && wasWrittenBy(job, commitId)) return [];
      const { status, attempt } = job ?? { status: null, attempt: null };
      return [{ workflowRunId, ordinal, status, attempt }];
    }),

  jobStats(state, { now, failedSince }): JobStatsRow {
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
  },

  // Just claimed: RUNNING, locked since then, and not written by any commit after the claim.
  claimedJobs: (state, { since, commitId }): JobRow[] =>
    [...state.jobs.all()]
      .filter((job) => job.status === "RUNNING" && job.lockedAt !== null && job.lockedAt >= since)
      .filter((job) => tokenOf(job) === commitId)
      .toSorted(byUrgency),

  overdueJobs(state, { before, limit, stagesOnly = false }): number {
    const overdue = [...state.jobs.all()]
      .filter((job) => job.status === "PENDING" && dueAt(job) <= before)
      .slice(0, limit);
    if (!stagesOnly) return overdue.length;
    return overdue.filter(({ payload }) => payload.startsWith(STAGE_PAYLOAD)).length;
  },

  resumableJobs: (state, { now, limit }): number =>
    Math.min([...state.jobs.all()].filter((job) => isResumable(job, now)).length, limit),

  strayParkedJobs(state, { from, limit }): StrayJob[] {
    const parked = [...state.jobs.all()].filter(
      ({ status, resumeAt }) => status === "SUSPENDED" && isParked({ nextPollAt: resumeAt }),
    );
    return parked
      .toSorted(
        inTurn<JobRow>(
          byNumber(({ resumeAt }) => ((resumeAt ?? 0) >= from ? 0 : 1)),
          byResumption,
        ),
      )
      .slice(0, limit)
      .filter((job) => {
        const run = state.runs.get(job.workflowRunId, "");
        return run !== undefined && run.status !== "SUSPENDED";
      })
      .map(({ workflowRunId, ordinal }) => ({ workflowRunId, ordinal }));
  },

  staleJobs: (state, { before, limit }): StaleJob[] =>
    [...state.jobs.all()]
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
      })),

  suspendedJobs: (state, { now, after, limit = PAGE_ROWS }): JobRow[] =>
    [...state.jobs.all()]
      .filter((job) => isDueForPoll(job, now))
      .filter((job) => after === null || byPoll(job, after) > 0)
      .toSorted(byPoll)
      .slice(0, limit),
} satisfies Partial<StoredAnswers>;
