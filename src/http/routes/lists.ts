/** Lists across runs: the search for runs, and what is stuck, suspended, or waiting to be published. */
import { z } from "@hono/zod-openapi";
import {
  ANNOTATION_VALUE_FOUND_MAX,
  encodeJson,
  isFindable,
  joinId,
  LONG_TEXT,
  type OutboxEventRow,
  type RunFilters,
} from "../../changes/index.ts";
import { toOutboxRecord, toRunRecord, toStageRecord } from "../../client/records.ts";
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
import { HttpFault } from "../problem.ts";
import {
  EVENT,
  inputInstant,
  outboxRecord,
  RUN,
  runRecord,
  STAGE,
  stageRecord,
  status,
  SUSPENDED_JOB,
  suspendedJob,
  text,
  toWireRecord,
} from "../schemas/index.ts";
import { given, newRouter, secured } from "../support.ts";

const ordinal = z.string().regex(/^[0-9a-z]{1,64}$/);

const listRuns = operation({
  method: "get",
  path: "/runs",
  operationId: "listRuns",
  tags: ["runs"],
  summary: "Find runs: by status, workflow, age, text in the name, an annotation",
  description:
    "All filters that are given must hold. Newest first. A page looks at 1,000 runs at most, so with several filters, or text that many names contain, it may come back short, or empty: go on while there is a `nextCursor`.",
  ...secured("read"),
  request: {
    query: listQuery(runRecord).extend({
      status: status.optional(),
      workflowId: text("Of this workflow.", "digest").optional(),
      workflowType: text("Of workflows of this type.", "digest").optional(),
      name: z.string().min(1).optional().openapi({
        description:
          "Text that the workflow's name contains; A to Z count as a to z. Nothing in it is a wildcard.",
        example: "digest",
      }),
      annotationKey: z.string().optional().openapi({
        description: "With `annotationValue`: runs that have such an annotation.",
        example: "decision.model",
      }),
      annotationValue: z
        .string()
        .optional()
        .openapi({
          description: `The value as JSON, of at most ${ANNOTATION_VALUE_FOUND_MAX} bytes; what is not JSON is taken for a string.`,
          example: "small",
        }),
      createdFrom: inputInstant("Created at this instant or later.").optional(),
      createdBefore: inputInstant("Created before this instant.").optional(),
      order: order("desc"),
    }),
  },
  responses: answers({
    200: {
      description: "A page of runs.",
      schema: pageOf("Run", runRecord),
      example: onePage(RUN),
    },
  }),
});

const stuckRuns = operation({
  method: "get",
  path: "/runs/stuck",
  operationId: "getStuckRuns",
  tags: ["runs"],
  summary: "RUNNING runs that nothing has happened to since an instant",
  description: "Longest without an update first.",
  ...secured("read"),
  request: {
    query: listQuery(runRecord).extend({
      since: inputInstant("Nothing has happened to them since."),
    }),
  },
  responses: answers({
    200: {
      description: "A page of runs.",
      schema: pageOf("StuckRun", runRecord),
      example: onePage({ ...RUN, status: "RUNNING" as const }),
    },
  }),
});

const suspendedStages = operation({
  method: "get",
  path: "/stages/suspended",
  operationId: "getSuspendedStages",
  tags: ["stages"],
  summary: "SUSPENDED stages of all runs whose poll is due",
  description: "In the order of their polls.",
  ...secured("read"),
  request: {
    query: listQuery(stageRecord).extend({
      before: inputInstant("Due at this instant or earlier."),
    }),
  },
  responses: answers({
    200: {
      description: "A page of stages.",
      schema: pageOf("SuspendedStage", stageRecord),
      example: onePage({ ...STAGE, status: "SUSPENDED" as const }),
    },
  }),
});

const suspendedJobs = operation({
  method: "get",
  path: "/jobs/suspended",
  operationId: "getSuspendedJobsReadyToPoll",
  tags: ["jobs"],
  summary: "SUSPENDED jobs that are due",
  description: "In the order of their polls.",
  ...secured("read"),
  request: { query: listQuery(suspendedJob) },
  responses: answers({
    200: {
      description: "A page of jobs.",
      schema: pageOf("SuspendedJob", suspendedJob),
      example: onePage(SUSPENDED_JOB),
    },
  }),
});

const outboxEvents = operation({
  method: "get",
  path: "/outbox-events",
  operationId: "listOutboxBacklog",
  tags: ["outbox"],
  summary: "Events of all runs that wait to be published, or have given up",
  description:
    "`waiting`: neither published nor in the DLQ, by run, then sequence. `dead-letter`: in the DLQ, the longest first. To publish, `GET /v1/outbox-events/next` is fair.",
  ...secured("read"),
  request: {
    query: listQuery(outboxRecord).extend({
      state: z
        .enum(["waiting", "dead-letter"])
        .default("waiting")
        .openapi({ description: "Which of them.", example: "waiting" }),
    }),
  },
  responses: answers({
    200: {
      description: "A page of events.",
      schema: pageOf("BacklogEvent", outboxRecord),
      example: onePage(EVENT),
    },
  }),
});

interface Annotated {
  readonly annotationKey?: string | undefined;
  readonly annotationValue?: string | undefined;
}

/** The annotation that is looked for, its value as it is stored. */
function annotationOf({ annotationKey: key, annotationValue: told }: Annotated) {
  if (key === undefined && told === undefined) return undefined;
  if (key === undefined || told === undefined) {
    const field = key === undefined ? "annotationKey" : "annotationValue";
    const message = `${field}: an annotation is looked for by its key and its value`;
    throw new HttpFault("INVALID_ARGUMENT", message, { field });
  }
  const value = encodeJson(jsonOrText(told), "annotationValue");
  if (isFindable(value)) return { key, value };
  const limit = ANNOTATION_VALUE_FOUND_MAX;
  const message = `annotationValue: runs are found by values of at most ${limit} bytes of JSON`;
  throw new HttpFault("INVALID_ARGUMENT", message, { field: "annotationValue", limit });
}

function jsonOrText(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch {
    // Not JSON, so it is the text of a string, as documented.
    return told;
  }
}

export const lists = newRouter()
  .openapi(listRuns, async (context) => {
    const query = context.req.valid("query");
    const { limit, cursor, fields, workflowId, workflowType, name } = query;
    const filters: RunFilters = given({
      status: query.status,
      workflowId,
      workflowType,
      nameContains: name,
      annotation: annotationOf(query),
      createdFrom: query.createdFrom?.getTime(),
      createdBefore: query.createdBefore?.getTime(),
    });
    const [found] = await context.var.store.read([
      {
        q: "runs",
        filters,
        after: placeOf(cursor, z.object({ createdAt: z.int(), ordinal })),
        descending: query.order === "desc",
        limit,
        omit: omitted(LONG_TEXT.runs, fields),
      },
    ]);
    const toItem = (row: (typeof found.rows)[number]) => toWireRecord(toRunRecord(row));
    return context.json(page(found.rows, toItem, fields, found.next), 200);
  })
  .openapi(stuckRuns, async (context) => {
    const { limit, cursor, fields, since } = context.req.valid("query");
    const { store } = context.var;
    const after = placeOf(cursor, z.object({ updatedAt: z.int(), ordinal }));
    const now = await store.now();
    const [rows] = await store.read([
      { q: "stuckRuns", since: since.getTime(), now, after, limit },
    ]);
    const next = placeAfter(rows, limit, (row) => ({
      updatedAt: row.updatedAt,
      ordinal: row.ordinal,
    }));
    return context.json(
      page(rows, (row) => toWireRecord(toRunRecord(row)), fields, next),
      200,
    );
  })
  .openapi(suspendedStages, async (context) => {
    const { limit, cursor, fields, before } = context.req.valid("query");
    const place = z.object({
      nextPollAt: z.int(),
      workflowRunId: z.string().min(1),
      stageId: z.string().min(1),
    });
    const after = placeOf(cursor, place);
    const [rows] = await context.var.store.read([
      { q: "suspendedStages", before: before.getTime(), after, limit },
    ]);
    const next = placeAfter(rows, limit, ({ nextPollAt, workflowRunId, stageId }) => ({
      nextPollAt: nextPollAt ?? 0,
      workflowRunId,
      stageId,
    }));
    return context.json(
      page(rows, (row) => toWireRecord(toStageRecord(row)), fields, next),
      200,
    );
  })
  .openapi(suspendedJobs, async (context) => {
    const { limit, cursor, fields } = context.req.valid("query");
    const { store } = context.var;
    const place = z.object({ nextPollAt: z.int(), workflowRunId: z.string().min(1), ordinal });
    const now = await store.now();
    const after = placeOf(cursor, place);
    const [rows] = await store.read([{ q: "suspendedJobs", now, after, limit }]);
    const next = placeAfter(rows, limit, (row) => ({
      nextPollAt: row.nextPollAt ?? 0,
      workflowRunId: row.workflowRunId,
      ordinal: row.ordinal,
    }));
    const toItem = (row: (typeof rows)[number]) => {
      const id = joinId(row.workflowRunId, row.ordinal);
      return { id, jobId: id, stageId: row.stageId, workflowRunId: row.workflowRunId };
    };
    return context.json(page(rows, toItem, fields, next), 200);
  })
  .openapi(outboxEvents, async (context) => {
    const { limit, cursor, fields, state } = context.req.valid("query");
    const { store } = context.var;
    const place = z.object({ workflowRunId: z.string().min(1), sequence: z.int().min(0) });
    const toItem = (row: OutboxEventRow) => toWireRecord(toOutboxRecord(row));
    if (state === "waiting") {
      const after = placeOf(cursor, place);
      const [rows] = await store.read([{ q: "outboxBacklog", after, limit }]);
      const next = placeAfter(rows, limit, ({ workflowRunId, sequence }) => ({
        workflowRunId,
        sequence,
      }));
      return context.json(page(rows, toItem, fields, next), 200);
    }
    const after = placeOf(cursor, place.extend({ dlqAt: z.int() }));
    const [rows] = await store.read([{ q: "deadLetters", after, limit }]);
    const next = placeAfter(rows, limit, ({ workflowRunId, sequence, dlqAt }) => ({
      workflowRunId,
      sequence,
      dlqAt: dlqAt ?? 0,
    }));
    return context.json(page(rows, toItem, fields, next), 200);
  });
