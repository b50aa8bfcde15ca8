/** Stages, by their run and stage id, or by their record's id. */
import { z } from "@hono/zod-openapi";
import { notFound } from "../problem.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  createStage,
  runKey,
  STAGE,
  stageKey,
  stageRecord,
  stageRecordId,
  toWireRecord,
  updateStage,
  upsertStage,
} from "../schemas/index.ts";
import { etag, expectedVersion, given, newRouter, secured } from "../support.ts";

const record = z.object({ id: stageRecordId });
const UPDATE = { status: "COMPLETED", outputData: { pages: 3 } } as const;
const tags = ["stages"];

const post = operation({
  method: "post",
  path: "/runs/{runId}/stages",
  operationId: "createStage",
  tags,
  summary: "Create a stage",
  ...secured("write"),
  request: {
    params: runKey,
    ...jsonBody(createStage, {
      stageId: "fetch",
      stageName: "Fetch",
      stageNumber: 1,
      executionGroup: 1,
    }),
  },
  responses: answers({
    201: {
      description: "The stage, version 1.",
      schema: stageRecord,
      example: STAGE,
      headers: ["ETag", "Location"],
    },
  }),
  problems: ["NOT_FOUND", "ALREADY_EXISTS"],
});

const get = operation({
  method: "get",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "getStage",
  tags,
  summary: "Read a stage",
  ...secured("read"),
  request: { params: stageKey },
  responses: answers({
    200: { description: "The stage.", schema: stageRecord, example: STAGE, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const put = operation({
  method: "put",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "upsertStage",
  tags,
  summary: "Create a stage, or update the one that is there",
  description:
    "`create` counts when it is absent, `update` when it is present. Two at once both succeed.",
  ...secured("write"),
  request: {
    params: stageKey,
    ...jsonBody(upsertStage, {
      create: { stageName: "Fetch", stageNumber: 1, executionGroup: 1 },
      update: { status: "RUNNING" },
    }),
  },
  responses: answers({
    200: {
      description: "The stage as it is afterwards.",
      schema: stageRecord,
      example: { ...STAGE, status: "RUNNING", version: 2 },
      headers: ["ETag"],
    },
  }),
  problems: ["NOT_FOUND"],
});

const patch = operation({
  method: "patch",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "updateStageByRunAndStageId",
  tags,
  summary: "Update a stage",
  ...secured("write"),
  request: { params: stageKey, ...jsonBody(updateStage, UPDATE) },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const getById = operation({
  method: "get",
  path: "/stages/{id}",
  operationId: "getStageById",
  tags,
  summary: "Read a stage by its record's id",
  ...secured("read"),
  request: { params: record },
  responses: answers({
    200: { description: "The stage.", schema: stageRecord, example: STAGE, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const patchById = operation({
  method: "patch",
  path: "/stages/{id}",
  operationId: "updateStage",
  tags,
  summary: "Update a stage by its record's id",
  ...secured("write"),
  request: { params: record, ...jsonBody(updateStage, UPDATE) },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const remove = operation({
  method: "delete",
  path: "/stages/{id}",
  operationId: "deleteStage",
  tags,
  summary: "Delete a stage, with its logs",
  description: "Artifacts and annotations stay, without their reference to it.",
  ...secured("write"),
  request: { params: record },
  responses: done("Deleted."),
  problems: ["NOT_FOUND"],
});

export const stages = newRouter()
  .openapi(post, async (context) => {
    const { runId } = context.req.valid("param");
    const stage = await context.var.backend.persistence.createStage({
      workflowRunId: runId,
      ...given(context.req.valid("json")),
    });
    return context.json(toWireRecord(stage), 201, {
      Location: `/v1/runs/${encodeURIComponent(runId)}/stages/${encodeURIComponent(stage.stageId)}`,
      ETag: etag(stage.version),
    });
  })
  .openapi(get, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const stage = await context.var.backend.persistence.getStage(runId, stageId);
    if (stage === null) throw notFound("WorkflowStage", `${runId}/${stageId}`);
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .openapi(put, async (context) => {
    const { runId: workflowRunId, stageId } = context.req.valid("param");
    const { create, update } = context.req.valid("json");
    const stage = await context.var.backend.persistence.upsertStage({
      workflowRunId,
      stageId,
      create: { workflowRunId, stageId, ...given(create) },
      update: given(update),
    });
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .openapi(patch, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    await context.var.backend.persistence.updateStageByRunAndStageId(runId, stageId, {
      ...given(context.req.valid("json")),
      ...expectedVersion(context),
    });
    return context.body(null, 204);
  })
  .openapi(getById, async (context) => {
    const { id } = context.req.valid("param");
    const stage = await context.var.backend.persistence.getStageById(id);
    if (stage === null) throw notFound("WorkflowStage", id);
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .openapi(patchById, async (context) => {
    const { id } = context.req.valid("param");
    await context.var.backend.persistence.updateStage(id, {
      ...given(context.req.valid("json")),
      ...expectedVersion(context),
    });
    return context.body(null, 204);
  })
  .openapi(remove, async (context) => {
    await context.var.backend.persistence.deleteStage(context.req.valid("param").id);
    return context.body(null, 204);
  });
