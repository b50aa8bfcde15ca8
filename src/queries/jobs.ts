/** Queries of jobs. Pure. */
import { flag, object, nullable, optional, text, list } from "../model/shape.ts";
import { instantField, keyField, ordinalField } from "../model/fields.ts";
import {
  type JobRow,
  type JobState,
  type JobStatsRow,
  type StaleJob,
  tokenOf,
  type UnwrittenJob,
  wasWrittenBy,
} from "../model/index.ts";
import { JOB_STATS_MAX, TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { jobRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { isLive } from "../model/status.ts";
import { queryKind } from "./query-kind.ts";
import { ofRun, PAGE_ROWS, rowLimit } from "./members.ts";

export { isLive };

type Key = Pick<JobRow, "workflowRunId" | "ordinal">;

const byKey: Compare<Key> = inTurn(
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

/** The order in which due jobs are claimed. */
export const byUrgency = inTurn<JobRow>(
  descending(byNumber((job) => job.priority)),
  byText((job) => job.ordinal),
  byText((job) => job.workflowRunId),
);

/** The order in which suspended jobs are listed for a poll, and delayed ones become ready. */
export const byPoll: Compare<Key & Pick<JobRow, "nextPollAt">> = inTurn<
  Key & Pick<JobRow, "nextPollAt">
>(
  byNumber((job) => job.nextPollAt ?? 0),
  byKey,
);

/** The order in which the sweep resumes suspended jobs. */
export const byResumption = inTurn<JobRow>(
  byNumber((job) => job.resumeAt ?? 0),
  byKey,
);

export function isResumable({ status, resumeAt }: JobRow, now: number): boolean {
  return status === "SUSPENDED" && resumeAt !== null && resumeAt <= now;
}

function isDueForPoll({ status, nextPollAt }: JobRow, now: number): boolean {
  return status === "SUSPENDED" && nextPollAt !== null && nextPollAt <= now;
}

/** The instant from which a PENDING job may be claimed. */
function dueAt(job: JobRow): number {
  return job.nextPollAt ?? job.createdAt;
}

/** The live job with the key; null: none. */
export function findLiveJob(state: State, dedupeKey: string | null): JobRow | null {
  if (dedupeKey === null) return null;
  for (const job of state.jobs.all()) {
    if (job.dedupeKey === dedupeKey && isLive(job)) return job;
  }
  return null;
}

/** Whether a PENDING job waits, due, for a slot of the concurrency key. */
function isAwaited(state: State, key: string, now: number): boolean {
  for (const job of state.jobs.all()) {
    if (job.concurrencyKey !== key || job.status !== "PENDING") continue;
    if (job.nextPollAt === null || job.nextPollAt <= now) return true;
  }
  return false;
}

/** The place after which the next page of `suspendedJobs` begins. */
export function suspendedJobPlace({ nextPollAt, workflowRunId, ordinal }: JobRow) {
  return { nextPollAt: nextPollAt ?? 0, workflowRunId, ordinal };
}
export type SuspendedJobPlace = ReturnType<typeof suspendedJobPlace>;

const jobKeys = list(object({ ...ofRun, ordinal: ordinalField }), TRANSACTION_CHANGES_MAX);

function eachOnce(keys: readonly Key[]): Key[] {
  return [...new Map(keys.map((key) => [`${key.workflowRunId}\0${key.ordinal}`, key])).values()];
}

function mayWake({ status, concurrencyKey }: JobRow): boolean {
  return ["PENDING", "SUSPENDED", "FAILED"].includes(status) || concurrencyKey !== null;
}

export const jobQueries = {
  job: queryKind(
    "job",
    { ...ofRun, ordinal: ordinalField },
    {
      sees: (query) => ({ what: "row", row: jobRef(query) }),
      answer: (state, { workflowRunId, ordinal }): JobRow | null =>
        state.jobs.get(workflowRunId, ordinal) ?? null,
    },
  ),

  /** The run's jobs, by ordinal. */
  jobs: queryKind("jobs", ofRun, {
    sees: ({ workflowRunId }) => ({ what: "list", list: "jobs", workflowRunId, status: null }),
    answer: (state, { workflowRunId }): JobRow[] =>
      [...state.jobs.part(workflowRunId).values()].toSorted(byKey),
  }),

  /** The live job (PENDING, RUNNING, SUSPENDED) with the key, or null. */
  liveJob: queryKind(
    "liveJob",
    { dedupeKey: keyField },
    {
      sees: ({ dedupeKey }) => ({ what: "dedupeKey", dedupeKey }),
      answer: (state, { dedupeKey }) => findLiveJob(state, dedupeKey),
    },
  ),

  /**
   * The states of the jobs, in no particular order. Unknown jobs are left out; with `wakingOnly`
   * also those that call for no wake-up: RUNNING, COMPLETED or CANCELLED ones without a concurrency
   * key. `keyWaits`: 1 if a PENDING job has the same concurrency key and was due at `now`,
   * otherwise 0.
   */
  jobStates: queryKind(
    "jobStates",
    { keys: jobKeys, now: instantField, wakingOnly: optional(flag) },
    {
      answer(state, { keys, now, wakingOnly = false }): JobState[] {
        return eachOnce(keys).flatMap(({ workflowRunId, ordinal }) => {
          const job = state.jobs.get(workflowRunId, ordinal);
          if (job === undefined || (wakingOnly && !mayWake(job))) return [];
          const { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits } = job;
          const keyWaits = concurrencyKey !== null && isAwaited(state, concurrencyKey, now) ? 1 : 0;
          const what = { status, attempt, nextPollAt, resumeAt, concurrencyKey, commits, keyWaits };
          return [{ workflowRunId, ordinal, ...what }];
        });
      },
    },
  ),

  /**
   * Those of the jobs that the commit did not write, in no particular order. Status and attempt are
   * null for an unknown one.
   */
  unwrittenJobs: queryKind(
    "unwrittenJobs",
    { keys: jobKeys, commitId: text() },
    {
      answer: (state, { keys, commitId }): UnwrittenJob[] =>
        eachOnce(keys).flatMap(({ workflowRunId, ordinal }) => {
          const job = state.jobs.get(workflowRunId, ordinal);
          if (job !== undefined && wasWrittenBy(job, commitId)) return [];
          const { status, attempt } = job ?? { status: null, attempt: null };
          return [{ workflowRunId, ordinal, status, attempt }];
        }),
    },
  ),

  /** How many jobs are in each state; see {@link JobStatsRow}. */
  jobStats: queryKind(
    "jobStats",
    { now: instantField, failedSince: instantField },
    {
      answer(state, { now, failedSince }): JobStatsRow {
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
    },
  ),

  /**
   * The jobs that a commit's claimJobs took at or after `since`, by (priority DESC, ordinal, run).
   */
  claimedJobs: queryKind(
    "claimedJobs",
    { since: instantField, commitId: text() },
    {
      // Just claimed: RUNNING, locked since then, and not written by any commit after the claim.
      answer: (state, { since, commitId }): JobRow[] =>
        [...state.jobs.all()]
          .filter(
            (job) => job.status === "RUNNING" && job.lockedAt !== null && job.lockedAt >= since,
          )
          .filter((job) => tokenOf(job) === commitId)
          .toSorted(byUrgency),
    },
  ),

  /** PENDING jobs that were due at `before`, counted up to `limit`. */
  overdueJobs: queryKind(
    "overdueJobs",
    { before: instantField, limit: rowLimit },
    {
      answer(state, { before, limit }): number {
        const overdue = [...state.jobs.all()].filter(
          (job) => job.status === "PENDING" && dueAt(job) <= before,
        );
        return Math.min(overdue.length, limit);
      },
    },
  ),

  /** SUSPENDED jobs with resumeAt <= now, counted up to `limit`. */
  resumableJobs: queryKind(
    "resumableJobs",
    { now: instantField, limit: rowLimit },
    {
      answer: (state, { now, limit }): number =>
        Math.min([...state.jobs.all()].filter((job) => isResumable(job, now)).length, limit),
    },
  ),

  /** How many of the run's jobs a commit's cancelJobs cancelled. */
  cancelledJobs: queryKind(
    "cancelledJobs",
    { ...ofRun, commitId: text() },
    {
      sees: ({ workflowRunId }) => ({ what: "list", list: "jobs", workflowRunId, status: null }),
      // No commit writes a cancelled job again: its token stays that of the commit that cancelled
      // it.
      answer: (state, { workflowRunId, commitId }): number =>
        [...state.jobs.part(workflowRunId).values()].filter(
          (job) => job.status === "CANCELLED" && tokenOf(job) === commitId,
        ).length,
    },
  ),

  /** RUNNING jobs with lockedAt < before, by (lockedAt, run, ordinal), the first `limit`. */
  staleJobs: queryKind(
    "staleJobs",
    { before: instantField, limit: rowLimit },
    {
      answer: (state, { before, limit }): StaleJob[] =>
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
    },
  ),

  /**
   * SUSPENDED jobs with nextPollAt <= now after the given place, by (nextPollAt, run, ordinal), at
   * most `limit` or PAGE_ROWS.
   */
  suspendedJobs: queryKind(
    "suspendedJobs",
    {
      now: instantField,
      after: nullable(object({ nextPollAt: instantField, ...ofRun, ordinal: ordinalField })),
      limit: optional(rowLimit),
    },
    {
      answer: (state, { now, after, limit = PAGE_ROWS }): JobRow[] =>
        [...state.jobs.all()]
          .filter((job) => isDueForPoll(job, now))
          .filter((job) => after === null || byPoll(job, after) > 0)
          .toSorted(byPoll)
          .slice(0, limit),
    },
  ),
};
