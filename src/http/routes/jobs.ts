/**
 * Jobs. A request is a connection of its own, so the lease travels with the job: send the `attempt` that you were given with
 * whatever settles it, and a later attempt's work is safe from you.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { delivery, enqueueJobs, inputInstant, runKey } from "../schemas.ts";
import { answers, done, given, jsonBody, newRouter, secured } from "../support.ts";

const job = z.object({ jobId: z.string().openapi({ example: "run-1/0mwwqfjev0000gow" }) });
const tags = ["jobs"];
const attempt = z.int().min(0).optional().openapi({
  description: "The attempt that you were given. Left out: whatever attempt there is.",
  example: 1,
});

const post = createRoute({
  method: "post",
  path: "/jobs",
  operationId: "enqueue",
  tags,
  summary: "Enqueue jobs, all or none",
  ...secured("write"),
  request: jsonBody(enqueueJobs),
  responses: answers({
    201: {
      description: "Their ids, in their order; for a dedupe key that is held, the holder's.",
      schema: z.object({ jobIds: z.array(z.string()) }).openapi("JobIds"),
    },
  }),
});

const dequeue = createRoute({
  method: "post",
  path: "/jobs/dequeue",
  operationId: "dequeue",
  tags,
  summary: "Lease the best due jobs: highest priority, then oldest",
  ...secured("work"),
  request: jsonBody(
    z
      .object({ count: z.int().min(1).max(100).default(1) })
      .strict()
      .openapi("Dequeue", { example: { count: 10 } }),
  ),
  responses: answers({
    200: {
      description: "The leases; none when nothing is due.",
      schema: z.object({ jobs: z.array(delivery) }).openapi("Deliveries"),
    },
  }),
});

const completeMany = createRoute({
  method: "post",
  path: "/jobs/complete",
  operationId: "completeMany",
  tags,
  summary: "Complete several jobs, each for itself",
  ...secured("work"),
  request: jsonBody(
    z
      .object({
        jobs: z.array(z.object({ jobId: z.string(), attempt }).strict()).max(1_000),
      })
      .strict()
      .openapi("CompleteJobs", {
        example: { jobs: [{ jobId: "run-1/0mwwqfjev0000gow", attempt: 1 }] },
      }),
  ),
  responses: answers({
    200: {
      description: "What became of each, in their order.",
      schema: z
        .object({
          jobs: z.array(
            z.object({
              jobId: z.string(),
              outcome: z.enum(["settled", "over", "lease-lost", "not-found"]),
            }),
          ),
        })
        .openapi("SettledJobs"),
    },
  }),
});

const complete = createRoute({
  method: "post",
  path: "/jobs/{jobId}/complete",
  operationId: "complete",
  tags,
  summary: "Complete a job",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({ attempt })
        .strict()
        .openapi("CompleteJob", { example: { attempt: 1 } }),
    ),
  },
  responses: done("Completed, or over before."),
});

const suspend = createRoute({
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
        .object({ nextPollAt: inputInstant, attempt })
        .strict()
        .openapi("SuspendJob", { example: { nextPollAt: "2026-11-25T12:00:00.000Z", attempt: 1 } }),
    ),
  },
  responses: done("Suspended, or over before."),
});

const fail = createRoute({
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
        .object({ error: z.string(), shouldRetry: z.boolean().default(false), attempt })
        .strict()
        .openapi("FailJob", { example: { error: "timeout", shouldRetry: true, attempt: 1 } }),
    ),
  },
  responses: done("PENDING again after a pause, or FAILED; or over before."),
});

const touch = createRoute({
  method: "post",
  path: "/jobs/{jobId}/touch",
  operationId: "touchJob",
  tags,
  summary: "Renew a lease",
  ...secured("work"),
  request: {
    params: job,
    ...jsonBody(
      z
        .object({ attempt })
        .strict()
        .openapi("TouchJob", { example: { attempt: 1 } }),
    ),
  },
  responses: done("Renewed; nothing if it is not RUNNING."),
});

const cancel = createRoute({
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
      schema: z.object({ cancelled: z.int() }).openapi("Cancelled"),
    },
  }),
});

const release = createRoute({
  method: "post",
  path: "/jobs/release-stale",
  operationId: "releaseStaleJobs",
  tags,
  summary: "End leases that were not renewed for so long",
  ...secured("admin"),
  request: jsonBody(
    z
      .object({ staleThresholdMs: z.number().min(0).default(300_000) })
      .strict()
      .openapi("ReleaseStaleJobs", { example: { staleThresholdMs: 300000 } }),
  ),
  responses: answers({
    200: { description: "How many.", schema: z.object({ released: z.int() }).openapi("Released") },
  }),
});

const stats = createRoute({
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
          due: z.int(),
          delayed: z.int(),
          leased: z.int(),
          suspended: z.int(),
          failed: z.int().openapi({ description: "Within 24 hours." }),
          oldestDueMs: z.number().nullable(),
        })
        .openapi("JobStats"),
    },
  }),
});

const audit = createRoute({
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
              entity: z.enum(["run", "stage", "job"]),
              id: z.string(),
              workflowRunId: z.string(),
              status: z.string(),
              problem: z.string(),
            }),
          ),
        })
        .openapi("Audit"),
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
    for (const item of wanted) adopt(queue, item.jobId, item.attempt);
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
