/**
 * Effects of the changes of jobs that join a transaction: its local copy needs them, too. Clients
 * whose jobs join none do not carry them.
 */
import type { Effects, RetryBackoff } from "../../changes/index.ts";
import type { JobKey } from "../../changes/change-kind.ts";
import { attendedWith, type JobRow } from "../../model/index.ts";
import { RETRY_EXPONENT_MAX } from "../../model/limits.ts";
import { isLive, isTerminal } from "../../model/status.ts";
import { checkFits, type Writer } from "../../model/writer.ts";
import { findLiveJob } from "../../queries/jobs.ts";

interface FencedKey extends JobKey {
  readonly attempt?: number | undefined;
}

/** Writes these columns of the job. */
export function setJob(writer: Writer, job: JobRow, columns: Partial<JobRow>): void {
  writer.put("jobs", { ...job, ...columns, commits: writer.stamp(job.commits) });
}

/**
 * The job; undefined when it is unknown, terminal, or owned by another attempt than the change's.
 */
function openJob(
  writer: Writer,
  { workflowRunId, ordinal, attempt }: FencedKey,
): JobRow | undefined {
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  if (job === undefined || isTerminal(job)) return undefined;
  return (attempt ?? job.attempt) === job.attempt ? job : undefined;
}

export function runningJob(writer: Writer, key: FencedKey): JobRow | undefined {
  const job = openJob(writer, key);
  return job?.status === "RUNNING" ? job : undefined;
}

/**
 * A PENDING job has been failed already, and waits for its retry: it does not count a second
 * failure.
 */
export function failedOnceMore({ failures, status }: JobRow) {
  return { failures: failures + (status === "PENDING" ? 0 : 1), undelivered: 0 };
}

/** A failure is due to be handed over from the instant at which it happens. */
export function forGood(at: number) {
  return { status: "FAILED", completedAt: at, handOverAt: at } as const;
}

/**
 * The pause after `count` failures or returns in a row; the base pause for a job that was never
 * claimed.
 */
export function backoffMs(
  { baseMs, capMs, jitterPermille }: RetryBackoff,
  count: number,
  { attempt }: JobRow,
): number {
  const doublings = Math.min(count, attempt, RETRY_EXPONENT_MAX);
  const waitMs = Math.min(baseMs * 2 ** doublings, capMs);
  return waitMs + Math.floor((waitMs * jitterPermille) / 1_000);
}

export const joiningJobEffects = {
  enqueueJob(writer, { row }) {
    checkFits("jobs", row);
    if (isLive(row) && findLiveJob(writer.state, row.dedupeKey) !== null) return;
    const job = { ...row, ...attendedWith(row), commits: writer.commitId };
    writer.create("jobs", job);
    if (row.nextPollAt !== null && row.nextPollAt > row.createdAt) writer.setDelayed(job, true);
  },

  completeJob(writer, change) {
    const { at } = change;
    const job = openJob(writer, change);
    if (job === undefined) return;
    setJob(writer, job, { status: "COMPLETED", completedAt: at, updatedAt: at });
  },

  suspendJob(writer, change) {
    const { nextPollAt, resumeAt, at } = change;
    const job = openJob(writer, change);
    if (job === undefined) return;
    setJob(writer, job, {
      status: "SUSPENDED",
      nextPollAt,
      resumeAt,
      undelivered: 0,
      unanswered: 0,
      workerId: null,
      lockedAt: null,
      updatedAt: at,
    });
  },

  failJob(writer, change) {
    const { at, error } = change;
    const job = openJob(writer, change);
    if (job === undefined) return;
    const unanswered = change.died === true ? job.unanswered + 1 : 0;
    const failed = { ...failedOnceMore(job), unanswered, lastError: error, updatedAt: at };
    if (change.retry !== null && job.attempt < job.maxAttempts) {
      setJob(writer, job, {
        ...failed,
        status: "PENDING",
        workerId: null,
        lockedAt: null,
        nextPollAt: at + backoffMs(change.retry, failed.failures, job),
      });
      writer.setDelayed(job, true);
      return;
    }
    setJob(writer, job, { ...failed, ...forGood(at) });
  },

  touchJob(writer, change) {
    const { at } = change;
    const job = runningJob(writer, change);
    if (job !== undefined) setJob(writer, job, { lockedAt: at, updatedAt: at });
  },

  cancelJobs(writer, { workflowRunId, leased = false, at }) {
    for (const job of writer.state.jobs.part(workflowRunId).values()) {
      if (!isLive(job) || (job.status === "RUNNING" && !leased)) continue;
      setJob(writer, job, { status: "CANCELLED", completedAt: at, updatedAt: at });
    }
  },
} satisfies Effects;
