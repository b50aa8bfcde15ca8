/** Runs: create, read, update, claim. */
import { z } from "@hono/zod-openapi";
import { notFound } from "../problem.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  createRun,
  flag,
  inputInstant,
  INSTANT,
  RUN,
  runKey,
  runRecord,
  status,
  toWireRecord,
  updateRun,
} from "../schemas/index.ts";
import { etag, expectedVersion, given, newRouter, secured } from "../support.ts";

const tags = ["runs"];

const post = operation({
  method: "post",
  path: "/runs",
  operationId: "createRun",
  tags,
  summary: "Create a run",
  ...secured("write"),
  request: jsonBody(createRun, {
    id: "run-1",
    workflowId: "digest",
    workflowName: "Digest",
    workflowType: "digest",
    input: { url: "https://example.com/" },
  }),
  responses: answers({
    201: {
      description: "The run, PENDING, version 1.",
      schema: runRecord,
      example: RUN,
      headers: ["ETag", "Location"],
    },
  }),
  problems: ["ALREADY_EXISTS"],
});

const get = operation({
  method: "get",
  path: "/runs/{runId}",
  operationId: "getRun",
  tags,
  summary: "Read a run",
  description: "The ETag is its version: send it as If-Match with an update.",
  ...secured("read"),
  request: { params: runKey },
  responses: answers({
    200: { description: "The run.", schema: runRecord, example: RUN, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const getStatus = operation({
  method: "get",
  path: "/runs/{runId}/status",
  operationId: "getRunStatus",
  tags,
  summary: "Read a run's status alone",
  ...secured("read"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "The status.",
      schema: z.object({ status }).openapi("RunStatus"),
      example: { status: "RUNNING" },
    },
  }),
  problems: ["NOT_FOUND"],
});

const patch = operation({
  method: "patch",
  path: "/runs/{runId}",
  operationId: "updateRun",
  tags,
  summary: "Update a run",
  description:
    "What is left out stays; null clears. With If-Match, 412 tells the stored version when it is another. Any update, an empty one too, adds one to the version.",
  ...secured("write"),
  request: {
    params: runKey,
    ...jsonBody(updateRun, { status: "COMPLETED", output: { pages: 3 } }),
  },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const claim = operation({
  method: "post",
  path: "/runs/{runId}/claim",
  operationId: "claimPendingRun",
  tags,
  summary: "Make a PENDING run RUNNING",
  description: "Of any number of racing callers exactly one is told true.",
  ...secured("work"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "Whether this call claimed it.",
      schema: z
        .object({ claimed: flag("Of racing callers, one is told true.") })
        .openapi("Claimed"),
      example: { claimed: true },
    },
  }),
});

const claimNext = operation({
  method: "post",
  path: "/runs/claim",
  operationId: "claimNextPendingRun",
  tags,
  summary: "Claim the best PENDING run: highest priority, then oldest",
  ...secured("work"),
  responses: answers({
    200: {
      description: "The run, now RUNNING; null when none is PENDING.",
      schema: z.object({ run: z.union([runRecord, z.null()]) }).openapi("ClaimedRun"),
      example: { run: { ...RUN, status: "RUNNING", version: 2, startedAt: INSTANT } },
    },
  }),
});

const stuck = operation({
  method: "get",
  path: "/runs/stuck",
  operationId: "getStuckRuns",
  tags,
  summary: "RUNNING runs that nothing has happened to since an instant",
  ...secured("read"),
  request: {
    query: z.object({ since: inputInstant("Nothing has happened to them after this instant.") }),
  },
  responses: answers({
    200: {
      description: "Longest without an update first.",
      schema: z.object({ runs: z.array(runRecord) }).openapi("StuckRuns"),
      example: { runs: [{ ...RUN, status: "RUNNING", version: 2, startedAt: INSTANT }] },
    },
  }),
});

export const runs = newRouter()
  .openapi(post, async (context) => {
    // Zod takes a member of any type for one that may be left out.
    const { input = null, ...body } = context.req.valid("json");
    const run = await context.var.backend.persistence.createRun({ ...given(body), input });
    return context.json(toWireRecord(run), 201, {
      Location: `/v1/runs/${encodeURIComponent(run.id)}`,
      ETag: etag(run.version),
    });
  })
  .openapi(claimNext, async (context) => {
    const run = await context.var.backend.persistence.claimNextPendingRun();
    return context.json({ run: run === null ? null : toWireRecord(run) }, 200);
  })
  .openapi(stuck, async (context) => {
    const { since } = context.req.valid("query");
    const found = await context.var.backend.persistence.getStuckRuns(since);
    return context.json({ runs: found.map(toWireRecord) }, 200);
  })
  .openapi(get, async (context) => {
    const { runId } = context.req.valid("param");
    const run = await context.var.backend.persistence.getRun(runId);
    if (run === null) throw notFound("WorkflowRun", runId);
    return context.json(toWireRecord(run), 200, { ETag: etag(run.version) });
  })
  .openapi(getStatus, async (context) => {
    const { runId } = context.req.valid("param");
    const found = await context.var.backend.persistence.getRunStatus(runId);
    if (found === null) throw notFound("WorkflowRun", runId);
    return context.json({ status: found }, 200);
  })
  .openapi(patch, async (context) => {
    const { runId } = context.req.valid("param");
    await context.var.backend.persistence.updateRun(runId, {
      ...given(context.req.valid("json")),
      ...expectedVersion(context),
    });
    return context.body(null, 204);
  })
  .openapi(claim, async (context) => {
    const { runId } = context.req.valid("param");
    const claimed = await context.var.backend.persistence.claimPendingRun(runId);
    return context.json({ claimed }, 200);
  });
