/** Queries of jobs. Pure. */
import { flag, object, nullable, optional, text, list } from "../model/shape.ts";
import { instantField, keyField, ordinalField } from "../model/fields.ts";
import {
  type ClaimedJob,
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
import { queryKind } from "./query-kind.ts";
import { ofRun, PAGE_ROWS, rowLimit } from "./members.ts";

type Key = Pick<JobRow, "workflowRunId" | "ordinal">;

const byKey: Compare<Key> = inTurn(
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

const byUrgency = inTurn<JobRow>(
  descending(byNumber((job) => job.priority)),
  byText((job) => job.ordinal),
  byText((job) => job.workflowRunId),
);

const byPoll: Compare<Key & Pick<JobRow, "nextPollAt">> = inTurn<Key & Pick<JobRow, "nextPollAt">>(
  byNumber((job) => job.nextPollAt ?? 0),
  byKey,
);

/** In the order in which suspended jobs are resumed. */
export const byResumption = inTurn<JobRow>(
  byNumber((job) => job.resumeAt ?? 0),
  byKey,
);

export function isLive({ status }: Pick<JobRow, "status">): boolean {
  return status === "PENDING" || status === "RUNNING" || status === "SUSPENDED";
}

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

function isAwaited(state: State, key: string, now: number): boolean {
  for (const job of state.jobs.all()) {
    if (job.concurrencyKey !== key || job.status !== "PENDING") continue;
    if (job.nextPollAt === null || job.nextPollAt <= now) return true;
  }
  return false;
}

function toClaimed(job: JobRow, lockedAt: number): ClaimedJob {
  const { workflowRunId, ordinal, workflowId, stageId, priority, payload } = job;
  const { workerId, attempt, maxAttempts, commits } = job;
  const given = { workflowRunId, ordinal, workflowId, stageId, priority, payload };
  return { ...given, workerId, lockedAt, attempt, maxAttempts, commits };
}

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
   * What the jobs have come to, in no particular order; unknown ones are left out, and with `wakingOnly` those of which nobody is to be told:
   * they are RUNNING, COMPLETED or CANCELLED, and have no concurrency key. `keyWaits`: 1 if a PENDING job has the same concurrency key and
   * was due at `now`, otherwise 0.
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

  /** Of the jobs those that the commit did not write, in no particular order. Of one that is unknown, status and attempt are null. */
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

  /** How many jobs are in which state; see {@link JobStatsRow}. */
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

  /** The jobs that a commit's claimJobs took at or after `since`, by (priority DESC, ordinal, run). */
  claimedJobs: queryKind(
    "claimedJobs",
    { since: instantField, commitId: text() },
    {
      // Just claimed: RUNNING, locked since then, and nobody wrote it after the claim.
      answer: (state, { since, commitId }): ClaimedJob[] =>
        [...state.jobs.all()].toSorted(byUrgency).flatMap((job) => {
          const { status, lockedAt } = job;
          if (status !== "RUNNING" || lockedAt === null || lockedAt < since) return [];
          return tokenOf(job) === commitId ? [toClaimed(job, lockedAt)] : [];
        }),
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
      // Nothing writes a cancelled job again: its token stays that of the commit that cancelled it.
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

  /** SUSPENDED jobs with nextPollAt <= now, by (nextPollAt, run, ordinal), `limit` or PAGE_ROWS of them, after the given place. */
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
