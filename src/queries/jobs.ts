/** Queries of jobs. Pure. */
import { text } from "../model/shape.ts";
import { keyField, ordinalField } from "../model/fields.ts";
import { type JobRow, tokenOf } from "../model/index.ts";
import { byText, type Compare, inTurn } from "../model/order.ts";
import { jobRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { isLive } from "../model/status.ts";
import { queryKind } from "./query-kind.ts";
import { ofRun } from "./members.ts";

type Key = Pick<JobRow, "workflowRunId" | "ordinal">;

export const byKey: Compare<Key> = inTurn(
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

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
};
