/**
 * Leases of jobs. Every request is a connection of its own, so the lease travels with the job: a
 * caller sends the `attempt` that it was given with whatever settles the job, and a later attempt's
 * work is safe from it.
 */
import * as z from "zod";
import { JOB_ERROR_BYTES_MAX, STALE_LEASE_MS_DEFAULT } from "../../model/index.ts";
import { isJobId } from "../../persistence/job-keys.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  delivery,
  inputInstant,
  INSTANT,
  integer,
  JOB_ID,
  jobIdField,
  text,
} from "../schemas/index.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const job = z.object({ jobId: jobIdField });
const tags = ["jobs"];
const attempt = z.int().min(0).optional().meta({
  description: "The attempt that the lease gave. Left out: any attempt.",
  example: 1,
});

const dequeue = operation({
  method: "post",
  path: "/jobs/dequeue",
  operationId: "dequeue",
  tags,
  summary: "Lease the best due jobs: highest priority, then oldest",
  ...secured("claimJobs"),
  request: jsonBody(
    z
      .object({
        count: z.int().min(1).max(100).default(1).meta({
          description: "How many at most.",
          example: 10,
        }),
      })
      .strict()
      .meta({ id: "Dequeue" }),
    { count: 10 },
  ),
  responses: answers({
    200: {
      description: "The leases; none when nothing is due.",
      schema: z.object({ jobs: z.array(delivery) }).meta({ id: "Deliveries" }),
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
  ...secured("completeJob", LIMITS.record),
  request: jsonBody(
    z
      .object({
        jobs: z.array(z.object({ jobId: jobIdField, attempt }).strict()).max(1_000),
      })
      .strict()
      .meta({ id: "CompleteJobs" }),
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
              outcome: z.enum(["settled", "over", "lease-lost", "not-found"]).meta({
                description:
                  "`settled`: by this call; `over`: before; `lease-lost`: a later attempt owns it.",
                example: "settled",
              }),
            }),
          ),
        })
        .meta({ id: "SettledJobs" }),
      example: { jobs: [{ jobId: JOB_ID, outcome: "settled" }] },
    },
  }),
});

const release = operation({
  method: "post",
  path: "/jobs/release-stale",
  operationId: "releaseStaleJobs",
  tags,
  summary: "End leases that were not renewed for a time",
  ...secured("releaseJob"),
  request: jsonBody(
    z
      .object({
        staleThresholdMs: z.number().min(0).default(STALE_LEASE_MS_DEFAULT).meta({
          description: "In milliseconds.",
          example: STALE_LEASE_MS_DEFAULT,
        }),
      })
      .strict()
      .meta({ id: "ReleaseStaleJobs" }),
    { staleThresholdMs: STALE_LEASE_MS_DEFAULT },
  ),
  responses: answers({
    200: {
      description: "How many.",
      schema: z
        .object({ released: integer("Leases that were ended.", 1) })
        .meta({ id: "Released" }),
      example: { released: 1 },
    },
  }),
});

const complete = operation({
  method: "post",
  path: "/jobs/{jobId}/complete",
  operationId: "complete",
  tags,
  summary: "Complete a job",
  ...secured("completeJob"),
  request: {
    params: job,
    ...jsonBody(z.object({ attempt }).strict().meta({ id: "CompleteJob" }), { attempt: 1 }),
  },
  responses: done("Completed, or ended before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const suspend = operation({
  method: "post",
  path: "/jobs/{jobId}/suspend",
  operationId: "suspend",
  tags,
  summary: "Suspend a job until an instant",
  ...secured("suspendJob"),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({ nextPollAt: inputInstant("When it is due again."), attempt })
        .strict()
        .meta({ id: "SuspendJob" }),
      { nextPollAt: INSTANT, attempt: 1 },
    ),
  },
  responses: done("Suspended, or ended before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const fail = operation({
  method: "post",
  path: "/jobs/{jobId}/fail",
  operationId: "fail",
  tags,
  summary: "Fail a job, to be tried again or for good",
  ...secured("failJob", LIMITS.record),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({
          error: text(`Why it failed. At most ${JOB_ERROR_BYTES_MAX} bytes.`, "timeout"),
          shouldRetry: z.boolean().default(false).meta({
            description: "Whether another attempt may succeed.",
            example: true,
          }),
          attempt,
        })
        .strict()
        .meta({ id: "FailJob" }),
      { error: "timeout", shouldRetry: true, attempt: 1 },
    ),
  },
  responses: done("PENDING again after a pause, or FAILED; or ended before."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

const touch = operation({
  method: "post",
  path: "/jobs/{jobId}/touch",
  operationId: "touchJob",
  tags,
  summary: "Renew a lease",
  ...secured("touchJob"),
  request: {
    params: job,
    ...jsonBody(z.object({ attempt }).strict().meta({ id: "TouchJob" }), { attempt: 1 }),
  },
  responses: done("Renewed; nothing if it is not RUNNING."),
  problems: ["NOT_FOUND", "LEASE_LOST"],
});

export const jobLeases = new Router()
  .serve(dequeue, async (context) => {
    const { count } = context.req.valid("json");
    return context.json({ jobs: await context.var.backend.jobs.dequeueMany(count) }, 200);
  })
  .serve(completeMany, async (context) => {
    const { jobs: wanted } = context.req.valid("json");
    const queue = context.var.backend.jobs;
    // Each for itself: an id that cannot be a job's is answered beside the others.
    for (const { jobId, attempt: own } of wanted) {
      if (isJobId("completeMany", jobId)) adopt(queue, jobId, own);
    }
    return context.json({ jobs: await queue.completeMany(wanted.map(({ jobId }) => jobId)) }, 200);
  })
  .serve(release, async (context) => {
    const { staleThresholdMs } = context.req.valid("json");
    const released = await context.var.backend.jobs.releaseStaleJobs(staleThresholdMs);
    return context.json({ released }, 200);
  })
  .serve(complete, async (context) => {
    const { jobId } = context.req.valid("param");
    adopt(context.var.backend.jobs, jobId, context.req.valid("json").attempt);
    await context.var.backend.jobs.complete(jobId);
    return context.body(null, 204);
  })
  .serve(suspend, async (context) => {
    const { jobId } = context.req.valid("param");
    const body = context.req.valid("json");
    adopt(context.var.backend.jobs, jobId, body.attempt);
    await context.var.backend.jobs.suspend(jobId, body.nextPollAt);
    return context.body(null, 204);
  })
  .serve(fail, async (context) => {
    const { jobId } = context.req.valid("param");
    const body = context.req.valid("json");
    adopt(context.var.backend.jobs, jobId, body.attempt);
    await context.var.backend.jobs.fail(jobId, body.error, body.shouldRetry);
    return context.body(null, 204);
  })
  .serve(touch, async (context) => {
    const { jobId } = context.req.valid("param");
    adopt(context.var.backend.jobs, jobId, context.req.valid("json").attempt);
    await context.var.backend.jobs.touchJob(jobId);
    return context.body(null, 204);
  });

interface Adopting {
  adopt(delivery: { jobId: string; attempt: number }): void;
}

/** Without an attempt, the request may settle whichever attempt there is. */
function adopt(queue: Adopting, jobId: string, own: number | undefined): void {
  if (own !== undefined) queue.adopt({ jobId, attempt: own });
}
