/** Effects on jobs. */
import type { Effects } from "../../changes/index.ts";
import type { JobRow } from "../../model/index.ts";
import { CONCURRENCY_KEYS_MAX, PROMOTED_MAX } from "../../model/limits.ts";
import { compareUtf8 } from "../../model/order.ts";
import type { State } from "../../model/state.ts";
import type { Writer } from "../../model/writer.ts";
import { byPoll, byResumption, byUrgency, isResumable } from "../job-order.ts";
import { backoffMs, failedOnceMore, forGood, runningJob, setJob } from "./joining-jobs.ts";

function isDelayed({ jobs }: State, { workflowRunId, ordinal }: JobRow): boolean {
  return jobs.delayed.get(workflowRunId, ordinal) === true;
}

/** Makes delayed jobs ready that are due by now, those with the earliest nextPollAt first. */
function promote(writer: Writer, at: number): void {
  const due = [...writer.state.jobs.all()].filter(
    (job) =>
      job.status === "PENDING" &&
      job.nextPollAt !== null &&
      job.nextPollAt <= at &&
      isDelayed(writer.state, job),
  );
  for (const job of due.toSorted(byPoll).slice(0, PROMOTED_MAX)) writer.setDelayed(job, false);
}

/** Ready jobs that are due; of each concurrency key, as many of the first as it has room for. */
function claimable(state: State, at: number): JobRow[] {
  const running = new Map<string, number>();
  const due: JobRow[] = [];
  for (const job of state.jobs.all()) {
    const { status, concurrencyKey: key, nextPollAt } = job;
    const isDue = nextPollAt === null || nextPollAt <= at;
    if (status === "PENDING" && isDue && !isDelayed(state, job)) due.push(job);
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

export const jobEffects = {
  claimJobs(writer, { workerId, limit, at }) {
    promote(writer, at);
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
  },

  resumeJobs(writer, { limit, at }) {
    const due = [...writer.state.jobs.all()].filter((job) => isResumable(job, at));
    for (const job of due.toSorted(byResumption).slice(0, limit)) {
      setJob(writer, job, {
        status: "PENDING",
        maxAttempts: job.maxAttempts + 1,
        updatedAt: at,
      });
      writer.setDelayed(job, false);
    }
  },

  putBackFailure(writer, { workflowRunId, ordinal, dueAt }) {
    const job = writer.state.jobs.get(workflowRunId, ordinal);
    if (job === undefined || job.handOverAt === null) return;
    writer.put("jobs", { ...job, handOverAt: dueAt });
  },

  releaseJob(writer, change) {
    const { at, error, staleBefore } = change;
    const job = runningJob(writer, change);
    if (job === undefined || job.lockedAt === null || job.lockedAt >= staleBefore) return;
    const released = {
      ...failedOnceMore(job),
      unanswered: job.unanswered + 1,
      workerId: null,
      lockedAt: null,
      updatedAt: at,
      lastError: error,
    };
    if (job.attempt < job.maxAttempts) {
      setJob(writer, job, { ...released, status: "PENDING" });
      return;
    }
    setJob(writer, job, { ...released, ...forGood(at) });
  },

  returnJob(writer, change) {
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
    writer.setDelayed(job, true);
  },

  unclaimJob(writer, change) {
    const { at } = change;
    const job = runningJob(writer, change);
    if (job === undefined) return;
    setJob(writer, job, {
      status: "PENDING",
      workerId: null,
      lockedAt: null,
      maxAttempts: job.maxAttempts + 1,
      updatedAt: at,
    });
  },
} satisfies Effects;
