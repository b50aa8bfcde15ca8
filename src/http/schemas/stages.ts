/** Stages. */
import * as z from "zod";
import type { WorkflowStageRecord } from "../../contract/index.ts";
import type { StageSet } from "../../model/index.ts";
import {
  integer,
  createdAt,
  type FieldsOf,
  inputInstant,
  instant,
  INSTANT,
  json,
  milliseconds,
  runIdField,
  settable,
  STAGE_RECORD_ID,
  stageIdField,
  stageRecordId,
  status,
  text,
  updatedAt,
  version,
} from "./common.ts";

const ABOUT = {
  attempt: "Counts reruns: 0 for the original execution.",
  startedAt: "When work on it began.",
  completedAt: "When it ended.",
  duration: "How long it took.",
  inputData: "The input that it works on.",
  outputData: "Its result.",
  config: "Its configuration.",
  suspendedState: "State with which it goes on after a suspension.",
  resumeData: "Data with which it was resumed.",
  nextPollAt: "When to look whether a suspended stage can go on; cleared once it can.",
  pollInterval: "The pause between two such looks.",
  maxWaitUntil: "The latest instant until which it may be suspended.",
  metrics: "Measurements.",
  embeddingInfo: "Facts about its embeddings.",
  errorMessage: "Why it failed.",
} as const;
const named = {
  stageName: text("The stage's name, for people.", "Fetch"),
  stageNumber: integer("Its place in the workflow.", 1),
  executionGroup: integer("Stages of one group may run at the same time.", 1),
};
const attempt = integer(ABOUT.attempt, 0);

export const stageRecord = z
  .object({
    id: stageRecordId,
    createdAt,
    updatedAt,
    version,
    workflowRunId: runIdField,
    stageId: stageIdField,
    ...named,
    attempt,
    status,
    startedAt: instant(ABOUT.startedAt).nullable(),
    completedAt: instant(ABOUT.completedAt).nullable(),
    duration: milliseconds(ABOUT.duration).nullable(),
    inputData: json(ABOUT.inputData),
    outputData: json(ABOUT.outputData),
    config: json(ABOUT.config),
    suspendedState: json(ABOUT.suspendedState),
    resumeData: json(ABOUT.resumeData),
    nextPollAt: instant(ABOUT.nextPollAt).nullable(),
    pollInterval: milliseconds(ABOUT.pollInterval).nullable(),
    maxWaitUntil: instant(ABOUT.maxWaitUntil).nullable(),
    metrics: json(ABOUT.metrics),
    embeddingInfo: json(ABOUT.embeddingInfo),
    errorMessage: text(ABOUT.errorMessage, "timeout").nullable(),
  } satisfies FieldsOf<WorkflowStageRecord>)
  .meta({ id: "Stage" });

export const STAGE: z.output<typeof stageRecord> = {
  id: STAGE_RECORD_ID,
  createdAt: INSTANT,
  updatedAt: INSTANT,
  version: 1,
  workflowRunId: "run-1",
  stageId: "fetch",
  stageName: "Fetch",
  stageNumber: 1,
  executionGroup: 1,
  attempt: 0,
  status: "PENDING",
  startedAt: null,
  completedAt: null,
  duration: null,
  inputData: null,
  outputData: null,
  config: null,
  suspendedState: null,
  resumeData: null,
  nextPollAt: null,
  pollInterval: null,
  maxWaitUntil: null,
  metrics: null,
  embeddingInfo: null,
  errorMessage: null,
};

const newStage = {
  ...named,
  attempt: attempt.optional(),
  status: status.optional(),
  startedAt: inputInstant(ABOUT.startedAt).optional(),
  config: settable(ABOUT.config),
  inputData: settable(ABOUT.inputData),
};

export const createStage = z
  .object({ stageId: stageIdField, ...newStage })
  .strict()
  .meta({ id: "CreateStage" });

export const updateStage = z
  .object({
    status: status.optional(),
    startedAt: inputInstant(ABOUT.startedAt).nullable().optional(),
    completedAt: inputInstant(ABOUT.completedAt).nullable().optional(),
    duration: milliseconds(ABOUT.duration).nullable().optional(),
    outputData: settable(ABOUT.outputData),
    config: settable(ABOUT.config),
    suspendedState: settable(ABOUT.suspendedState),
    resumeData: settable(ABOUT.resumeData),
    nextPollAt: inputInstant(ABOUT.nextPollAt).nullable().optional(),
    pollInterval: milliseconds(ABOUT.pollInterval).nullable().optional(),
    maxWaitUntil: inputInstant(ABOUT.maxWaitUntil).nullable().optional(),
    metrics: settable(ABOUT.metrics),
    embeddingInfo: settable(ABOUT.embeddingInfo),
    errorMessage: text(ABOUT.errorMessage, "timeout").nullable().optional(),
  } satisfies FieldsOf<StageSet>)
  .strict()
  .meta({ id: "UpdateStage" });

export const upsertStage = z
  .object({ create: z.object(newStage).strict(), update: updateStage })
  .strict()
  .meta({ id: "UpsertStage" });
