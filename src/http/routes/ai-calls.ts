/** The ledger of AI calls. */
import { createRoute, z } from "@hono/zod-openapi";
import { aiCall } from "../schemas.ts";
import { answers, done, given, jsonBody, newRouter, secured } from "../support.ts";

const tags = ["AI calls"];
const batch = z.object({ batchId: z.string().openapi({ example: "batch-1" }) });

const post = createRoute({
  method: "post",
  path: "/ai-calls",
  operationId: "logCall",
  tags,
  summary: "Record an AI call",
  description:
    "Taken down after the answer, and what could not be recorded is in the service's log; with an Idempotency-Key before it.",
  ...secured("write"),
  request: jsonBody(aiCall),
  responses: done("Taken."),
});

const putBatch = createRoute({
  method: "put",
  path: "/ai-batches/{batchId}",
  operationId: "logBatchResults",
  tags,
  summary: "Record the results of a batch, once",
  ...secured("write"),
  request: {
    params: batch,
    ...jsonBody(
      z
        .object({ results: z.array(aiCall).max(1_000) })
        .strict()
        .openapi("AIBatch", { example: { results: [] } }),
    ),
  },
  responses: done("Recorded, now or before."),
});

const getBatch = createRoute({
  method: "get",
  path: "/ai-batches/{batchId}",
  operationId: "isRecorded",
  tags,
  summary: "Whether a batch's results are recorded",
  ...secured("read"),
  request: { params: batch },
  responses: answers({
    200: {
      description: "Whether.",
      schema: z.object({ recorded: z.boolean() }).openapi("Recorded"),
    },
  }),
});

const stats = createRoute({
  method: "get",
  path: "/ai-stats",
  operationId: "getStats",
  tags,
  summary: "Calls, tokens and cost of every topic that starts with a text",
  ...secured("read"),
  request: { query: z.object({ topicPrefix: z.string().openapi({ example: "workflow.run-1" }) }) },
  responses: answers({
    200: {
      description: "The sums.",
      schema: z
        .object({
          totalCalls: z.int(),
          totalInputTokens: z.int(),
          totalOutputTokens: z.int(),
          totalCost: z.number(),
          perModel: z.record(
            z.string(),
            z.object({
              calls: z.int(),
              inputTokens: z.int(),
              outputTokens: z.int(),
              cost: z.number(),
            }),
          ),
        })
        .openapi("AIStats"),
    },
  }),
});

export const aiCalls = newRouter()
  .openapi(post, async (context) => {
    const call = given(context.req.valid("json"));
    const { backend, recordAiCall } = context.var;
    if (recordAiCall === undefined) backend.aiCalls.logCall(call);
    else await recordAiCall(call);
    return context.body(null, 204);
  })
  .openapi(putBatch, async (context) => {
    const { batchId } = context.req.valid("param");
    const results = context.req.valid("json").results.map((result) => given(result));
    await context.var.backend.aiCalls.logBatchResults(batchId, results);
    return context.body(null, 204);
  })
  .openapi(getBatch, async (context) => {
    const { batchId } = context.req.valid("param");
    return context.json({ recorded: await context.var.backend.aiCalls.isRecorded(batchId) }, 200);
  })
  .openapi(stats, async (context) => {
    const { topicPrefix } = context.req.valid("query");
    return context.json(await context.var.backend.aiCalls.getStats(topicPrefix), 200);
  });
