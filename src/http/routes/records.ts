/** What a run leaves behind: logs, artifacts, annotations. */
import { createRoute, z } from "@hono/zod-openapi";
import { notFound } from "../problem.ts";
import { createAnnotations, createLog, runKey, saveArtifact, stageKey } from "../schemas.ts";
import { answers, done, given, jsonBody, newRouter, secured } from "../support.ts";

const keyed = runKey.extend({ key: z.string().openapi({ example: "page.html" }) });

const postLog = createRoute({
  method: "post",
  path: "/logs",
  operationId: "createLog",
  tags: ["logs"],
  summary: "Write a log line",
  ...secured("write"),
  request: jsonBody(createLog),
  responses: done("Written."),
});

const putArtifact = createRoute({
  method: "put",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "saveArtifact",
  tags: ["artifacts"],
  summary: "Save an artifact, or replace it",
  ...secured("write"),
  request: { params: keyed, ...jsonBody(saveArtifact) },
  responses: done("Saved."),
});

const getArtifact = createRoute({
  method: "get",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "loadArtifact",
  tags: ["artifacts"],
  summary: "Read an artifact's data",
  ...secured("read"),
  request: { params: keyed },
  responses: answers({
    200: {
      description: "The data.",
      schema: z.object({ data: z.unknown() }).openapi("ArtifactData"),
    },
  }),
});

const hasArtifact = createRoute({
  method: "get",
  path: "/runs/{runId}/artifacts/{key}/exists",
  operationId: "hasArtifact",
  tags: ["artifacts"],
  summary: "Whether there is such an artifact",
  ...secured("read"),
  request: { params: keyed },
  responses: answers({
    200: { description: "Whether.", schema: z.object({ exists: z.boolean() }).openapi("Exists") },
  }),
});

const deleteArtifact = createRoute({
  method: "delete",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "deleteArtifact",
  tags: ["artifacts"],
  summary: "Delete an artifact",
  ...secured("write"),
  request: { params: keyed },
  responses: done("Deleted."),
});

const putOutput = createRoute({
  method: "put",
  path: "/runs/{runId}/stages/{stageId}/output",
  operationId: "saveStageOutput",
  tags: ["artifacts"],
  summary: "Save a stage's output as an artifact",
  ...secured("write"),
  request: {
    params: stageKey,
    ...jsonBody(
      z
        .object({ workflowType: z.string(), output: z.unknown() })
        .strict()
        .openapi("StageOutput", { example: { workflowType: "digest", output: { pages: 3 } } }),
    ),
  },
  responses: answers({
    200: {
      description: "The artifact's key.",
      schema: z.object({ key: z.string() }).openapi("ArtifactKey"),
    },
  }),
});

const getStageRecordId = createRoute({
  method: "get",
  path: "/runs/{runId}/stages/{stageId}/record-id",
  operationId: "getStageIdForArtifact",
  tags: ["artifacts"],
  summary: "The record id that an artifact of the stage refers to",
  ...secured("read"),
  request: { params: stageKey },
  responses: answers({
    200: {
      description: "The id; null when there is no such stage.",
      schema: z.object({ id: z.string().nullable() }).openapi("StageRecordId"),
    },
  }),
});

const postAnnotations = createRoute({
  method: "post",
  path: "/annotations",
  operationId: "appendAnnotations",
  tags: ["annotations"],
  summary: "Append annotations",
  description:
    "Rows of one run with the same key and the same idempotency key are one row: the first write wins.",
  ...secured("write"),
  request: jsonBody(createAnnotations),
  responses: done("Appended."),
});

export const records = newRouter()
  .openapi(postLog, async (context) => {
    await context.var.backend.persistence.createLog(given(context.req.valid("json")));
    return context.body(null, 204);
  })
  .openapi(putArtifact, async (context) => {
    const { runId: workflowRunId, key } = context.req.valid("param");
    const { data, ...rest } = context.req.valid("json");
    await context.var.backend.persistence.saveArtifact({
      workflowRunId,
      key,
      data,
      ...given(rest),
    });
    return context.body(null, 204);
  })
  .openapi(getArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    const data = await context.var.backend.persistence.loadArtifact(runId, key);
    if (data === undefined) throw notFound("Artifact", `${runId}/${key}`);
    return context.json({ data }, 200);
  })
  .openapi(hasArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    const exists = await context.var.backend.persistence.hasArtifact(runId, key);
    return context.json({ exists }, 200);
  })
  .openapi(deleteArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    await context.var.backend.persistence.deleteArtifact(runId, key);
    return context.body(null, 204);
  })
  .openapi(putOutput, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const { workflowType, output } = context.req.valid("json");
    const key = await context.var.backend.persistence.saveStageOutput(
      runId,
      workflowType,
      stageId,
      output ?? null,
    );
    return context.json({ key }, 200);
  })
  .openapi(getStageRecordId, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const id = await context.var.backend.persistence.getStageIdForArtifact(runId, stageId);
    return context.json({ id }, 200);
  })
  .openapi(postAnnotations, async (context) => {
    const { annotations } = context.req.valid("json");
    await context.var.backend.persistence.appendAnnotations(
      annotations.map(({ value = null, actor, ...rest }) => ({
        ...given(rest),
        value,
        ...(actor === undefined ? {} : { actor: given(actor) }),
      })),
    );
    return context.body(null, 204);
  });
