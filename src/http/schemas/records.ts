/** What a run leaves behind: logs, artifacts, annotations. */
import * as z from "zod";
import type {
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowLogRecord,
} from "../../contract/index.ts";
import { ARTIFACT_TYPES, LOG_LEVELS } from "../../model/fields.ts";
import { KEY_BYTES_MAX } from "../../model/index.ts";
import {
  integer,
  createdAt,
  type FieldsOf,
  INSTANT,
  json,
  recordId,
  runIdField,
  settable,
  stageRecordId,
  text,
  updatedAt,
} from "./common.ts";

const KEY_LIMIT = `At most ${KEY_BYTES_MAX} bytes.`;
const ownId = recordId("The record's id.", "run-1/0mwwqfjev0000gow");

const log = {
  level: z.enum(LOG_LEVELS).meta({ example: "INFO" }),
  message: text("The line.", "Fetched"),
};
const logMetadata = "Data that belongs to the line.";

export const createLog = z
  .object({
    workflowRunId: runIdField.optional(),
    workflowStageId: stageRecordId.optional(),
    ...log,
    metadata: settable(logMetadata),
  })
  .strict()
  .meta({ id: "CreateLog" });

export const logRecord = z
  .object({
    id: ownId,
    createdAt,
    workflowRunId: runIdField.nullable(),
    workflowStageId: stageRecordId.nullable(),
    ...log,
    metadata: json(logMetadata),
  } satisfies FieldsOf<WorkflowLogRecord>)
  .meta({ id: "Log" });

export const LOG: z.output<typeof logRecord> = {
  id: "run-1/0mwwqfjev0000gow",
  createdAt: INSTANT,
  workflowRunId: "run-1",
  workflowStageId: null,
  level: "INFO",
  message: "Fetched",
  metadata: null,
};

export const artifactKey = text(`Names it within its run. ${KEY_LIMIT}`, "page.html");
const artifact = {
  type: z.enum(ARTIFACT_TYPES).meta({ example: "ARTIFACT" }),
  data: json("The data.", "<html>"),
  size: z.number().meta({ description: "Its size as the caller counts it.", example: 6 }),
};
const artifactMetadata = "Notes of the caller's own.";

export const artifactRecord = z
  .object({
    id: ownId,
    createdAt,
    updatedAt,
    workflowRunId: runIdField,
    workflowStageId: stageRecordId.nullable(),
    key: artifactKey,
    ...artifact,
    metadata: json(artifactMetadata),
  } satisfies FieldsOf<WorkflowArtifactRecord>)
  .meta({ id: "Artifact" });

export const ARTIFACT: z.output<typeof artifactRecord> = {
  id: "run-1/page.html",
  createdAt: INSTANT,
  updatedAt: INSTANT,
  workflowRunId: "run-1",
  workflowStageId: null,
  key: "page.html",
  type: "ARTIFACT",
  data: "<html>",
  size: 6,
  metadata: null,
};

export const saveArtifact = z
  .object({
    workflowStageId: stageRecordId.nullable().optional(),
    ...artifact,
    metadata: settable(artifactMetadata),
  })
  .strict()
  .meta({ id: "SaveArtifact" });

const annotation = {
  attempt: integer("The attempt of the stage that it is about.", 0),
  scope: text("What it describes: `run`, `stage`, `ai_call`, or one of yours.", "run"),
  scopeId: text("Which member of the scope it describes.", "call-1"),
  key: text(`The name of the statement. ${KEY_LIMIT}`, "decision.model"),
  idempotencyKey: text(
    `A run has one annotation for each pair of key and idempotency key. ${KEY_LIMIT}`,
    "decision-1",
  ),
};
const ACTOR = {
  kind: text("What kind of actor made it: `agent`, `user`, `system`, or one of yours.", "agent"),
  id: text("Which actor made it.", "planner"),
  version: text("The actor's version.", "2"),
};
const value = "The value.";
const payload = "Data that belongs to the value.";

export const annotationRecord = z
  .object({
    id: ownId,
    createdAt,
    workflowRunId: runIdField,
    workflowStageRecordId: stageRecordId.nullable(),
    attempt: annotation.attempt,
    scope: annotation.scope,
    scopeId: annotation.scopeId.nullable(),
    actorKind: ACTOR.kind.nullable(),
    actorId: ACTOR.id.nullable(),
    actorVersion: ACTOR.version.nullable(),
    key: annotation.key,
    value: json(value, "small"),
    payload: json(payload, null),
    idempotencyKey: annotation.idempotencyKey.nullable(),
  } satisfies FieldsOf<WorkflowAnnotationRecord>)
  .meta({ id: "Annotation" });

export const ANNOTATION: z.output<typeof annotationRecord> = {
  id: "run-1/0mwwqfjev0000gow",
  createdAt: INSTANT,
  workflowRunId: "run-1",
  workflowStageRecordId: null,
  attempt: 0,
  scope: "run",
  scopeId: null,
  actorKind: "agent",
  actorId: "planner",
  actorVersion: null,
  key: "decision.model",
  value: "small",
  payload: null,
  idempotencyKey: null,
};

const newAnnotation = z
  .object({
    workflowRunId: runIdField,
    workflowStageRecordId: stageRecordId.nullable().optional(),
    attempt: annotation.attempt.optional(),
    scope: annotation.scope,
    scopeId: annotation.scopeId.nullable().optional(),
    actor: z
      .object({
        kind: ACTOR.kind.optional(),
        id: ACTOR.id.optional(),
        version: ACTOR.version.optional(),
      })
      .strict()
      .optional(),
    key: annotation.key,
    value: json(value, "small"),
    payload: settable(payload),
    idempotencyKey: annotation.idempotencyKey.nullable().optional(),
  })
  .strict();

export const createAnnotations = z
  .object({ annotations: z.array(newAnnotation).max(1_000) })
  .strict()
  .meta({ id: "CreateAnnotations" });
