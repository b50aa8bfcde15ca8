/** The job queue, over a unit of work. */
import {
  type Change,
  encodeJson,
  type Guard,
  JOB_ERROR_BYTES_MAX,
  JOB_MAX_ATTEMPTS_DEFAULT,
  joinId,
  type JobRow,
  PAGE_ROWS,
  PRIORITY_DEFAULT,
  READ_QUERIES_MAX,
  splitId,
  STALE_LEASE_MS_DEFAULT,
  tokenOf,
} from "../changes/index.ts";
import {
  type DequeueResult,
  type EnqueueJobInput,
  type JobQueue,
  type JobRecord,
  ServiceError,
} from "../contract/index.ts";
import { afterFirstCommit } from "./direct.ts";
import {
  checkedChanges,
  checkedQuery,
  freeText,
  instant,
  invalid,
  nullableInstant,
  requireList,
  requireObject,
  requireText,
} from "./encode.ts";
import { toJobRecord, toPayload } from "./records.ts";
import type { Unit } from "./unit.ts";

/** Deliveries remembered by a connection; it normally lives for one request. */
const DELIVERIES_MAX = 10_000;
const LEASE_EXPIRED = "The lease expired, and no attempts are left";

type JobKey = { readonly workflowRunId: string; readonly ordinal: string };

export interface JobsOptions {
  /** The unit that acts at once. */
  readonly direct: Unit;
  /** The transaction whose callback is running, or else the direct unit. */
  readonly current: () => Unit;
  /** Tells the transaction whose callback is running, if any, of a job that was just dequeued. */
  readonly claimed: (row: JobRow) => void;
  readonly workerId: string | null;
}

export class Jobs implements JobQueue {
  readonly #direct: Unit;
  readonly #current: () => Unit;
  readonly #workerId: string | null;
  readonly #claimed: (row: JobRow) => void;
  /** The attempt that this connection was given of each job: it may settle that one and no later one. */
  readonly #deliveries = new Map<string, number>();

  constructor({ direct, current, claimed, workerId }: JobsOptions) {
    this.#direct = direct;
    this.#current = current;
    this.#workerId = workerId;
    this.#claimed = claimed;
  }

  async enqueue(options: EnqueueJobInput): Promise<string> {
    const [id] = await this.#enqueue("enqueue", [options]);
    return id ?? "";
  }

  async enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]> {
    return requireList("enqueueParallel", jobs).length === 0
      ? []
      : this.#enqueue("enqueueParallel", jobs);
  }

  async #enqueue(method: string, jobs: readonly EnqueueJobInput[]): Promise<string[]> {
    const unit = this.#current();
    return unit.call(async () => {
      const now = await unit.now();
      const rows = requireList(method, jobs).map((job) =>
        newRow(unit, now, requireObject(method, job)),
      );
      const changes = checkedChanges(
        method,
        rows.map((row) => ({ kind: "enqueueJob" as const, row })),
      );
      await unit.write({ changes });
      return rows.map((row) => joinId(row.workflowRunId, row.ordinal));
    });
  }

  async dequeue(): Promise<DequeueResult | null> {
    const at = await this.#direct.now();
    const written = await this.#direct.write({
      changes: checkedChanges("dequeue", [{ kind: "claimJob", workerId: this.#workerId, at }]),
      reads: (commitId) => [{ q: "claimedJob", at, commitId }],
    });
    const row = written.applied ? written.results[0] : null;
    if (row === null) return null;
    const jobId = joinId(row.workflowRunId, row.ordinal);
    this.#remember(jobId, row.attempt);
    this.#claimed(row);
    return {
      jobId,
      workflowRunId: row.workflowRunId,
      workflowId: row.workflowId,
      stageId: row.stageId,
      priority: row.priority,
      attempt: row.attempt,
      maxAttempts: row.maxAttempts,
      payload: toPayload(row.payload),
    };
  }

  #remember(jobId: string, attempt: number): void {
    this.#deliveries.delete(jobId);
    this.#deliveries.set(jobId, attempt);
    if (this.#deliveries.size > DELIVERIES_MAX) {
      const [oldest] = this.#deliveries.keys();
      if (oldest !== undefined) this.#deliveries.delete(oldest);
    }
  }

  async complete(jobId: string): Promise<void> {
    await this.#settle("complete", jobId, (key, at) => ({ kind: "completeJob", ...key, at }));
  }

  async suspend(jobId: string, nextPollAt: Date): Promise<void> {
    const due = instant(nextPollAt, "nextPollAt");
    await this.#settle("suspend", jobId, (key, at) => ({
      kind: "suspendJob",
      ...key,
      nextPollAt: due,
      at,
    }));
  }

  async fail(jobId: string, error: string, shouldRetry = false): Promise<void> {
    const text = freeText(error, "error", JOB_ERROR_BYTES_MAX);
    await this.#settle("fail", jobId, (key, at) => ({
      kind: "failJob",
      ...key,
      error: text,
      retry: shouldRetry,
      at,
    }));
  }

  async touchJob(jobId: string): Promise<void> {
    try {
      await this.#settle("touchJob", jobId, (key, at) => ({ kind: "touchJob", ...key, at }));
    } catch (error) {
      // A heartbeat for a job that does not exist is as silent as one for a job that is not running.
      if (!(error instanceof ServiceError && error.code === "NOT_FOUND")) throw error;
    }
  }

  async #settle(
    method: string,
    jobId: string,
    changeOf: (key: JobKey, at: number) => Change,
  ): Promise<void> {
    const key = splitId(requireText(method, jobId));
    if (key === null) throw jobNotFound(jobId);
    const attempt = this.#deliveries.get(jobId);
    const guard: Guard = {
      on: "job",
      ...key,
      expect: attempt === undefined ? { is: "present" } : { is: "attempt", attempt },
    };
    const unit = this.#current();
    const written = await unit.call(async () => {
      const changes = checkedChanges(method, [changeOf(key, await unit.now())]);
      return unit.write({ guards: [guard], changes });
    });
    if (written.applied) return;
    if (written.violation.actual === -1) throw jobNotFound(jobId);
    throw new ServiceError(
      "LEASE_LOST",
      `${method}: attempt ${attempt} of job ${jobId} is over, attempt ${written.violation.actual} owns it`,
      { id: jobId, attempt: attempt ?? null, actual: written.violation.actual },
    );
  }

  async getJobsByWorkflowRun(workflowRunId: string): Promise<JobRecord[]> {
    if (workflowRunId === "") return [];
    const query = checkedQuery("getJobsByWorkflowRun", { q: "jobs", workflowRunId });
    const unit = this.#current();
    const [rows] = await unit.call(() => unit.read([query]));
    return rows.map(toJobRecord);
  }

  async getSuspendedJobsReadyToPoll(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  > {
    const now = await this.#direct.now();
    const rows: JobRow[] = [];
    for (;;) {
      const last = rows.at(-1);
      const after =
        last === undefined
          ? null
          : {
              nextPollAt: last.nextPollAt ?? now,
              workflowRunId: last.workflowRunId,
              ordinal: last.ordinal,
            };
      const [page] = await this.#direct.read([{ q: "suspendedJobs", now, after }]);
      rows.push(...page);
      if (page.length < PAGE_ROWS) break;
    }
    return rows.map((row) => ({
      jobId: joinId(row.workflowRunId, row.ordinal),
      stageId: row.stageId,
      workflowRunId: row.workflowRunId,
    }));
  }

  async releaseStaleJobs(staleThresholdMs: number = STALE_LEASE_MS_DEFAULT): Promise<number> {
    if (typeof staleThresholdMs !== "number" || Number.isNaN(staleThresholdMs)) {
      throw invalid("releaseStaleJobs: staleThresholdMs must be a number", {
        field: "staleThresholdMs",
      });
    }
    let unit = this.#direct;
    const at = await unit.now();
    const staleBefore = Math.ceil(Math.min(Math.max(at - staleThresholdMs, -8.64e15), 8.64e15));
    let released = 0;
    for (;;) {
      const [stale] = await unit.read([
        { q: "staleJobs", before: staleBefore, limit: READ_QUERIES_MAX },
      ]);
      if (stale.length === 0) return released;
      const keys = stale.map(({ workflowRunId, ordinal }) => ({ workflowRunId, ordinal }));
      const written = await unit.write({
        changes: keys.map((key) => ({
          kind: "releaseJob" as const,
          ...key,
          staleBefore,
          error: LEASE_EXPIRED,
          at,
        })),
        reads: () => keys.map((key) => ({ q: "job" as const, ...key })),
      });
      if (written.applied) released += countWrittenBy(written.commitId, written.results);
      unit = afterFirstCommit(this.#direct);
      if (stale.length < READ_QUERIES_MAX) return released;
    }
  }

  async cancelByRun(workflowRunId: string): Promise<number> {
    const unit = this.#current();
    const written = await unit.call(async () => {
      const at = await unit.now();
      return unit.write({
        changes: checkedChanges("cancelByRun", [{ kind: "cancelJobs", workflowRunId, at }]),
        reads: (commitId) => [{ q: "cancelledJobs", workflowRunId, commitId }],
      });
    });
    return written.applied ? written.results[0] : 0;
  }
}

/** Rows that a commit changed: another may have been faster with the others. */
function countWrittenBy(commitId: string, rows: readonly (JobRow | null)[]): number {
  return rows.filter((row) => row !== null && tokenOf(row) === commitId).length;
}

function jobNotFound(id: string): ServiceError {
  return new ServiceError("NOT_FOUND", `Job ${id} not found`, { entity: "Job", id });
}

function newRow(unit: Unit, now: number, job: EnqueueJobInput) {
  const payload = encodeJson(job.payload ?? {}, "payload");
  if (!payload.startsWith("{")) throw invalid("payload must be an object", { field: "payload" });
  return {
    workflowRunId: job.workflowRunId,
    ordinal: unit.ordinal(now),
    createdAt: now,
    updatedAt: now,
    workflowId: job.workflowId,
    stageId: job.stageId,
    status: "PENDING" as const,
    priority: job.priority ?? PRIORITY_DEFAULT,
    workerId: null,
    lockedAt: null,
    startedAt: null,
    completedAt: null,
    attempt: 0,
    maxAttempts: JOB_MAX_ATTEMPTS_DEFAULT,
    lastError: null,
    nextPollAt: nullableInstant(job.scheduledFor, "scheduledFor"),
    payload,
  };
}
