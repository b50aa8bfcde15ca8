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
} from "../model/index.ts";
import { TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { jobRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { isLive } from "../model/status.ts";
import { queryKind, storedQuery } from "./query-kind.ts";
import { ofRun, rowLimit } from "./members.ts";

type Key = Pick<JobRow, "workflowRunId" | "ordinal">;

export const byKey: Compare<Key> = inTurn(
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

/** The live job with the key; null: none. */
export function findLiveJob(state: State, dedupeKey: string | null): JobRow | null {
  if (dedupeKey === null) return null;
  for (const job of state.jobs.all()) {
    if (job.dedupeKey === dedupeKey && isLive(job)) return job;
  }
  return null;
}

/** The place after which the next page of `suspendedJobs` begins. */
export function suspendedJobPlace({ nextPollAt, workflowRunId, ordinal }: JobRow) {
  return { nextPollAt: nextPollAt ?? 0, workflowRunId, ordinal };
}
export type SuspendedJobPlace = ReturnType<typeof suspendedJobPlace>;

const settledJobs = list(
  object({ ...ofRun, ordinal: ordinalField, freed: optional(keyField) }),
  TRANSACTION_CHANGES_MAX,
);
const jobKeys = list(object({ ...ofRun, ordinal: ordinalField }), TRANSACTION_CHANGES_MAX);

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
   * otherwise 0. With `freed`, that is the key.
   */
  jobStates: storedQuery<JobState[]>()("jobStates", {
    keys: settledJobs,
    now: instantField,
    wakingOnly: optional(flag),
  }),

  /**
   * Those of the jobs that the commit did not write, in no particular order. Status and attempt are
   * null for an unknown one.
   */
  unwrittenJobs: storedQuery<UnwrittenJob[]>()("unwrittenJobs", {
    keys: jobKeys,
    commitId: text(),
  }),

  /** How many jobs are in each state; see {@link JobStatsRow}. */
  jobStats: storedQuery<JobStatsRow>()("jobStats", {
    now: instantField,
    failedSince: instantField,
  }),

  /**
   * The jobs that a commit's claimJobs took at or after `since`, by (priority DESC, ordinal, run).
   */
  claimedJobs: storedQuery<JobRow[]>()("claimedJobs", { since: instantField, commitId: text() }),

  /** PENDING jobs that were due at `before`, counted up to `limit`. */
  overdueJobs: storedQuery<number>()("overdueJobs", { before: instantField, limit: rowLimit }),

  /** SUSPENDED jobs with resumeAt <= now, counted up to `limit`. */
  resumableJobs: storedQuery<number>()("resumableJobs", { now: instantField, limit: rowLimit }),

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
  staleJobs: storedQuery<StaleJob[]>()("staleJobs", { before: instantField, limit: rowLimit }),

  /**
   * SUSPENDED jobs with nextPollAt <= now after the given place, by (nextPollAt, run, ordinal), at
   * most `limit` or PAGE_ROWS.
   */
  suspendedJobs: storedQuery<JobRow[]>()("suspendedJobs", {
    now: instantField,
    after: nullable(object({ nextPollAt: instantField, ...ofRun, ordinal: ordinalField })),
    limit: optional(rowLimit),
  }),
};
