/** The ledger of AI calls. */
import * as z from "zod";
import { CALL_TOKENS_MAX } from "../../model/index.ts";
import { cost, count, settable, text } from "./common.ts";

export const aiCall = z
  .object({
    topic: text(
      "What it was for; sums are taken over topics that start alike.",
      "workflow.run-1.summarize",
    ),
    callType: text("The kind of the call.", "text"),
    modelKey: text("The model, as the caller names it.", "small"),
    modelId: text("The model, as its maker names it.", "small-1"),
    prompt: text("What was asked.", "Summarize"),
    response: text("What was answered.", "Done"),
    inputTokens: count("Tokens of the prompt.", 10, CALL_TOKENS_MAX),
    outputTokens: count("Tokens of the answer.", 20, CALL_TOKENS_MAX),
    cost,
    metadata: settable("Data that belongs to the call."),
    batchId: text("The batch of the call; may be in `metadata` instead.", "batch-1").optional(),
    requestId: text(
      "The request of the batch that it answers; the first answer counts. May be in `metadata` instead.",
      "request-1",
    ).optional(),
  })
  .strict()
  .meta({ id: "AICall" });

export const AI_CALL: z.input<typeof aiCall> = {
  topic: "workflow.run-1.summarize",
  callType: "text",
  modelKey: "small",
  modelId: "small-1",
  prompt: "Summarize",
  response: "Done",
  inputTokens: 10,
  outputTokens: 20,
  cost: 0.01,
};
