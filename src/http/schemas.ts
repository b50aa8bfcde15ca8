/**
 * The API's records and inputs: what validates is what the OpenAPI document shows. Sizes are checked further in, where every way
 * in has the same limits; a schema here says what shape a thing has.
 */
import { z } from "@hono/zod-openapi";
import { artifactTypeField, logLevelField, statusField } from "../changes/fields.ts";

export const status = z.enum(statusField.options).openapi({ example: "RUNNING" });
const instant = z.iso.datetime({ offset: true }).openapi({ example: "2026-11-25T12:00:00.000Z" });
const json = z.unknown().openapi({ description: "Any JSON value.", example: { pages: 3 } });
/** Any members, "__proto__" among them, which a record would drop without a word. */
const jsonObject = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    "expected an object",
  )
  .openapi({ type: "object", additionalProperties: {} });
/** In an update: left out, the stored value stays; null clears it. */
const settable = json.optional();

/** Instants as the API has them, for the contract. */
export const inputInstant = instant.transform((text) => new Date(text));

/** The parts of the paths. */
export const runKey = z.object({ runId: z.string().openapi({ example: "run-1" }) });
export const stageKey = runKey.extend({ stageId: z.string().openapi({ example: "fetch" }) });

export const runRecord = z
  .object({
    id: z.string().openapi({ example: "run-1" }),
    createdAt: instant,
    updatedAt: instant,
    version: z.int().openapi({ example: 1 }),
    workflowId: z.string().openapi({ example: "digest" }),
    workflowName: z.string().openapi({ example: "Digest" }),
    workflowType: z.string().openapi({ example: "digest" }),
    status,
    startedAt: instant.nullable(),
    completedAt: instant.nullable(),
    duration: z.number().nullable().openapi({ description: "Milliseconds.", example: null }),
    input: json,
    output: json,
    config: json,
    totalCost: z.number().openapi({ example: 0 }),
    totalTokens: z.int().openapi({ example: 0 }),
    priority: z.int().openapi({ example: 5 }),
    metadata: json,
  })
  .openapi("Run");

export const createRun = z
  .object({
    id: z.string().optional().openapi({ description: "Default: made up.", example: "run-1" }),
    workflowId: z.string().openapi({ example: "digest" }),
    workflowName: z.string().openapi({ example: "Digest" }),
    workflowType: z.string().openapi({ example: "digest" }),
    input: json,
    config: settable,
    priority: z.int().optional().openapi({ example: 5 }),
    metadata: jsonObject.optional(),
  })
  .strict()
  .openapi("CreateRun", {
    example: {
      id: "run-1",
      workflowId: "digest",
      workflowName: "Digest",
      workflowType: "digest",
      input: { url: "https://example.com/" },
    },
  });

export const updateRun = z
  .object({
    status: status.optional(),
    startedAt: inputInstant.optional(),
    completedAt: inputInstant.nullable().optional(),
    duration: z.number().nullable().optional(),
    output: settable,
    totalCost: z.number().optional(),
    totalTokens: z.int().optional(),
  })
  .strict()
  .openapi("UpdateRun", { example: { status: "COMPLETED", output: { pages: 3 } } });

export const stageRecord = z
  .object({
    id: z.string().openapi({
      description: "The record's id; not the stage's in its workflow.",
      example: "run-1/fetch/5.0mwwqfjev0000gow",
    }),
    createdAt: instant,
    updatedAt: instant,
    version: z.int(),
    workflowRunId: z.string().openapi({ example: "run-1" }),
    stageId: z.string().openapi({ example: "fetch" }),
    stageName: z.string(),
    stageNumber: z.int(),
    executionGroup: z.int(),
    attempt: z.int(),
    status,
    startedAt: instant.nullable(),
    completedAt: instant.nullable(),
    duration: z.number().nullable(),
    inputData: json,
    outputData: json,
    config: json,
    suspendedState: json,
    resumeData: json,
    nextPollAt: instant.nullable(),
    pollInterval: z.number().nullable(),
    maxWaitUntil: instant.nullable(),
    metrics: json,
    embeddingInfo: json,
    errorMessage: z.string().nullable(),
  })
  .openapi("Stage");

const newStage = {
  stageName: z.string().openapi({ example: "Fetch" }),
  stageNumber: z.int().openapi({ example: 1 }),
  executionGroup: z.int().openapi({ example: 1 }),
  attempt: z.int().optional(),
  status: status.optional(),
  startedAt: inputInstant.optional(),
  config: settable,
  inputData: settable,
};

export const createStage = z
  .object({ stageId: z.string().openapi({ example: "fetch" }), ...newStage })
  .strict()
  .openapi("CreateStage", {
    example: { stageId: "fetch", stageName: "Fetch", stageNumber: 1, executionGroup: 1 },
  });

export const updateStage = z
  .object({
    status: status.optional(),
    startedAt: inputInstant.optional(),
    completedAt: inputInstant.optional(),
    duration: z.number().optional(),
    outputData: settable,
    config: settable,
    suspendedState: settable,
    resumeData: settable,
    nextPollAt: inputInstant.nullable().optional(),
    pollInterval: z.number().optional(),
    maxWaitUntil: inputInstant.optional(),
    metrics: settable,
    embeddingInfo: settable,
    errorMessage: z.string().optional(),
  })
  .strict()
  .openapi("UpdateStage", { example: { status: "COMPLETED", outputData: { pages: 3 } } });

export const upsertStage = z
  .object({ create: z.object(newStage).strict(), update: updateStage })
  .strict()
  .openapi("UpsertStage", {
    example: {
      create: { stageName: "Fetch", stageNumber: 1, executionGroup: 1 },
      update: { status: "RUNNING" },
    },
  });

export const createLog = z
  .object({
    workflowRunId: z.string().optional().openapi({ example: "run-1" }),
    workflowStageId: z.string().optional().openapi({ description: "A stage record's id." }),
    level: z.enum(logLevelField.options),
    message: z.string(),
    metadata: settable,
  })
  .strict()
  .openapi("CreateLog", { example: { workflowRunId: "run-1", level: "INFO", message: "Fetched" } });

export const logRecord = z
  .object({
    id: z.string(),
    createdAt: instant,
    workflowRunId: z.string().openapi({ example: "run-1" }),
    workflowStageId: z.string().nullable(),
    level: z.enum(logLevelField.options),
    message: z.string(),
    metadata: json,
  })
  .openapi("Log");

export const artifactRecord = z
  .object({
    id: z.string(),
    createdAt: instant,
    updatedAt: instant,
    workflowRunId: z.string().openapi({ example: "run-1" }),
    workflowStageId: z.string().nullable(),
    key: z.string().openapi({ example: "page.html" }),
    type: z.enum(artifactTypeField.options),
    data: json,
    size: z.number(),
    metadata: json,
  })
  .openapi("Artifact");

export const saveArtifact = z
  .object({
    workflowStageId: z.string().optional().openapi({ description: "A stage record's id." }),
    type: z.enum(artifactTypeField.options),
    data: json,
    size: z.number(),
    metadata: settable,
  })
  .strict()
  .openapi("SaveArtifact", { example: { type: "ARTIFACT", data: "<html>", size: 6 } });

export const annotationRecord = z
  .object({
    id: z.string(),
    createdAt: instant,
    workflowRunId: z.string().openapi({ example: "run-1" }),
    workflowStageRecordId: z.string().nullable(),
    attempt: z.int(),
    scope: z.string(),
    scopeId: z.string().nullable(),
    actorKind: z.string().nullable(),
    actorId: z.string().nullable(),
    actorVersion: z.string().nullable(),
    key: z.string().openapi({ example: "decision.model" }),
    value: json,
    payload: json,
    idempotencyKey: z.string().nullable(),
  })
  .openapi("Annotation");

export const createAnnotations = z
  .object({
    annotations: z
      .array(
        z
          .object({
            workflowRunId: z.string(),
            workflowStageRecordId: z.string().nullable().optional(),
            attempt: z.int().optional(),
            scope: z.string(),
            scopeId: z.string().nullable().optional(),
            actor: z
              .object({
                kind: z.string().optional(),
                id: z.string().optional(),
                version: z.string().optional(),
              })
              .strict()
              .optional(),
            key: z.string(),
            value: json,
            payload: settable,
            idempotencyKey: z.string().nullable().optional(),
          })
          .strict(),
      )
      .max(1_000),
  })
  .strict()
  .openapi("CreateAnnotations", {
    example: {
      annotations: [
        { workflowRunId: "run-1", scope: "run", key: "decision.model", value: "small" },
      ],
    },
  });

export const outboxRecord = z
  .object({
    id: z.string().openapi({ example: "run-1/1" }),
    workflowRunId: z.string().openapi({ example: "run-1" }),
    sequence: z.int().openapi({ example: 1 }),
    eventType: z.string().openapi({ example: "stage.completed" }),
    payload: json,
    causationId: z.string(),
    occurredAt: instant,
    publishedAt: instant.nullable(),
    retryCount: z.int(),
    dlqAt: instant.nullable(),
  })
  .openapi("OutboxEvent");

export const createOutboxEvents = z
  .object({
    events: z
      .array(
        z
          .object({
            workflowRunId: z.string(),
            eventType: z.string(),
            payload: json,
            causationId: z.string(),
            occurredAt: inputInstant,
          })
          .strict(),
      )
      .max(1_000),
  })
  .strict()
  .openapi("CreateOutboxEvents", {
    example: {
      events: [
        {
          workflowRunId: "run-1",
          eventType: "stage.completed",
          payload: { stageId: "fetch" },
          causationId: "command-1",
          occurredAt: "2026-11-25T12:00:00.000Z",
        },
      ],
    },
  });

export const jobRecord = z
  .object({
    id: z.string().openapi({ example: "run-1/0mwwqfjev0000gow" }),
    createdAt: instant,
    updatedAt: instant,
    workflowRunId: z.string().openapi({ example: "run-1" }),
    workflowId: z.string(),
    stageId: z.string(),
    status,
    priority: z.int(),
    workerId: z.string().nullable(),
    lockedAt: instant.nullable(),
    startedAt: instant.nullable(),
    completedAt: instant.nullable(),
    attempt: z.int(),
    maxAttempts: z.int(),
    lastError: z.string().nullable(),
    nextPollAt: instant.nullable(),
    payload: z.record(z.string(), z.unknown()),
    dedupeKey: z.string().optional(),
    concurrencyKey: z.string().optional(),
    concurrencyLimit: z.int().optional(),
  })
  .openapi("Job");

export const enqueueJobs = z
  .object({
    jobs: z
      .array(
        z
          .object({
            workflowRunId: z.string(),
            workflowId: z.string(),
            stageId: z.string(),
            priority: z.int().optional(),
            payload: jsonObject.optional(),
            scheduledFor: inputInstant.optional(),
            maxAttempts: z.int().optional(),
            dedupeKey: z.string().optional(),
            concurrencyKey: z.string().optional(),
            concurrencyLimit: z.int().optional(),
          })
          .strict(),
      )
      .max(1_000),
  })
  .strict()
  .openapi("EnqueueJobs", {
    example: { jobs: [{ workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" }] },
  });

export const delivery = z
  .object({
    jobId: z.string().openapi({ example: "run-1/0mwwqfjev0000gow" }),
    workflowRunId: z.string(),
    workflowId: z.string(),
    stageId: z.string(),
    priority: z.int(),
    attempt: z.int().openapi({ description: "The fence: send it with what settles the job." }),
    maxAttempts: z.int(),
    payload: z.record(z.string(), z.unknown()),
  })
  .openapi("Delivery");

export const aiCall = z
  .object({
    topic: z.string(),
    callType: z.string(),
    modelKey: z.string(),
    modelId: z.string(),
    prompt: z.string(),
    response: z.string(),
    inputTokens: z.int(),
    outputTokens: z.int(),
    cost: z.number(),
    metadata: settable,
  })
  .strict()
  .openapi("AICall", {
    example: {
      topic: "workflow.run-1.summarize",
      callType: "text",
      modelKey: "small",
      modelId: "small-1",
      prompt: "Summarize",
      response: "Done",
      inputTokens: 10,
      outputTokens: 20,
      cost: 0.01,
    },
  });

/** A record as JSON has it: its instants are text. */
export type Wire<T> = {
  [K in keyof T]: T[K] extends Date ? string : T[K] extends Date | null ? string | null : T[K];
};

export function toWireRecord<T extends object>(record: T): Wire<T> {
  const entries = Object.entries(record).map(([name, value]) => [
    name,
    value instanceof Date ? value.toISOString() : value,
  ]);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(entries) as Wire<T>;
}
