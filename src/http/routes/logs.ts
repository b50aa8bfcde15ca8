/** Logs. The contract only writes them; here they can be read. */
import { type Store } from "../../changes/index.ts";
import { defined, type LogRow, toLogRecord } from "../../model/index.ts";
import { listQuery, onePage, order, type PageInput, pageOf, pageOfRun } from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { createLog, LOG, logRecord, runKey, toWireRecord } from "../schemas/index.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const postLog = operation({
  method: "post",
  path: "/logs",
  operationId: "createLog",
  tags: ["logs"],
  summary: "Write a log line",
  ...secured("createLog", LIMITS.record),
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
  ...secured("page"),
  request: { params: runKey, query: listQuery(logRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of logs.",
      schema: pageOf("Log", logRecord),
      example: onePage(LOG),
    },
  }),
});

/** Logs of no run are stored under an empty run id. */
const NO_RUN = "";

const logsOfNoRun = operation({
  method: "get",
  path: "/logs",
  operationId: "listLogsOfNoRun",
  tags: ["logs"],
  summary: "Logs that belong to no run, oldest first",
  ...secured("page"),
  request: { query: listQuery(logRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of logs.",
      schema: pageOf("LogOfNoRun", logRecord),
      example: onePage({ ...LOG, id: "/0mwwqfjev0000gow", workflowRunId: null }),
    },
  }),
});

export const logs = new Router()
  .serve(postLog, async (context) => {
    await context.var.backend.persistence.createLog(defined(context.req.valid("json")));
    return context.body(null, 204);
  })
  .serve(logsOfRun, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    return context.json(await pageOfLogs(context.var.store, runId, input), 200);
  })
  .serve(logsOfNoRun, async (context) => {
    const input = context.req.valid("query");
    return context.json(await pageOfLogs(context.var.store, NO_RUN, input), 200);
  });

function pageOfLogs(store: Store, runId: string, input: PageInput) {
  const toItem = (row: LogRow) => toWireRecord(toLogRecord(row));
  return pageOfRun(store, "logs", runId, input, { key: ({ ordinal }) => ordinal, toItem });
}
