/** Artifacts, and the outputs of stages, which are artifacts. */
import * as z from "zod";
import { toArtifactRecord } from "../../model/records.ts";
import { listQuery, onePage, order, pageOf, pageOfRun } from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { notFound } from "../problem.ts";
import {
  ARTIFACT,
  artifactKey,
  artifactRecord,
  flag,
  json,
  runKey,
  saveArtifact,
  STAGE_RECORD_ID,
  stageKey,
  stageRecordId,
  text,
  toWireRecord,
} from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const keyed = runKey.extend({ key: artifactKey });

const putArtifact = operation({
  method: "put",
  path: "/runs/{runId}/artifacts/{key}",
  operationId: "saveArtifact",
  tags: ["artifacts"],
  summary: "Save an artifact, or replace it",
  ...secured("saveArtifact", LIMITS.record),
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
  ...secured("artifact"),
  request: { params: keyed },
  responses: answers({
    200: {
      description: "The data.",
      schema: z.object({ data: json("What was saved.", "<html>") }).meta({ id: "ArtifactData" }),
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
  ...secured("hasArtifact"),
  request: { params: keyed },
  responses: answers({
    200: {
      description: "Whether.",
      schema: z.object({ exists: flag("Whether there is one.") }).meta({ id: "Exists" }),
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
  ...secured("deleteArtifact"),
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
  ...secured("saveArtifact", LIMITS.record),
  request: {
    params: stageKey,
    ...jsonBody(
      z
        .object({
          workflowType: text("The run's workflow type.", "digest"),
          output: json("What the stage came to."),
        })
        .strict()
        .meta({ id: "StageOutput" }),
      { workflowType: "digest", output: { pages: 3 } },
    ),
  },
  responses: answers({
    200: {
      description: "The artifact's key.",
      schema: z.object({ key: artifactKey }).meta({ id: "ArtifactKey" }),
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
  ...secured("stage"),
  request: { params: stageKey },
  responses: answers({
    200: {
      description: "The id; null when there is no such stage.",
      schema: z.object({ id: stageRecordId.nullable() }).meta({ id: "StageRecordId" }),
      example: { id: STAGE_RECORD_ID },
    },
  }),
});

const artifactsOfRun = operation({
  method: "get",
  path: "/runs/{runId}/artifacts",
  operationId: "listArtifacts",
  tags: ["artifacts"],
  summary: "A run's artifacts, by key",
  ...secured("artifacts"),
  request: { params: runKey, query: listQuery(artifactRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of artifacts.",
      schema: pageOf("Artifact", artifactRecord),
      example: onePage(ARTIFACT),
    },
  }),
});

export const artifacts = new Router()
  .serve(putArtifact, async (context) => {
    const { runId: workflowRunId, key } = context.req.valid("param");
    const { data, ...rest } = context.req.valid("json");
    await context.var.backend.persistence.saveArtifact({
      workflowRunId,
      key,
      data,
      ...defined(rest),
    });
    return context.body(null, 204);
  })
  .serve(getArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    const data = await context.var.backend.persistence.loadArtifact(runId, key);
    if (data === undefined) throw notFound("Artifact", `${runId}/${key}`);
    return context.json({ data }, 200);
  })
  .serve(hasArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    const exists = await context.var.backend.persistence.hasArtifact(runId, key);
    return context.json({ exists }, 200);
  })
  .serve(deleteArtifact, async (context) => {
    const { runId, key } = context.req.valid("param");
    await context.var.backend.persistence.deleteArtifact(runId, key);
    return context.body(null, 204);
  })
  .serve(putOutput, async (context) => {
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
  .serve(getStageRecordId, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const id = await context.var.backend.persistence.getStageIdForArtifact(runId, stageId);
    return context.json({ id }, 200);
  })
  .serve(artifactsOfRun, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const found = await pageOfRun(context.var.store, "artifacts", runId, input, {
      key: ({ key }) => key,
      toItem: (row) => toWireRecord(toArtifactRecord(row)),
    });
    return context.json(found, 200);
  });
