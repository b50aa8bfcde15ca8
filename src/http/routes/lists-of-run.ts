/** Lists of what a run has: stages, logs, artifacts, annotations, outbox events, jobs. */
import { z } from "@hono/zod-openapi";
import {
  ANNOTATIONS_LIST_MAX,
  type ArtifactRow,
  decodeNullableJson,
  decodeText,
  joinId,
  type JobRow,
  type LogRow,
  LONG_TEXT,
  type OutboxEventRow,
  type QueryOf,
} from "../../changes/index.ts";
import type { WorkflowPersistence } from "../../contract/index.ts";
import {
  toAnnotationRecord,
  toArtifactRecord,
  toJobRecord,
  toOutboxRecord,
  toStageRecord,
} from "../../client/records.ts";
import {
  listQuery,
  omitted,
  onePage,
  order,
  page,
  pageOf,
  placeAfter,
  placeOf,
} from "../listing.ts";
import { answers, operation } from "../operation.ts";
import {
  ANNOTATION,
  annotationRecord,
  ARTIFACT,
  artifactRecord,
  EVENT,
  inputInstant,
  JOB,
  jobRecord,
  LOG,
  logRecord,
  outboxRecord,
  runKey,
  STAGE,
  stageRecord,
  status,
  text,
  toWireRecord,
} from "../schemas/index.ts";
import { newRouter, secured } from "../support.ts";

const stages = operation({
  method: "get",
  path: "/runs/{runId}/stages",
  operationId: "getStagesByRun",
  tags: ["stages"],
  summary: "A run's stages",
  description:
    "By execution group, then stage number. `select` answers at most one: the first FAILED one, the first SUSPENDED one whose poll was cleared, the last COMPLETED one (before a group).",
  ...secured("read"),
  request: {
    params: runKey,
    query: listQuery(stageRecord).extend({
      status: status.optional(),
      order: order("asc"),
      select: z
        .enum(["first-failed", "first-ready-to-resume", "last-completed"])
        .optional()
        .openapi({ description: "One of the list alone.", example: "first-failed" }),
      beforeGroup: z.coerce.number().int().optional().openapi({
        description: "With `last-completed`: of the execution groups before this one.",
        example: 2,
      }),
    }),
  },
  responses: answers({
    200: {
      description: "A page of stages.",
      schema: pageOf("Stage", stageRecord),
      example: onePage(STAGE),
    },
  }),
});

const annotations = operation({
  method: "get",
  path: "/runs/{runId}/annotations",
  operationId: "listAnnotations",
  tags: ["annotations"],
  summary: "A run's annotations, oldest first",
  description:
    "All filters that are given must hold. `keyPrefix` is text: nothing in it is a wildcard.",
  ...secured("read"),
  request: {
    params: runKey,
    query: listQuery(annotationRecord).extend({
      key: text("With this key.", "decision.model").optional(),
      keyPrefix: text("With a key that starts with this.", "decision.").optional(),
      scope: text("Of this scope.", "run").optional(),
      scopeId: text("Of this one of the scope.", "call-1").optional(),
      actorId: text("By this actor.", "planner").optional(),
      actorKind: text("By an actor of this kind.", "agent").optional(),
      attempt: z.coerce
        .number()
        .int()
        .optional()
        .openapi({ description: "Of this attempt of a stage.", example: 0 }),
      since: inputInstant("Created at this instant or later.").optional(),
      until: inputInstant("Created at this instant or earlier.").optional(),
    }),
  },
  responses: answers({
    200: {
      description: "A page of annotations.",
      schema: pageOf("Annotation", annotationRecord),
      example: onePage(ANNOTATION),
    },
  }),
});

const logs = operation({
  method: "get",
  path: "/runs/{runId}/logs",
  operationId: "listLogs",
  tags: ["logs"],
  summary: "A run's logs, oldest first",
  ...secured("read"),
  request: { params: runKey, query: listQuery(logRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of logs.",
      schema: pageOf("Log", logRecord),
      example: onePage(LOG),
    },
  }),
});

const artifacts = operation({
  method: "get",
  path: "/runs/{runId}/artifacts",
  operationId: "listArtifacts",
  tags: ["artifacts"],
  summary: "A run's artifacts, by key",
  ...secured("read"),
  request: { params: runKey, query: listQuery(artifactRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of artifacts.",
      schema: pageOf("Artifact", artifactRecord),
      example: onePage(ARTIFACT),
    },
  }),
});

const outboxEvents = operation({
  method: "get",
  path: "/runs/{runId}/outbox-events",
  operationId: "listOutboxEvents",
  tags: ["outbox"],
  summary: "A run's outbox events, by sequence",
  ...secured("read"),
  request: { params: runKey, query: listQuery(outboxRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of events.",
      schema: pageOf("OutboxEvent", outboxRecord),
      example: onePage(EVENT),
    },
  }),
});

const jobs = operation({
  method: "get",
  path: "/runs/{runId}/jobs",
  operationId: "getJobsByWorkflowRun",
  tags: ["jobs"],
  summary: "A run's jobs, in the order in which they were enqueued",
  ...secured("read"),
  request: { params: runKey, query: listQuery(jobRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of jobs.",
      schema: pageOf("Job", jobRecord),
      example: onePage(JOB),
    },
  }),
});

interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly order: "asc" | "desc";
  readonly fields?: ReadonlySet<string> | undefined;
}

const anyKey = z.string();
const sequenceKey = z.string().regex(/^\d{1,15}$/);

function pageQuery(
  of: QueryOf<"page">["of"],
  workflowRunId: string,
  { limit, cursor, order: direction, fields }: PageInput,
): QueryOf<"page"> {
  const after = placeOf(cursor, of === "outboxEvents" ? sequenceKey : anyKey);
  const omit = omitted(LONG_TEXT[of], fields);
  return { q: "page", of, workflowRunId, after, descending: direction === "desc", limit, omit };
}

export const listsOfRun = newRouter()
  .openapi(stages, async (context) => {
    const { runId: workflowRunId } = context.req.valid("param");
    const query = context.req.valid("query");
    const { select, beforeGroup, limit, fields } = query;
    const { persistence } = context.var.backend;
    if (select !== undefined) {
      const found = await selected(persistence, workflowRunId, select, beforeGroup);
      return context.json(page(found, toWireRecord, fields, null), 200);
    }
    const place = z.object({ executionGroup: z.int(), stageNumber: z.int(), stageId: z.string() });
    const [rows] = await context.var.store.read([
      {
        q: "stages",
        workflowRunId,
        status: query.status ?? null,
        beforeGroup: beforeGroup ?? null,
        withoutNextPoll: false,
        descending: query.order === "desc",
        limit,
        after: placeOf(query.cursor, place),
        omit: omitted(LONG_TEXT.stages, fields),
      },
    ]);
    const next = placeAfter(rows, limit, ({ executionGroup, stageNumber, stageId }) => ({
      executionGroup,
      stageNumber,
      stageId,
    }));
    return context.json(
      page(rows, (row) => toWireRecord(toStageRecord(row)), fields, next),
      200,
    );
  })
  .openapi(annotations, async (context) => {
    const { runId: workflowRunId } = context.req.valid("param");
    const { limit, cursor, fields, since, until, ...filters } = context.req.valid("query");
    const place = z.object({ createdAt: z.int(), ordinal: z.string().regex(/^[0-9a-z]{1,64}$/) });
    const [rows] = await context.var.store.read([
      {
        q: "annotations",
        workflowRunId,
        filters: {
          ...filters,
          since: since?.getTime(),
          until: until?.getTime(),
          limit: Math.min(limit, ANNOTATIONS_LIST_MAX),
        },
        after: placeOf(cursor, place),
        omit: omitted(LONG_TEXT.annotations, fields),
      },
    ]);
    const next = placeAfter(rows, limit, ({ createdAt, ordinal }) => ({ createdAt, ordinal }));
    const toItem = (row: (typeof rows)[number]) => toWireRecord(toAnnotationRecord(row));
    return context.json(page(rows, toItem, fields, next), 200);
  })
  .openapi(logs, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const [found] = await context.var.store.read([pageQuery("logs", runId, input)]);
    const rows = found as LogRow[];
    const next = placeAfter(rows, input.limit, ({ ordinal }) => ordinal);
    return context.json(page(rows, toLog, input.fields, next), 200);
  })
  .openapi(artifacts, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const [found] = await context.var.store.read([pageQuery("artifacts", runId, input)]);
    const rows = found as ArtifactRow[];
    const next = placeAfter(rows, input.limit, ({ key }) => key);
    const toItem = (row: ArtifactRow) => toWireRecord(toArtifactRecord(row));
    return context.json(page(rows, toItem, input.fields, next), 200);
  })
  .openapi(outboxEvents, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const [found] = await context.var.store.read([pageQuery("outboxEvents", runId, input)]);
    const rows = found as OutboxEventRow[];
    const next = placeAfter(rows, input.limit, ({ sequence }) => String(sequence));
    const toItem = (row: OutboxEventRow) => toWireRecord(toOutboxRecord(row));
    return context.json(page(rows, toItem, input.fields, next), 200);
  })
  .openapi(jobs, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const [found] = await context.var.store.read([pageQuery("jobs", runId, input)]);
    const rows = found as JobRow[];
    const next = placeAfter(rows, input.limit, ({ ordinal }) => ordinal);
    const toItem = (row: JobRow) => toWireRecord(toJobRecord(row));
    return context.json(page(rows, toItem, input.fields, next), 200);
  });

type Select = "first-failed" | "first-ready-to-resume" | "last-completed";

async function selected(
  persistence: WorkflowPersistence,
  runId: string,
  select: Select,
  beforeGroup: number | undefined,
) {
  const found = await one(persistence, runId, select, beforeGroup);
  return found === null ? [] : [found];
}

async function one(
  persistence: WorkflowPersistence,
  runId: string,
  select: Select,
  beforeGroup: number | undefined,
) {
  switch (select) {
    case "first-failed":
      return persistence.getFirstFailedStage(runId);
    case "first-ready-to-resume":
      return persistence.getFirstSuspendedStageReadyToResume(runId);
    case "last-completed":
      return beforeGroup === undefined
        ? persistence.getLastCompletedStage(runId)
        : persistence.getLastCompletedStageBefore(runId, beforeGroup);
  }
}

function toLog(row: LogRow) {
  return {
    id: joinId(row.workflowRunId, row.ordinal),
    createdAt: new Date(row.createdAt).toISOString(),
    workflowRunId: row.workflowRunId,
    workflowStageId: row.workflowStageId,
    level: row.level,
    message: decodeText(row.message),
    metadata: decodeNullableJson(row.metadata),
  };
}
