/** Logs. The contract only writes them; here they are read. */
import { decodeNullableJson, decodeText, joinId, type LogRow } from "../../changes/index.ts";
import { listQuery, onePage, order, page, pageOf, pageOfRun, placeAfter } from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { createLog, LOG, logRecord, runKey } from "../schemas/index.ts";
import { given, newRouter, secured } from "../support.ts";

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

const logsOfRun = operation({
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

export const logs = newRouter()
  .openapi(postLog, async (context) => {
    await context.var.backend.persistence.createLog(given(context.req.valid("json")));
    return context.body(null, 204);
  })
  .openapi(logsOfRun, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const rows = await pageOfRun(context.var.store, "logs", runId, input);
    const next = placeAfter(
      rows,
      { rows: input.limit, table: "logs", fields: input.fields },
      ({ ordinal }) => ordinal,
    );
    return context.json(page(rows, toLog, input.fields, next), 200);
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
