/** Changes of jobs. Pure. */
import { type ChangeOf, type JobRow, RETRY_BACKOFF_MS } from "../changes/index.ts";
import { byNumber, byText, descending, firstBy, inTurn } from "./order.ts";
import type { Writer } from "./writer.ts";

/** Bounds the wait at 12 days; unbounded, the instant would leave what a Date holds. */
const BACKOFF_EXPONENT_MAX = 20;

const byUrgency = inTurn<JobRow>(
  descending(byNumber((job) => job.priority)),
  byText((job) => job.ordinal),
  byText((job) => job.workflowRunId),
);

interface JobKey {
  readonly workflowRunId: string;
  readonly ordinal: string;
}

function setJob(writer: Writer, job: JobRow, columns: Partial<JobRow>): void {
  writer.put("jobs", { ...job, ...columns, commits: writer.stamp(job.commits) });
}

function isTerminal(job: JobRow): boolean {
  return job.status === "COMPLETED" || job.status === "FAILED" || job.status === "CANCELLED";
}

/** The job, or undefined when it is unknown or has come to its end. */
function openJob(writer: Writer, { workflowRunId, ordinal }: JobKey): JobRow | undefined {
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  return job === undefined || isTerminal(job) ? undefined : job;
}

function runningJob(writer: Writer, { workflowRunId, ordinal }: JobKey): JobRow | undefined {
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  return job?.status === "RUNNING" ? job : undefined;
}

export function enqueueJob(writer: Writer, { row }: ChangeOf<"enqueueJob">): void {
  writer.create("jobs", { ...row, commits: writer.commitId });
}

export function claimJob(writer: Writer, { workerId, at }: ChangeOf<"claimJob">): void {
  const due: JobRow[] = [];
  for (const job of writer.state.jobs.all()) {
    if (job.status !== "PENDING") continue;
    if (job.nextPollAt === null || job.nextPollAt <= at) due.push(job);
  }
  const job = firstBy(due, byUrgency);
  if (job === null) return;
  setJob(writer, job, {
    status: "RUNNING",
    workerId,
    lockedAt: at,
    startedAt: at,
    updatedAt: at,
    attempt: job.attempt + 1,
  });
}

export function completeJob(writer: Writer, change: ChangeOf<"completeJob">): void {
  const { at } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  setJob(writer, job, { status: "COMPLETED", completedAt: at, updatedAt: at });
}

export function suspendJob(writer: Writer, change: ChangeOf<"suspendJob">): void {
  const { nextPollAt, at } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  setJob(writer, job, {
    status: "SUSPENDED",
    nextPollAt,
    workerId: null,
    lockedAt: null,
    updatedAt: at,
  });
}

export function failJob(writer: Writer, change: ChangeOf<"failJob">): void {
  const { at, error } = change;
  const job = openJob(writer, change);
  if (job === undefined) return;
  if (change.retry && job.attempt < job.maxAttempts) {
    const waitMs = RETRY_BACKOFF_MS * 2 ** Math.min(job.attempt, BACKOFF_EXPONENT_MAX);
    setJob(writer, job, {
      status: "PENDING",
      lastError: error,
      workerId: null,
      lockedAt: null,
      nextPollAt: at + waitMs,
      updatedAt: at,
    });
    return;
  }
  setJob(writer, job, { status: "FAILED", lastError: error, completedAt: at, updatedAt: at });
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
  const released = { workerId: null, lockedAt: null, updatedAt: at };
  if (job.attempt < job.maxAttempts) {
    setJob(writer, job, { ...released, status: "PENDING" });
    return;
  }
  setJob(writer, job, { ...released, status: "FAILED", completedAt: at, lastError: error });
}

export function cancelJobs(writer: Writer, change: ChangeOf<"cancelJobs">): void {
  const { at } = change;
  for (const job of writer.state.jobs.part(change.workflowRunId).values()) {
    if (job.status !== "PENDING" && job.status !== "SUSPENDED") continue;
    setJob(writer, job, { status: "CANCELLED", completedAt: at, updatedAt: at });
  }
}
