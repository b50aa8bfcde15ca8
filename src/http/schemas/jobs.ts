/** Jobs and their leases. */
import * as z from "zod";
import type { JobRecord } from "../../contract/index.ts";
import {
  JOB_ATTEMPTS_MAX,
  JOB_MAX_ATTEMPTS_DEFAULT,
  KEY_BYTES_MAX,
  PRIORITY_DEFAULT,
} from "../../model/index.ts";
import {
  integer,
  createdAt,
  type FieldsOf,
  inputInstant,
  instant,
  INSTANT,
  JOB_ID,
  jobIdField,
  jsonObject,
  runIdField,
  stageIdField,
  status,
  text,
  updatedAt,
  workflowIdField,
} from "./common.ts";

const job = { workflowRunId: runIdField, workflowId: workflowIdField, stageId: stageIdField };
const priority = integer("Higher is served first.", PRIORITY_DEFAULT);
const maxAttempts = integer(
  `A failure after this many attempts is final: 1 to ${JOB_ATTEMPTS_MAX}.`,
  JOB_MAX_ATTEMPTS_DEFAULT,
);
const payload = jsonObject("Data for the handler.", { url: "https://example.com/" });
const keys = {
  dedupeKey: text(
    `At most one live job has the key. At most ${KEY_BYTES_MAX} bytes.`,
    "fetch:run-1",
  ).optional(),
  concurrencyKey: text("Jobs with the same key share a limit.", "example.com").optional(),
  concurrencyLimit: integer("How many of them may be leased at once.", 2).optional(),
};

export const jobRecord = z
  .object({
    id: jobIdField,
    createdAt,
    updatedAt,
    ...job,
    status,
    priority,
    workerId: text("The worker that has, or last had, the lease.", "worker-1").nullable(),
    lockedAt: instant("When the lease was taken or last renewed.").nullable(),
    startedAt: instant("When it was last leased.").nullable(),
    completedAt: instant("When it ended.").nullable(),
    attempt: integer("Deliveries so far: every lease adds one.", 0),
    maxAttempts,
    lastError: text("Why it failed the last time.", "timeout").nullable(),
    nextPollAt: instant("When it is due; null: at once.").nullable(),
    payload,
    ...keys,
  } satisfies FieldsOf<JobRecord>)
  .meta({ id: "Job" });

export const JOB: z.output<typeof jobRecord> = {
  id: JOB_ID,
  createdAt: INSTANT,
  updatedAt: INSTANT,
  workflowRunId: "run-1",
  workflowId: "digest",
  stageId: "fetch",
  status: "PENDING",
  priority: PRIORITY_DEFAULT,
  workerId: null,
  lockedAt: null,
  startedAt: null,
  completedAt: null,
  attempt: 0,
  maxAttempts: JOB_MAX_ATTEMPTS_DEFAULT,
  lastError: null,
  nextPollAt: null,
  payload: {},
};

const newJob = z
  .object({
    ...job,
    priority: priority.optional(),
    payload: payload.nullable().optional(),
    scheduledFor: inputInstant("Not before this instant.").optional(),
    maxAttempts: maxAttempts.optional(),
    ...keys,
  })
  .strict();

export const enqueueJobs = z
  .object({ jobs: z.array(newJob).max(1_000) })
  .strict()
  .meta({ id: "EnqueueJobs" });

export const delivery = z
  .object({
    jobId: jobIdField,
    ...job,
    priority,
    attempt: integer("The fence: send it with the request that settles the job.", 1),
    maxAttempts,
    payload,
  })
  .meta({ id: "Delivery" });

/** A SUSPENDED job, as far as the contract tells of it. */
export const suspendedJob = z
  .object({
    id: jobIdField,
    jobId: jobIdField.meta({ description: "The same." }),
    stageId: stageIdField,
    workflowRunId: runIdField,
  })
  .meta({ id: "SuspendedJob" });

export const SUSPENDED_JOB: z.output<typeof suspendedJob> = {
  id: JOB_ID,
  jobId: JOB_ID,
  stageId: "fetch",
  workflowRunId: "run-1",
};
