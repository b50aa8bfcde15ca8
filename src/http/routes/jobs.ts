/**
 * Jobs. A request is a connection of its own, so the lease travels with the job: send the `attempt` that you were given with
 * whatever settles it, and a later attempt's work is safe from you.
 */
import { z } from "@hono/zod-openapi";
import { JOB_ERROR_BYTES_MAX, STALE_LEASE_MS_DEFAULT } from "../../changes/index.ts";
import { isJobId } from "../../client/job-keys.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  integer,
  delivery,
  enqueueJobs,
  inputInstant,
  INSTANT,
  JOB_ID,
  jobIdField,
  milliseconds,
  recordId,
  runIdField,
  runKey,
  text,
} from "../schemas/index.ts";
import { given, newRouter, secured } from "../support.ts";

const job = z.object({ jobId: jobIdField });
const tags = ["jobs"];
const attempt = z.int().min(0).optional().openapi({
  description: "The attempt that you were given. Left out: whatever attempt there is.",
  example: 1,
});

const post = operation({
  method: "post",
  path: "/jobs",
  operationId: "enqueue",
  tags,
  summary: "Enqueue jobs, all or none",
  ...secured("write"),
  request: jsonBody(enqueueJobs, {
    jobs: [{ workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" }],
  }),
  responses: answers({
    201: {
      description: "Their ids, in their order; for a dedupe key that is held, the holder's.",
      schema: z.object({ jobIds: z.array(jobIdField) }).openapi("JobIds"),
      example: { jobIds: [JOB_ID] },
    },
  }),
});

const dequeue = operation({
  method: "post",
  path: "/jobs/dequeue",
  operationId: "dequeue",
  tags,
  summary: "Lease the best due jobs: highest priority, then oldest",
  ...secured("work"),
  request: jsonBody(
    z
      .object({
        count: z.int().min(1).max(100).default(1).openapi({
          description: "At most so many.",
          example: 10,
        }),
      })
      .strict()
      .openapi("Dequeue"),
    { count: 10 },
  ),
  responses: answers({
    200: {
      description: "The leases; none when nothing is due.",
      schema: z.object({ jobs: z.array(delivery) }).openapi("Deliveries"),
      example: {
        jobs: [
          {
            jobId: JOB_ID,
            workflowRunId: "run-1",
            workflowId: "digest",
            stageId: "fetch",
            priority: 5,
            attempt: 1,
            maxAttempts: 3,
            payload: {},
          },
        ],
      },
    },
  }),
});

const completeMany = operation({
  method: "post",
  path: "/jobs/complete",
  operationId: "completeMany",
  tags,
  summary: "Complete several jobs, each for itself",
  ...secured("work"),
  request: jsonBody(
    z
      .object({
        jobs: z.array(z.object({ jobId: jobIdField, attempt }).strict()).max(1_000),
      })
      .strict()
      .openapi("CompleteJobs"),
    { jobs: [{ jobId: JOB_ID, attempt: 1 }] },
  ),
  responses: answers({
    200: {
      description: "What became of each, in their order.",
      schema: z
        .object({
          jobs: z.array(
            z.object({
              jobId: jobIdField,
              outcome: z.enum(["settled", "over", "lease-lost", "not-found"]).openapi({
                description:
                  "`settled`: by this call; `over`: before; `lease-lost`: a later attempt owns it.",
                example: "settled",
              }),
            }),
          ),
        })
        .openapi("SettledJobs"),
      example: { jobs: [{ jobId: JOB_ID, outcome: "settled" }] },
    },
  }),
});

const complete = operation({
  method: "post",
  path: "/jobs/{jobId}/complete",
  operationId: "complete",
  tags,
  summary: "Complete a job",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(z.object({ attempt }).strict().openapi("CompleteJob"), { attempt: 1 }),
  },
  responses: done("Completed, or over before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const suspend = operation({
  method: "post",
  path: "/jobs/{jobId}/suspend",
  operationId: "suspend",
  tags,
  summary: "Suspend a job until an instant",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({ nextPollAt: inputInstant("When it is due again."), attempt })
        .strict()
        .openapi("SuspendJob"),
      { nextPollAt: INSTANT, attempt: 1 },
    ),
  },
  responses: done("Suspended, or over before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const fail = operation({
  method: "post",
  path: "/jobs/{jobId}/fail",
  operationId: "fail",
  tags,
  summary: "Fail a job, to be tried again or for good",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({
          error: text(`Why it failed. At most ${JOB_ERROR_BYTES_MAX} bytes.`, "timeout"),
          shouldRetry: z.boolean().default(false).openapi({
            description: "Whether another attempt may succeed.",
            example: true,
          }),
          attempt,
        })
        .strict()
        .openapi("FailJob"),
      { error: "timeout", shouldRetry: true, attempt: 1 },
    ),
  },
  responses: done("PENDING again after a pause, or FAILED; or over before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const touch = operation({
  method: "post",
  path: "/jobs/{jobId}/touch",
  operationId: "touchJob",
  tags,
  summary: "Renew a lease",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(z.object({ attempt }).strict().openapi("TouchJob"), { attempt: 1 }),
  },
  responses: done("Renewed; nothing if it is not RUNNING."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const cancel = operation({
  method: "post",
  path: "/runs/{runId}/jobs/cancel",
  operationId: "cancelByRun",
  tags,
  summary: "Cancel a run's PENDING and SUSPENDED jobs",
  ...secured("write"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "How many.",
      schema: z.object({ cancelled: integer("Jobs that were cancelled.", 1) }).openapi("Cancelled"),
      example: { cancelled: 1 },
    },
  }),
});

const release = operation({
  method: "post",
  path: "/jobs/release-stale",
  operationId: "releaseStaleJobs",
  tags,
  summary: "End leases that were not renewed for so long",
  ...secured("admin"),
  request: jsonBody(
    z
      .object({
        staleThresholdMs: z.number().min(0).default(STALE_LEASE_MS_DEFAULT).openapi({
          description: "In milliseconds.",
          example: STALE_LEASE_MS_DEFAULT,
        }),
      })
      .strict()
      .openapi("ReleaseStaleJobs"),
    { staleThresholdMs: STALE_LEASE_MS_DEFAULT },
  ),
  responses: answers({
    200: {
      description: "How many.",
      schema: z.object({ released: integer("Leases that were ended.", 1) }).openapi("Released"),
      example: { released: 1 },
    },
  }),
});

const stats = operation({
  method: "get",
  path: "/jobs/stats",
  operationId: "jobStats",
  tags,
  summary: "How many jobs are in which state, and for how long the oldest has been due",
  ...secured("read"),
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
          oldestDueMs: milliseconds("For how long the oldest has been due.").nullable(),
        })
        .openapi("JobStats"),
      example: { due: 3, delayed: 1, leased: 2, suspended: 0, failed: 0, oldestDueMs: 1_500 },
    },
  }),
});

const audit = operation({
  method: "get",
  path: "/audit",
  operationId: "audit",
  tags: ["operations"],
  summary: "Rows that are not finished and that nothing will make progress",
  description: "Expected: none.",
  ...secured("read"),
  responses: answers({
    200: {
      description: "The findings.",
      schema: z
        .object({
          findings: z.array(
            z.object({
              entity: z.enum(["run", "stage", "job"]).openapi({
                description: "What kind of row it is.",
                example: "run",
              }),
              id: recordId("The row's id.", "run-1"),
              workflowRunId: runIdField,
              status: text("The row's status.", "RUNNING"),
              problem: text("Why nothing will make it progress.", "run-without-work"),
            }),
          ),
        })
        .openapi("Audit"),
      example: { findings: [] },
    },
  }),
});

export const jobs = newRouter()
  .openapi(post, async (context) => {
    const body = context.req.valid("json").jobs.map((input) => given(input));
    return context.json({ jobIds: await context.var.backend.jobs.enqueueParallel(body) }, 201);
  })
  .openapi(dequeue, async (context) => {
    const { count } = context.req.valid("json");
    return context.json({ jobs: await context.var.backend.jobs.dequeueMany(count) }, 200);
  })
  .openapi(completeMany, async (context) => {
    const { jobs: wanted } = context.req.valid("json");
    const queue = context.var.backend.jobs;
    // Each for itself: an id that is none is answered beside the others.
    for (const { jobId, attempt: own } of wanted) {
      if (isJobId("completeMany", jobId)) adopt(queue, jobId, own);
    }
    return context.json({ jobs: await queue.completeMany(wanted.map(({ jobId }) => jobId)) }, 200);
  })
  .openapi(release, async (context) => {
    const { staleThresholdMs } = context.req.valid("json");
    const released = await context.var.backend.jobs.releaseStaleJobs(staleThresholdMs);
    return context.json({ released }, 200);
  })
  .openapi(stats, async (context) => context.json(await context.var.backend.jobs.jobStats(), 200))
  .openapi(complete, async (context) => {
    const { jobId } = context.req.valid("param");
    adopt(context.var.backend.jobs, jobId, context.req.valid("json").attempt);
    await context.var.backend.jobs.complete(jobId);
    return context.body(null, 204);
  })
  .openapi(suspend, async (context) => {
    const { jobId } = context.req.valid("param");
    const body = context.req.valid("json");
    adopt(context.var.backend.jobs, jobId, body.attempt);
    await context.var.backend.jobs.suspend(jobId, body.nextPollAt);
    return context.body(null, 204);
  })
  .openapi(fail, async (context) => {
    const { jobId } = context.req.valid("param");
    const body = context.req.valid("json");
    adopt(context.var.backend.jobs, jobId, body.attempt);
    await context.var.backend.jobs.fail(jobId, body.error, body.shouldRetry);
    return context.body(null, 204);
  })
  .openapi(touch, async (context) => {
    const { jobId } = context.req.valid("param");
    adopt(context.var.backend.jobs, jobId, context.req.valid("json").attempt);
    await context.var.backend.jobs.touchJob(jobId);
    return context.body(null, 204);
  })
  .openapi(cancel, async (context) => {
    const { runId } = context.req.valid("param");
    return context.json({ cancelled: await context.var.backend.jobs.cancelByRun(runId) }, 200);
  })
  .openapi(audit, async (context) =>
    context.json({ findings: await context.var.backend.audit() }, 200),
  );

interface Adopting {
  adopt(delivery: { jobId: string; attempt: number }): void;
}

function adopt(queue: Adopting, jobId: string, own: number | undefined): void {
  if (own !== undefined) queue.adopt({ jobId, attempt: own });
}
