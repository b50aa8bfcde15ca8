/** Lists that page: runs by status, and a run's logs, artifacts, outbox events and jobs. */
import { z } from "@hono/zod-openapi";
import {
  type ArtifactRow,
  decodeNullableJson,
  decodeText,
  joinId,
  type JobRow,
  type LogRow,
  type OutboxEventRow,
  PAGE_ROWS,
  type QueryOf,
} from "../../changes/index.ts";
import {
  toArtifactRecord,
  toJobRecord,
  toOutboxRecord,
  toRunRecord,
} from "../../client/records.ts";
import { cursorAfter, keyOf, nextCursor, pageQuery } from "../paging.ts";
import { answers, operation } from "../operation.ts";
import {
  ARTIFACT,
  artifactRecord,
  EVENT,
  JOB,
  jobRecord,
  LOG,
  logRecord,
  outboxRecord,
  RUN,
  runKey,
  runRecord,
  status,
  toWireRecord,
} from "../schemas/index.ts";
import { newRouter, secured } from "../support.ts";

const COMPONENTS = {
  logs: "PageOfLogs",
  artifacts: "PageOfArtifacts",
  "outbox-events": "PageOfOutboxEvents",
  jobs: "PageOfJobs",
} as const;

const ofRun = <Name extends keyof typeof COMPONENTS, Item extends z.ZodType>(
  name: Name,
  operationId: string,
  summary: string,
  item: Item,
  example: NoInfer<z.output<Item>>,
) =>
  operation({
    method: "get",
    path: `/runs/{runId}/${name}`,
    operationId,
    tags: [name === "outbox-events" ? "outbox" : name],
    summary,
    ...secured("read"),
    request: { params: runKey, query: pageQuery },
    responses: answers({
      200: {
        description: "A page.",
        schema: z.object({ items: z.array(item), nextCursor }).openapi(COMPONENTS[name]),
        example: { items: [example], nextCursor: null },
      },
    }),
  });

const logs = ofRun("logs", "listLogs", "A run's logs, oldest first", logRecord, LOG);
const artifacts = ofRun(
  "artifacts",
  "listArtifacts",
  "A run's artifacts, by key",
  artifactRecord,
  ARTIFACT,
);
const events = ofRun(
  "outbox-events",
  "listOutboxEvents",
  "A run's outbox events, by sequence",
  outboxRecord,
  EVENT,
);
const jobs = ofRun(
  "jobs",
  "getJobsByWorkflowRun",
  "A run's jobs, in the order in which they were enqueued",
  jobRecord,
  JOB,
);

const listRuns = operation({
  method: "get",
  path: "/runs",
  operationId: "getRunsByStatus",
  tags: ["runs"],
  summary: "Runs of a status, highest priority first, then oldest",
  ...secured("read"),
  request: {
    query: z.object({ status, cursor: pageQuery.shape.cursor }),
  },
  responses: answers({
    200: {
      description: `A page of up to ${PAGE_ROWS} runs.`,
      schema: z.object({ items: z.array(runRecord), nextCursor }).openapi("PageOfRuns"),
      example: { items: [RUN], nextCursor: null },
    },
  }),
});

type Page = z.infer<typeof pageQuery>;

function query(
  of: QueryOf<"page">["of"],
  workflowRunId: string,
  { limit, cursor, order }: Page,
): QueryOf<"page"> {
  const after = keyOf(cursor, of === "outboxEvents" ? z.string().regex(/^\d{1,15}$/) : z.string());
  return { q: "page", of, workflowRunId, after, descending: order === "desc", limit };
}

export const pages = newRouter()
  .openapi(listRuns, async (context) => {
    const { status: wanted, cursor } = context.req.valid("query");
    const place = z.object({ priority: z.int(), ordinal: z.string().regex(/^[0-9a-z]{1,64}$/) });
    const after = keyOf(cursor, place);
    const [rows] = await context.var.store.read([{ q: "runsByStatus", status: wanted, after }]);
    const next = cursorAfter(rows, PAGE_ROWS, ({ priority, ordinal }) => ({ priority, ordinal }));
    const items = rows.map((row) => toWireRecord(toRunRecord(row)));
    return context.json({ items, nextCursor: next }, 200);
  })
  .openapi(logs, async (context) => {
    const page = context.req.valid("query");
    const [found] = await context.var.store.read([
      query("logs", context.req.valid("param").runId, page),
    ]);
    const rows = found as LogRow[];
    const next = cursorAfter(rows, page.limit, ({ ordinal }) => ordinal);
    return context.json({ items: rows.map(toLog), nextCursor: next }, 200);
  })
  .openapi(artifacts, async (context) => {
    const page = context.req.valid("query");
    const [found] = await context.var.store.read([
      query("artifacts", context.req.valid("param").runId, page),
    ]);
    const rows = found as ArtifactRow[];
    const next = cursorAfter(rows, page.limit, ({ key }) => key);
    const items = rows.map((row) => toWireRecord(toArtifactRecord(row)));
    return context.json({ items, nextCursor: next }, 200);
  })
  .openapi(events, async (context) => {
    const page = context.req.valid("query");
    const [found] = await context.var.store.read([
      query("outboxEvents", context.req.valid("param").runId, page),
    ]);
    const rows = found as OutboxEventRow[];
    const next = cursorAfter(rows, page.limit, ({ sequence }) => String(sequence));
    const items = rows.map((row) => toWireRecord(toOutboxRecord(row)));
    return context.json({ items, nextCursor: next }, 200);
  })
  .openapi(jobs, async (context) => {
    const page = context.req.valid("query");
    const [found] = await context.var.store.read([
      query("jobs", context.req.valid("param").runId, page),
    ]);
    const rows = found as JobRow[];
    const next = cursorAfter(rows, page.limit, ({ ordinal }) => ordinal);
    const items = rows.map((row) => toWireRecord(toJobRecord(row)));
    return context.json({ items, nextCursor: next }, 200);
  });

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
