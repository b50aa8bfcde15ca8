/** What a run leaves behind: logs, artifacts, annotations. */
import { z } from "@hono/zod-openapi";
import { notFound } from "../problem.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  artifactKey,
  createAnnotations,
  createLog,
  flag,
  json,
  runKey,
  saveArtifact,
  STAGE_RECORD_ID,
  stageKey,
  stageRecordId,
  text,
} from "../schemas/index.ts";
import { given, newRouter, secured } from "../support.ts";

const keyed = runKey.extend({ key: artifactKey });

const postLog = operation({
  method: "post",
  path: "/logs",
  operationId: "createLog",
  tags: ["logs"],
  summary: "Write a log line",
  ...secured("write"),
  request: jsonBody(createLog, { workflowRunId: "run-1", level: "INFO", message: "Fetched" }),
  responses: done("Written."),
  problems: ["NOT_FOUND"],
});

const putArtifact = operation({
  method: "put",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "saveArtifact",
  tags: ["artifacts"],
  summary: "Save an artifact, or replace it",
  ...secured("write"),
  request: {
    params: keyed,
    ...jsonBody(saveArtifact, { type: "ARTIFACT", data: "<html>", size: 6 }),
  },
  responses: done("Saved."),
  problems: ["NOT_FOUND"],
});

const getArtifact = operation({
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
      schema: z.object({ data: json("What was saved.", "<html>") }).openapi("ArtifactData"),
      example: { data: "<html>" },
    },
  }),
  problems: ["NOT_FOUND"],
});

const hasArtifact = operation({
  method: "get",
  path: "/runs/{runId}/artifacts/{key}/exists",
  operationId: "hasArtifact",
  tags: ["artifacts"],
  summary: "Whether there is such an artifact",
  ...secured("read"),
  request: { params: keyed },
  responses: answers({
    200: {
      description: "Whether.",
      schema: z.object({ exists: flag("Whether there is one.") }).openapi("Exists"),
      example: { exists: true },
    },
  }),
});

const deleteArtifact = operation({
  method: "delete",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "deleteArtifact",
  tags: ["artifacts"],
  summary: "Delete an artifact",
  ...secured("write"),
  request: { params: keyed },
  responses: done("Deleted."),
  problems: ["NOT_FOUND"],
});

const putOutput = operation({
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
        .object({
          workflowType: text("The run's workflow type.", "digest"),
          output: json("What the stage came to."),
        })
        .strict()
        .openapi("StageOutput"),
      { workflowType: "digest", output: { pages: 3 } },
    ),
  },
  responses: answers({
    200: {
      description: "The artifact's key.",
      schema: z.object({ key: artifactKey }).openapi("ArtifactKey"),
      example: { key: "workflow-v2/digest/run-1/fetch/output.json" },
    },
  }),
  problems: ["NOT_FOUND"],
});

const getStageRecordId = operation({
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
      schema: z.object({ id: stageRecordId.nullable() }).openapi("StageRecordId"),
      example: { id: STAGE_RECORD_ID },
    },
  }),
});

const postAnnotations = operation({
  method: "post",
  path: "/annotations",
  operationId: "appendAnnotations",
  tags: ["annotations"],
  summary: "Append annotations",
  description:
    "Rows of one run with the same key and the same idempotency key are one row: the first write wins.",
  ...secured("write"),
  request: jsonBody(createAnnotations, {
    annotations: [{ workflowRunId: "run-1", scope: "run", key: "decision.model", value: "small" }],
  }),
  responses: done("Appended."),
  problems: ["NOT_FOUND"],
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
