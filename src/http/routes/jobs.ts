/** Jobs: enqueue, list, count, cancel. Working them is in `job-leases.ts`. */
import * as z from "zod";
import { joinId } from "../../model/index.ts";
import { suspendedJobPlace } from "../../queries/index.ts";
import { toJobRecord } from "../../model/records.ts";
import {
  listQuery,
  onePage,
  order,
  ordinalText,
  page,
  pageOf,
  pageOfRun,
  placeAfter,
  placeIn,
} from "../listing.ts";
import { answers, jsonBody, operation } from "../operation.ts";
import {
  enqueueJobs,
  integer,
  JOB,
  JOB_ID,
  jobIdField,
  jobRecord,
  milliseconds,
  runKey,
  SUSPENDED_JOB,
  suspendedJob,
  toWireRecord,
} from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const tags = ["jobs"];

const suspendedJobs = operation({
  method: "get",
  path: "/jobs/suspended",
  operationId: "getSuspendedJobsReadyToPoll",
  tags,
  summary: "SUSPENDED jobs that are due",
  description: "In the order in which their polls are due.",
  ...secured("suspendedJobs"),
  request: { query: listQuery(suspendedJob) },
  responses: answers({
    200: {
      description: "A page of jobs.",
      schema: pageOf("SuspendedJob", suspendedJob),
      example: onePage(SUSPENDED_JOB),
    },
  }),
});

const jobsOfRun = operation({
  method: "get",
  path: "/runs/{runId}/jobs",
  operationId: "getJobsByWorkflowRun",
  tags,
  summary: "A run's jobs, in the order in which they were enqueued",
  ...secured("jobs"),
  request: { params: runKey, query: listQuery(jobRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of jobs.",
      schema: pageOf("Job", jobRecord),
      example: onePage(JOB),
    },
  }),
});

const post = operation({
  method: "post",
  path: "/jobs",
  operationId: "enqueue",
  tags,
  summary: "Enqueue jobs, all or none",
  ...secured("enqueueJob", LIMITS.record),
  request: jsonBody(enqueueJobs, {
    jobs: [{ workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" }],
  }),
  responses: answers({
    201: {
      description: "Their ids, in their order; for a dedupe key that is held, the holder's.",
      schema: z.object({ jobIds: z.array(jobIdField) }).meta({ id: "JobIds" }),
      example: { jobIds: [JOB_ID] },
    },
  }),
});

const stats = operation({
  method: "get",
  path: "/jobs/stats",
  operationId: "jobStats",
  tags,
  summary: "How many jobs are in which state, and for how long the oldest has been due",
  ...secured("jobStats"),
  responses: answers({
    200: {
      description: "Counts stop at 10,000.",
      schema: z
        .object({
          due: integer("PENDING, and could be leased now.", 3),
          delayed: integer("PENDING until a later instant.", 1),
          leased: integer("RUNNING.", 2),
          suspended: integer("SUSPENDED.", 0),
          failed: integer("FAILED within 24 hours.", 0),
          undelivered: integer(
            "Due and delayed jobs that came back because their handler could not be reached.",
            0,
          ),
          oldestDueMs: milliseconds("For how long the oldest has been due.").nullable(),
        })
        .meta({ id: "JobStats" }),
      example: {
        due: 3,
        delayed: 1,
        leased: 2,
        suspended: 0,
        failed: 0,
        undelivered: 0,
        oldestDueMs: 1_500,
      },
    },
  }),
});

const cancel = operation({
  method: "post",
  path: "/runs/{runId}/jobs/cancel",
  operationId: "cancelByRun",
  tags,
  summary: "Cancel a run's PENDING and SUSPENDED jobs",
  ...secured("cancelJobs"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "How many.",
      schema: z
        .object({ cancelled: integer("Jobs that were cancelled.", 1) })
        .meta({ id: "Cancelled" }),
      example: { cancelled: 1 },
    },
  }),
});

export const jobs = new Router()
  .serve(suspendedJobs, async (context) => {
    const { limit, cursor, fields } = context.req.valid("query");
    const { store } = context.var;
    const place = z.object({
      nextPollAt: z.int(),
      workflowRunId: z.string().min(1),
      ordinal: ordinalText,
    });
    const now = await store.now();
    const after = placeIn("suspendedJobs", cursor, place);
    const [rows] = await store.read([{ q: "suspendedJobs", now, after, limit }]);
    const next = placeAfter(rows, { rows: limit }, suspendedJobPlace);
    const toItem = (row: (typeof rows)[number]) => {
      const id = joinId(row.workflowRunId, row.ordinal);
      return { id, jobId: id, stageId: row.stageId, workflowRunId: row.workflowRunId };
    };
    return context.json(page("suspendedJobs", rows, toItem, fields, next), 200);
  })
  .serve(jobsOfRun, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const found = await pageOfRun(context.var.store, "jobs", runId, input, {
      key: ({ ordinal }) => ordinal,
      toItem: (row) => toWireRecord(toJobRecord(row)),
    });
    return context.json(found, 200);
  })
  .serve(post, async (context) => {
    const body = context.req.valid("json").jobs.map((input) => defined(input));
    return context.json({ jobIds: await context.var.backend.jobs.enqueueParallel(body) }, 201);
  })
  .serve(stats, async (context) => context.json(await context.var.backend.jobs.jobStats(), 200))
  .serve(cancel, async (context) => {
    const { runId } = context.req.valid("param");
    return context.json({ cancelled: await context.var.backend.jobs.cancelByRun(runId) }, 200);
  });
