/** Changes of jobs. Pure. */
import { flag, object, nullable, optional, whole, type TypeOf } from "../model/shape.ts";
import {
  countField,
  idField,
  instantField,
  jobErrorField,
  nameField,
  ordinalField,
} from "../model/fields.ts";
import { attendedWith, type JobRow, joinId, nearestInstant, newJobRow } from "../model/index.ts";
import {
  CLAIM_JOBS_MAX,
  CONCURRENCY_KEYS_MAX,
  PROMOTED_MAX,
  RESUME_JOBS_MAX,
  RETRY_EXPONENT_MAX,
  RETRY_MS_MAX,
} from "../model/limits.ts";
import { compareUtf8 } from "../model/order.ts";
import { jobRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { isLive, isTerminal } from "../model/status.ts";
import { checkFits, type Writer } from "../model/writer.ts";
import { byPoll, byResumption, byUrgency, findLiveJob, isResumable } from "../queries/jobs.ts";
import { changeKind, type JobKey, type WakeUp } from "./change-kind.ts";
import { ADMIN, WORK, WRITE } from "./scope.ts";

const jobKey = { workflowRunId: idField, ordinal: ordinalField };
/**
 * The fence of a delivery: the change does nothing if the job's attempt is another one. Absent:
 * any.
 */
const fence = { attempt: optional(countField) };

/**
 * A retry waits min(baseMs * 2^n, capMs) and `jitterPermille` thousandths of that longer, rounded
 * down, where n counts what went wrong: min(count, attempts, 20).
 */
export const retryBackoff = object({
  baseMs: whole({ min: 0, max: RETRY_MS_MAX }),
  capMs: whole({ min: 0, max: RETRY_MS_MAX }),
  jitterPermille: whole({ min: 0, max: 1_000 }),
});
export type RetryBackoff = TypeOf<typeof retryBackoff>;

interface FencedKey extends JobKey {
  readonly attempt?: number | undefined;
}

function setJob(writer: Writer, job: JobRow, columns: Partial<JobRow>): void {
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

function runningJob(writer: Writer, key: FencedKey): JobRow | undefined {
  const job = openJob(writer, key);
  return job?.status === "RUNNING" ? job : undefined;
}

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

/**
 * A PENDING job has been failed already, and waits for its retry: it does not count a second
 * failure.
 */
function failedOnceMore({ failures, status }: JobRow) {
  return { failures: failures + (status === "PENDING" ? 0 : 1), undelivered: 0 };
}

/** A failure is due to be handed over from the instant at which it happens. */
function forGood(at: number) {
  return { status: "FAILED", completedAt: at, handOverAt: at } as const;
}

/**
 * The pause after `count` failures or returns in a row; the base pause for a job that was never
 * claimed.
 */
function backoffMs(
  { baseMs, capMs, jitterPermille }: RetryBackoff,
  count: number,
  { attempt }: JobRow,
): number {
  const doublings = Math.min(count, attempt, RETRY_EXPONENT_MAX);
  const waitMs = Math.min(baseMs * 2 ** doublings, capMs);
  return waitMs + Math.floor((waitMs * jitterPermille) / 1_000);
}

function atOf<Change extends { readonly at: number }>(change: Change, now: number): Change {
  return { ...change, at: now };
}

/** What the changes of one delivered job share. */
const settling = {
  scope: WORK,
  row: (change: JobKey) => jobRef(change),
  trace: "mark?",
  recorded: "each",
  settles: ({ workflowRunId, ordinal }: JobKey) => ({ workflowRunId, ordinal }),
  stamp: atOf,
} as const;

export const jobChanges = {
  /**
   * Inserts the job. Nothing if it is live (PENDING, RUNNING, SUSPENDED) and another live job has
   * its dedupeKey.
   */
  enqueueJob: changeKind(
    "enqueueJob",
    { row: newJobRow },
    {
      scope: WRITE,
      row: ({ row }) => jobRef(row),
      trace: ({ row }) => (row.dedupeKey === null ? "row" : "row?"),
      recorded: "insert",
      shownIn: ({ row }) =>
        row.dedupeKey === null ? null : { of: "dedupeKey", dedupeKey: row.dedupeKey },
      needs: ({ row }) =>
        row.dedupeKey === null ? [] : [{ of: "dedupeKey", dedupeKey: row.dedupeKey }],
      texts: ({ row }) => [{ table: "jobs", values: row }],
      // If another live job has the dedupe key, this one does not exist.
      settles: ({ row: { workflowRunId, ordinal, dedupeKey } }) =>
        dedupeKey === null ? null : { workflowRunId, ordinal },
      wakes({ row }): WakeUp[] {
        if (row.dedupeKey !== null || row.status !== "PENDING") return [];
        const jobId = joinId(row.workflowRunId, row.ordinal);
        return [{ kind: "jobs", jobId, at: row.nextPollAt }];
      },
      apply(writer, { row }) {
        checkFits("jobs", row);
        if (isLive(row) && findLiveJob(writer.state, row.dedupeKey) !== null) return;
        const job = { ...row, ...attendedWith(row), commits: writer.commitId };
        writer.create("jobs", job);
        if (row.nextPollAt !== null && row.nextPollAt > row.createdAt) writer.setDelayed(job, true);
      },
    },
  ),

  /**
   * The best PENDING jobs whose nextPollAt is null or at most `at` (by priority, then ordinal), at
   * most `limit`, become RUNNING: workerId, lockedAt = startedAt = updatedAt = at, attempt + 1.
   *
   * A job with a concurrencyKey is passed over if the RUNNING jobs of the key, together with those
   * that are taken before it, have reached its concurrencyLimit; so are the jobs of the key that
   * come after it. If more than CONCURRENCY_KEYS_MAX keys have due jobs, those of the later keys
   * are passed over. Of delayed jobs that have become due, those PROMOTED_MAX count whose
   * nextPollAt is earliest.
   */
  claimJobs: changeKind(
    "claimJobs",
    {
      workerId: nullable(nameField),
      limit: whole({ min: 0, max: CLAIM_JOBS_MAX }),
      at: instantField,
    },
    {
      scope: WORK,
      row: () => null,
      trace: "row?",
      stamp: atOf,
      recorded: "never",
      apply(writer, { workerId, limit, at }) {
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
    },
  ),

  /**
   * SUSPENDED jobs with resumeAt <= at, those with the earliest resumeAt first, at most `limit`:
   * PENDING, maxAttempts + 1 (a poll is no failed attempt), updatedAt = at.
   */
  resumeJobs: changeKind(
    "resumeJobs",
    { limit: whole({ min: 0, max: RESUME_JOBS_MAX }), at: instantField },
    {
      // The change names its instant, and so may resume jobs too early.
      scope: ADMIN,
      row: () => null,
      trace: "none",
      stamp: atOf,
      recorded: "never",
      apply(writer, { limit, at }) {
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
    },
  ),

  /**
   * COMPLETED, completedAt = updatedAt = at; nothing if terminal (COMPLETED, FAILED, CANCELLED).
   */
  completeJob: changeKind(
    "completeJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...settling,
      apply(writer, change) {
        const { at } = change;
        const job = openJob(writer, change);
        if (job === undefined) return;
        setJob(writer, job, { status: "COMPLETED", completedAt: at, updatedAt: at });
      },
    },
  ),

  /**
   * SUSPENDED, nextPollAt, resumeAt, workerId = lockedAt = null, undelivered = unanswered = 0,
   * updatedAt = at; nothing if terminal.
   */
  suspendJob: changeKind(
    "suspendJob",
    {
      ...jobKey,
      ...fence,
      nextPollAt: instantField,
      /**
       * When the service itself resumes the job: at `nextPollAt`, or UNPOLLED_MS after it where an
       * engine is expected to poll.
       */
      resumeAt: instantField,
      at: instantField,
    },
    {
      ...settling,
      apply(writer, change) {
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
    },
  ),

  /**
   * failures + 1 unless PENDING, undelivered = 0, lastError, updatedAt = at; unanswered + 1 if its
   * worker `died`, else 0. If `retry` is given
   * and attempt < maxAttempts: PENDING, workerId = lockedAt = null, nextPollAt = at + the backoff
   * after that many failures; otherwise FAILED, completedAt = handOverAt = at. Nothing if terminal.
   */
  failJob: changeKind(
    "failJob",
    {
      ...jobKey,
      ...fence,
      error: jobErrorField,
      /** Default: false. */
      died: optional(flag),
      /** Null: no retry. */
      retry: nullable(retryBackoff),
      at: instantField,
    },
    {
      ...settling,
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
      apply(writer, change) {
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
    },
  ),

  /**
   * The delivery did not reach the handler, and counts neither as an attempt nor as a failure. If
   * RUNNING: PENDING, workerId = lockedAt = null, undelivered + 1, maxAttempts + 1, nextPollAt = at
   * + the backoff after that many in a row, lastError = `error`, updatedAt = at. Nothing otherwise.
   */
  returnJob: changeKind(
    "returnJob",
    { ...jobKey, ...fence, error: jobErrorField, retry: retryBackoff, at: instantField },
    {
      ...settling,
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
      apply(writer, change) {
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
    },
  ),

  /**
   * The worker gives back a job that it has not begun. If RUNNING: PENDING, workerId = lockedAt =
   * null, maxAttempts + 1, updatedAt = at; it counts neither as an attempt nor as a failure, and the
   * job is ready. Nothing otherwise.
   */
  unclaimJob: changeKind(
    "unclaimJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...settling,
      apply(writer, change) {
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
    },
  ),

  /** lockedAt = updatedAt = at if RUNNING; nothing otherwise. */
  touchJob: changeKind(
    "touchJob",
    { ...jobKey, ...fence, at: instantField },
    {
      ...settling,
      // A heartbeat makes no job claimable.
      settles: () => null,
      apply(writer, change) {
        const { at } = change;
        const job = runningJob(writer, change);
        if (job !== undefined) setJob(writer, job, { lockedAt: at, updatedAt: at });
      },
    },
  ),

  /**
   * If RUNNING and lockedAt < staleBefore: failures + 1, undelivered = 0, unanswered + 1, workerId =
   * lockedAt = null, updatedAt = at, lastError = `error`; PENDING, or FAILED with completedAt = handOverAt =
   * at when attempt >= maxAttempts. Nothing otherwise.
   */
  releaseJob: changeKind(
    "releaseJob",
    { ...jobKey, staleBefore: instantField, error: jobErrorField, at: instantField },
    {
      ...settling,
      // The change names `staleBefore`, and so may end a fresh lease.
      scope: ADMIN,
      // The caller gives an age: a clock that is wrong makes no lease older than it is.
      stamp: (change, now) => ({
        ...change,
        at: now,
        staleBefore: nearestInstant(now - (change.at - change.staleBefore)),
      }),
      texts: ({ error }) => [{ table: "jobs", values: { lastError: error } }],
      apply(writer, change) {
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
    },
  ),

  /**
   * If the job has a handOverAt: handOverAt = `dueAt`. `commits` stays as it is, since no caller
   * sees the column.
   */
  putBackFailure: changeKind(
    "putBackFailure",
    { ...jobKey, dueAt: nullable(instantField) },
    {
      scope: ADMIN,
      row: (change) => jobRef(change),
      trace: "none",
      recorded: "never",
      shownIn: () => null,
      apply(writer, { workflowRunId, ordinal, dueAt }) {
        const job = writer.state.jobs.get(workflowRunId, ordinal);
        if (job === undefined || job.handOverAt === null) return;
        writer.put("jobs", { ...job, handOverAt: dueAt });
      },
    },
  ),

  /**
   * PENDING and SUSPENDED jobs of the run, with `leased` also RUNNING ones: CANCELLED, completedAt =
   * updatedAt = at. A worker learns by its next heartbeat that its lease is gone.
   */
  cancelJobs: changeKind(
    "cancelJobs",
    { workflowRunId: idField, leased: optional(flag), at: instantField },
    {
      scope: WRITE,
      row: () => null,
      trace: "row?",
      stamp: atOf,
      recorded: "each",
      shownIn: ({ workflowRunId }) => ({ of: "jobs", workflowRunId }),
      needs: ({ workflowRunId }) => [{ of: "jobs", workflowRunId }],
      apply(writer, { workflowRunId, leased = false, at }) {
        for (const job of writer.state.jobs.part(workflowRunId).values()) {
          if (!isLive(job) || (job.status === "RUNNING" && !leased)) continue;
          setJob(writer, job, { status: "CANCELLED", completedAt: at, updatedAt: at });
        }
      },
    },
  ),
};
