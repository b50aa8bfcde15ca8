/** Runs. */
import * as z from "zod";
import type { WorkflowRunRecord } from "../../contract/index.ts";
import { ANNOTATION_VALUE_FOUND_MAX, PRIORITY_DEFAULT, type RunSet } from "../../model/index.ts";
import type { FoundBy } from "../../queries/index.ts";
import {
  integer,
  cost,
  count,
  createdAt,
  dollars,
  type FieldsOf,
  inputInstant,
  instant,
  INSTANT,
  json,
  jsonObject,
  milliseconds,
  runIdField,
  settable,
  status,
  text,
  updatedAt,
  version,
  workflowIdField,
} from "./common.ts";

const run = {
  workflowId: workflowIdField,
  workflowName: text("The workflow's name, for people.", "Digest"),
  workflowType: text("The kind of the workflow. Runs can be filtered by it.", "digest"),
};
const startedAt = "When work on it began.";
const completedAt = "When it ended.";
const duration = "How long it took.";
const tokens = "Tokens of its AI calls, as the caller has added them up.";
const priority = integer("Higher is served first.", PRIORITY_DEFAULT);

export const runRecord = z
  .object({
    id: runIdField,
    createdAt,
    updatedAt,
    version,
    ...run,
    status,
    startedAt: instant(startedAt).nullable(),
    completedAt: instant(completedAt).nullable(),
    duration: milliseconds(duration).nullable(),
    input: json("The input that it was created with.", { url: "https://example.com/" }),
    output: json("Its result; null before there is one."),
    config: json("Its configuration.", {}),
    totalCost: dollars,
    totalTokens: integer(tokens, 30),
    priority,
    metadata: json("What the caller notes about it.", null),
  } satisfies FieldsOf<WorkflowRunRecord>)
  .meta({ id: "Run" });

export const RUN: z.output<typeof runRecord> = {
  id: "run-1",
  createdAt: INSTANT,
  updatedAt: INSTANT,
  version: 1,
  workflowId: "digest",
  workflowName: "Digest",
  workflowType: "digest",
  status: "PENDING",
  startedAt: null,
  completedAt: null,
  duration: null,
  input: { url: "https://example.com/" },
  output: null,
  config: {},
  totalCost: 0,
  totalTokens: 0,
  priority: PRIORITY_DEFAULT,
  metadata: null,
};

export const createRun = z
  .object({
    id: text("Default: the service makes one. At most 512 bytes.", "run-1").optional(),
    ...run,
    input: json("The input to work on.", { url: "https://example.com/" }),
    config: settable("Its configuration.", {}),
    priority: priority.optional(),
    metadata: jsonObject("Notes of the caller's own.", { tenant: "a" }).optional(),
  })
  .strict()
  .meta({ id: "CreateRun" });

export const updateRun = z
  .object({
    status: status.optional(),
    startedAt: inputInstant(startedAt).nullable().optional(),
    completedAt: inputInstant(completedAt).nullable().optional(),
    duration: milliseconds(duration).nullable().optional(),
    output: settable("Its result."),
    totalCost: cost.optional(),
    totalTokens: count(tokens, 30).optional(),
  } satisfies FieldsOf<RunSet>)
  .strict()
  .meta({ id: "UpdateRun" });

const foundBy = {
  status: status.optional(),
  workflowId: text("Of this workflow.", "digest").optional(),
  workflowType: text("Of workflows of this type.", "digest").optional(),
} satisfies FieldsOf<Record<FoundBy, unknown>>;

/** The filters of a search for runs. */
export const runFilters = {
  ...foundBy,
  name: z.string().min(1).optional().meta({
    description:
      "Text that the workflow's name contains; A to Z count as a to z. Nothing in it is a wildcard.",
    example: "digest",
  }),
  annotationKey: z.string().optional().meta({
    description: "With `annotationValue`: runs that have such an annotation.",
    example: "decision.model",
  }),
  annotationValue: z
    .string()
    .optional()
    .meta({
      description: `The value as JSON, of at most ${ANNOTATION_VALUE_FOUND_MAX} bytes; what is not JSON is taken for a string.`,
      example: "small",
    }),
  createdFrom: inputInstant("Created at this instant or later.").optional(),
  createdBefore: inputInstant("Created before this instant.").optional(),
};
