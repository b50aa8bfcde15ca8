/** New jobs, over a unit of work. */
import {
  blank,
  DEDUPED_JOBS_MAX,
  encodeJson,
  encodeNullableInstant,
  JOB_ATTEMPTS_MAX,
  JOB_MAX_ATTEMPTS_DEFAULT,
  newJobRow,
  type NewJobRow,
  PRIORITY_DEFAULT,
  unsignedZero,
} from "../model/index.ts";
import type { RowGuard } from "../changes/index.ts";
import { type EnqueueJobInput, ServiceError } from "../contract/index.ts";
import { checkedChanges, invalid, requireList, requireObject } from "./encode.ts";
import { idOf, type JobKey } from "./job-keys.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

const BLANK = blank(newJobRow);

/**
 * The ids of the new jobs, in their order. For a dedupe key that a live job has, that job's id.
 * @throws INVALID_ARGUMENT with the field, before anything is written.
 */
export async function enqueueJobs(
  unit: UnitOfWork,
  method: string,
  jobs: readonly EnqueueJobInput[],
): Promise<string[]> {
  const rows = await newRows(unit, method, jobs);
  const changes = changesOf(method, rows);
  const keys = rows.flatMap(({ dedupeKey }) => dedupeKey ?? []);
  if (keys.length > DEDUPED_JOBS_MAX) {
    throw invalid(`${method}: at most ${DEDUPED_JOBS_MAX} jobs with a dedupeKey at once`, {
      field: "dedupeKey",
      limit: DEDUPED_JOBS_MAX,
    });
  }
  const written = await unit.write({
    changes,
    reads: () => keys.map((dedupeKey) => ({ q: "liveJob" as const, dedupeKey })),
  });
  const live = written.applied ? [...written.results] : [];
  const ids: string[] = [];
  for (const row of rows) {
    const holder = row.dedupeKey === null ? row : live.shift();
    ids.push(idOf(holder ?? (await inserted(unit, row))));
  }
  return ids;
}

/** Jobs, and the guards that must hold for them to be added. */
export interface GuardedJobs {
  readonly jobs: readonly EnqueueJobInput[];
  /** Jobs that are rows already. */
  readonly rows?: readonly NewJobRow[];
  readonly guards: readonly RowGuard[];
}

/**
 * Adds all jobs if all guards hold, and none otherwise. Answers the place of the guard that does
 * not hold, or null.
 */
export async function enqueueWhile(
  unit: UnitOfWork,
  { jobs, rows = [], guards }: GuardedJobs,
): Promise<number | null> {
  const method = "enqueueWhile";
  const written = await unit.write({
    guards,
    changes: changesOf(method, [...(await newRows(unit, method, jobs)), ...rows]),
  });
  return written.applied ? null : written.violation.guard;
}

async function newRows(unit: UnitOfWork, method: string, jobs: readonly EnqueueJobInput[]) {
  const now = await unit.now();
  return requireList(method, jobs).map((job) => newRow(unit, now, requireObject(method, job)));
}

function changesOf(method: string, rows: readonly NewJobRow[]) {
  return checkedChanges(
    method,
    rows.map((row) => ({ kind: "enqueueJob" as const, row })),
  );
}

/**
 * The answer was lost, and the job that has the key now is terminal: the row under our own id tells
 * whether it is ours.
 */
async function inserted(unit: UnitOfWork, { workflowRunId, ordinal }: JobKey): Promise<JobKey> {
  const [job] = await unit.read([{ q: "job", workflowRunId, ordinal }]);
  if (job !== null) return job;
  throw new ServiceError(
    "UNAVAILABLE",
    "The answer was lost, and the job that had the dedupeKey is over: whether this one was added cannot be told",
  );
}

function newRow(unit: UnitOfWork, now: number, job: EnqueueJobInput) {
  const payload = encodeJson(job.payload ?? {}, "payload");
  if (!payload.startsWith("{")) throw invalid("payload must be an object", { field: "payload" });
  const concurrencyKey = job.concurrencyKey ?? null;
  const limit = wholeNumber(job.concurrencyLimit, "concurrencyLimit", 1, Number.MAX_SAFE_INTEGER);
  if (concurrencyKey === null && (job.concurrencyLimit ?? null) !== null) {
    throw invalid("concurrencyLimit needs a concurrencyKey", { field: "concurrencyLimit" });
  }
  return {
    ...BLANK,
    workflowRunId: job.workflowRunId,
    ordinal: unit.ordinal(now),
    createdAt: now,
    updatedAt: now,
    workflowId: job.workflowId,
    stageId: job.stageId,
    status: "PENDING" as const,
    priority: unsignedZero(job.priority ?? PRIORITY_DEFAULT),
    attempt: 0,
    maxAttempts: wholeNumber(job.maxAttempts, "maxAttempts", JOB_MAX_ATTEMPTS_DEFAULT),
    failures: 0,
    undelivered: 0,
    unanswered: 0,
    nextPollAt: encodeNullableInstant(job.scheduledFor, "scheduledFor"),
    payload,
    dedupeKey: job.dedupeKey ?? null,
    concurrencyKey,
    concurrencyLimit: concurrencyKey === null ? null : limit,
  };
}

function wholeNumber(
  value: number | null | undefined,
  field: string,
  byDefault: number,
  max = JOB_ATTEMPTS_MAX,
): number {
  const number = value ?? byDefault;
  if (Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw invalid(`${field} must be a whole number from 1 to ${max}`, { field, limit: max });
}
