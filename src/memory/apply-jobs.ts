/** Changes of jobs. Pure. */
import {
  attendedWith,
  type ChangeOf,
  CONCURRENCY_KEYS_MAX,
  type JobRow,
  RETRY_EXPONENT_MAX,
  type RetryBackoff,
} from "../changes/index.ts";
import { byNumber, byText, compareUtf8, descending, inTurn } from "./order.ts";
import { isLive, liveJob } from "./queries-jobs.ts";
import type { State } from "./state.ts";
import { checkFits, type Writer } from "./writer.ts";

const byUrgency = inTurn<JobRow>(
  descending(byNumber((job) => job.priority)),
  byText((job) => job.ordinal),
  byText((job) => job.workflowRunId),
);

const byResumption = inTurn<JobRow>(
  byNumber((job) => job.resumeAt ?? 0),
  byText((job) => job.workflowRunId),
  byText((job) => job.ordinal),
);

interface JobKey {
  readonly workflowRunId: string;
  readonly ordinal: string;
  /** The fence; absent: any attempt. */
  readonly attempt?: number | undefined;
}

function setJob(writer: Writer, job: JobRow, columns: Partial<JobRow>): void {
  writer.put("jobs", { ...job, ...columns, commits: writer.stamp(job.commits) });
}

function isTerminal(job: JobRow): boolean {
  return job.status === "COMPLETED" || job.status === "FAILED" || job.status === "CANCELLED";
}

/** The job, or undefined when it is unknown, has come to its end, or is in the hands of another attempt. */
function openJob(writer: Writer, { workflowRunId, ordinal, attempt }: JobKey): JobRow | undefined {
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  if (job === undefined || isTerminal(job)) return undefined;
  return (attempt ?? job.attempt) === job.attempt ? job : undefined;
}

function runningJob(writer: Writer, key: JobKey): JobRow | undefined {
  const job = openJob(writer, key);
  return job?.status === "RUNNING" ? job : undefined;
}

export function enqueueJob(writer: Writer, { row }: ChangeOf<"enqueueJob">): void {
  checkFits("jobs", row);
  if (isLive(row) && liveJob(writer.state, row) !== null) return;
  writer.create("jobs", { ...row, ...attendedWith(row), commits: writer.commitId });
}

export function claimJobs(writer: Writer, { workerId, limit, at }: ChangeOf<"claimJobs">): void {
  for (const job of claimable(writer.state, at).toSorted(byUrgency).slice(0, limit)) {
    setJob(writer, job, {
      status: "RUNNING",
      workerId,
      lockedAt: at,
      startedAt: at,
      updatedAt: at,
      attempt: job.attempt + 1,
    });
  }
}

/** Due jobs, of each concurrency key the first for which it has room. */
function claimable(state: State, at: number): JobRow[] {
  const running = new Map<string, number>();
  const due: JobRow[] = [];
  for (const job of state.jobs.all()) {
    const { status, concurrencyKey: key, nextPollAt } = job;
    if (status === "PENDING" && (nextPollAt === null || nextPollAt <= at)) due.push(job);
    if (status === "RUNNING" && key !== null) running.set(key, (running.get(key) ?? 0) + 1);
  }
  const byKey = Map.groupBy(due, (job) => job.concurrencyKey);
  const keys = [...byKey.keys()].filter((key) => key !== null).toSorted(compareUtf8);
  return [
    ...(byKey.get(null) ?? []),
    ...keys.slice(0, CONCURRENCY_KEYS_MAX).flatMap((key) => {
      const waiting = (byKey.get(key) ?? []).toSorted(byUrgency);
      const before = running.get(key) ?? 0;
      const full = waiting.findIndex((job, place) => before + place >= (job.concurrencyLimit ?? 1));
      return full === -1 ? waiting : waiting.slice(0, full);
    }),
  ];
}

export function resumeJobs(writer: Writer, { limit, at }: ChangeOf<"resumeJobs">): void {
  const due = [...writer.state.jobs.all()].filter(
    ({ status, resumeAt }) => status === "SUSPENDED" && resumeAt !== null && resumeAt <= at,
  );
  for (const job of due.toSorted(byResumption).slice(0, limit)) {
    setJob(writer, job, { status: "PENDING", maxAttempts: job.maxAttempts + 1, updatedAt: at });
  }
}

export function completeJob(writer: Writer, change: ChangeOf<"completeJob">): void {
  const { at } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  setJob(writer, job, { status: "COMPLETED", completedAt: at, updatedAt: at });
}

export function suspendJob(writer: Writer, change: ChangeOf<"suspendJob">): void {
  const { nextPollAt, resumeAt, at } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  setJob(writer, job, {
    status: "SUSPENDED",
    nextPollAt,
    resumeAt,
    undelivered: 0,
    workerId: null,
    lockedAt: null,
    updatedAt: at,
  });
}

export function failJob(writer: Writer, change: ChangeOf<"failJob">): void {
  const { at, error } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  const failed = { ...failedOnceMore(job), lastError: error, updatedAt: at };
  if (change.retry !== null && job.attempt < job.maxAttempts) {
    setJob(writer, job, {
      ...failed,
      status: "PENDING",
      workerId: null,
      lockedAt: null,
      nextPollAt: at + backoffMs(change.retry, failed.failures, job),
    });
    return;
  }
  setJob(writer, job, { ...failed, ...forGood(at) });
}

function forGood(at: number) {
  return { status: "FAILED", completedAt: at, handOverAt: at } as const;
}

function failedOnceMore({ failures }: JobRow) {
  return { failures: failures + 1, undelivered: 0 };
}

export function returnJob(writer: Writer, change: ChangeOf<"returnJob">): void {
  const { at, error, retry } = change;
  const job = runningJob(writer, change);
  if (job === undefined) return;
  const undelivered = job.undelivered + 1;
  setJob(writer, job, {
    status: "PENDING",
    undelivered,
    maxAttempts: job.maxAttempts + 1,
    workerId: null,
    lockedAt: null,
    nextPollAt: at + backoffMs(retry, undelivered, job),
    lastError: error,
    updatedAt: at,
  });
}

/** The pause after so many, of which a job that nobody was given has none. */
function backoffMs(
  { baseMs, capMs, jitterPermille }: RetryBackoff,
  count: number,
  { attempt }: JobRow,
): number {
  const doublings = Math.min(count, attempt, RETRY_EXPONENT_MAX);
  const waitMs = Math.min(baseMs * 2 ** doublings, capMs);
  return waitMs + Math.floor((waitMs * jitterPermille) / 1_000);
}

export function touchJob(writer: Writer, change: ChangeOf<"touchJob">): void {
  const { at } = change;
  const job = runningJob(writer, change);
  if (job !== undefined) setJob(writer, job, { lockedAt: at, updatedAt: at });
}

export function releaseJob(writer: Writer, change: ChangeOf<"releaseJob">): void {
  const { at, error, staleBefore } = change;
  const job = runningJob(writer, change);
  if (job === undefined || job.lockedAt === null || job.lockedAt >= staleBefore) return;
  const lease = { workerId: null, lockedAt: null };
  const released = { ...failedOnceMore(job), ...lease, updatedAt: at, lastError: error };
  if (job.attempt < job.maxAttempts) {
    setJob(writer, job, { ...released, status: "PENDING" });
    return;
  }
  setJob(writer, job, { ...released, ...forGood(at) });
}

export function putBackFailure(writer: Writer, change: ChangeOf<"putBackFailure">): void {
  const { workflowRunId, ordinal, dueAt } = change;
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  if (job === undefined || job.handOverAt === null) return;
  writer.put("jobs", { ...job, handOverAt: dueAt });
}

export function cancelJobs(writer: Writer, change: ChangeOf<"cancelJobs">): void {
  const { at } = change;
  for (const job of writer.state.jobs.part(change.workflowRunId).values()) {
    if (job.status !== "PENDING" && job.status !== "SUSPENDED") continue;
    setJob(writer, job, { status: "CANCELLED", completedAt: at, updatedAt: at });
  }
}
