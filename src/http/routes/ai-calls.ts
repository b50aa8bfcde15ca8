/** The ledger of AI calls. */
import * as z from "zod";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { AI_CALL, aiCall, dollars, flag, integer, text } from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const tags = ["AI calls"];
const batch = z.object({ batchId: text("The batch's id, as its maker names it.", "batch-1") });

const post = operation({
  method: "post",
  path: "/ai-calls",
  operationId: "logCall",
  tags,
  summary: "Record an AI call",
  description:
    "Recorded after the answer is sent; a call that could not be recorded is in the service's log. With an Idempotency-Key it is recorded before.",
  ...secured("recordAiCall", LIMITS.record),
  request: jsonBody(aiCall, AI_CALL),
  responses: done("Taken."),
});

const putBatch = operation({
  method: "put",
  path: "/ai-batches/{batchId}",
  operationId: "logBatchResults",
  tags,
  summary: "Record the results of a batch, once",
  ...secured("recordAiCall", LIMITS.record),
  request: {
    params: batch,
    ...jsonBody(
      z
        .object({ results: z.array(aiCall).max(1_000) })
        .strict()
        .meta({ id: "AIBatch" }),
      { results: [AI_CALL] },
    ),
  },
  responses: done("Recorded, now or before."),
});

const getBatch = operation({
  method: "get",
  path: "/ai-batches/{batchId}",
  operationId: "isRecorded",
  tags,
  summary: "Whether a batch's results are recorded",
  ...secured("aiBatch"),
  request: { params: batch },
  responses: answers({
    200: {
      description: "Whether.",
      schema: z.object({ recorded: flag("Whether they are.") }).meta({ id: "Recorded" }),
      example: { recorded: true },
    },
  }),
});

const stats = operation({
  method: "get",
  path: "/ai-stats",
  operationId: "getStats",
  tags,
  summary: "Calls, tokens and cost of every topic that starts with a text",
  ...secured("aiCallTotals"),
  request: {
    query: z.strictObject({ topicPrefix: text("What the topics start with.", "workflow.run-1") }),
  },
  responses: answers({
    200: {
      description: "The sums.",
      schema: z
        .object({
          totalCalls: integer("Calls.", 1),
          totalInputTokens: integer("Tokens of their prompts.", 10),
          totalOutputTokens: integer("Tokens of their answers.", 20),
          totalCost: dollars,
          perModel: z
            .record(
              z.string(),
              z.object({
                calls: integer("Calls.", 1),
                inputTokens: integer("Tokens of their prompts.", 10),
                outputTokens: integer("Tokens of their answers.", 20),
                cost: dollars,
              }),
            )
            .meta({ description: "The same of each model, by its `modelKey`." }),
        })
        .meta({ id: "AIStats" }),
      example: {
        totalCalls: 1,
        totalInputTokens: 10,
        totalOutputTokens: 20,
        totalCost: 0.01,
        perModel: { small: { calls: 1, inputTokens: 10, outputTokens: 20, cost: 0.01 } },
      },
    },
  }),
});

export const aiCalls = new Router()
  .serve(post, async (context) => {
    const call = defined(context.req.valid("json"));
    const { backend, recordAiCall } = context.var;
    if (recordAiCall === undefined) backend.aiCalls.logCall(call);
    else await recordAiCall(call);
    return context.body(null, 204);
  })
  .serve(putBatch, async (context) => {
    const { batchId } = context.req.valid("param");
    const results = context.req.valid("json").results.map((result) => defined(result));
    await context.var.backend.aiCalls.logBatchResults(batchId, results);
    return context.body(null, 204);
  })
  .serve(getBatch, async (context) => {
    const { batchId } = context.req.valid("param");
    return context.json({ recorded: await context.var.backend.aiCalls.isRecorded(batchId) }, 200);
  })
  .serve(stats, async (context) => {
    const { topicPrefix } = context.req.valid("query");
    return context.json(await context.var.backend.aiCalls.getStats(topicPrefix), 200);
  });
