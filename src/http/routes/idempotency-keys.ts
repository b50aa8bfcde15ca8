/** Idempotency keys, for commands of the caller's own. */
import * as z from "zod";
import { isOwnType, OWN_TYPE } from "../idempotency/responses.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { inputInstant, json, settable, text } from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const tags = ["idempotency keys"];
const idempotencyKey = {
  key: text("The key.", "order-1"),
  commandType: text(
    "The kind of command. Keys of different kinds are different keys.",
    "run.create",
  ).refine((commandType) => !isOwnType(commandType), OWN_TYPE),
};
const KEY = { key: "order-1", commandType: "run.create" };

const acquire = operation({
  method: "post",
  path: "/idempotency-keys/acquire",
  operationId: "acquireIdempotencyKey",
  tags,
  summary: "Acquire a key, or get the result stored under it",
  ...secured("acquireIdempotencyKey"),
  request: jsonBody(
    z
      .object({
        ...idempotencyKey,
        now: inputInstant("Instead of the service's clock.").optional(),
        staleInProgressAfterMs: z.number().min(0).optional().meta({
          description:
            "A key that has been in progress for this many milliseconds may be taken over. Left out: never.",
          example: 60_000,
        }),
      })
      .strict()
      .meta({ id: "AcquireKey" }),
    KEY,
  ),
  responses: answers({
    200: {
      description: "`acquired`: yours; `in_progress`: another's; `replay`: done, with its result.",
      schema: z
        .object({
          status: z.enum(["acquired", "in_progress", "replay"]).meta({ example: "replay" }),
          result: settable("With `replay`: the stored result.", { id: "run-1" }),
        })
        .meta({ id: "AcquiredKey" }),
      example: { status: "replay", result: { id: "run-1" } },
    },
  }),
});

const complete = operation({
  method: "post",
  path: "/idempotency-keys/complete",
  operationId: "completeIdempotencyKey",
  tags,
  summary: "Store the result that later callers are answered",
  ...secured("completeIdempotencyKey", LIMITS.record),
  request: jsonBody(
    z
      .object({
        ...idempotencyKey,
        result: json("What later callers are answered.", { id: "run-1" }),
      })
      .strict()
      .meta({ id: "CompleteKey" }),
    { ...KEY, result: { id: "run-1" } },
  ),
  responses: done("Stored."),
});

const release = operation({
  method: "post",
  path: "/idempotency-keys/release",
  operationId: "releaseIdempotencyKey",
  tags,
  summary: "Release a key that is in progress",
  ...secured("releaseIdempotencyKey"),
  request: jsonBody(z.object(idempotencyKey).strict().meta({ id: "ReleaseKey" }), KEY),
  responses: done("Released, unless it is completed."),
});

export const idempotencyKeys = new Router()
  .serve(acquire, async (context) => {
    const { key, commandType, ...options } = context.req.valid("json");
    const { persistence } = context.var.backend;
    const acquired = await persistence.acquireIdempotencyKey(key, commandType, defined(options));
    return context.json(acquired, 200);
  })
  .serve(complete, async (context) => {
    const { key, commandType, result } = context.req.valid("json");
    await context.var.backend.persistence.completeIdempotencyKey(key, commandType, result);
    return context.body(null, 204);
  })
  .serve(release, async (context) => {
    const { key, commandType } = context.req.valid("json");
    await context.var.backend.persistence.releaseIdempotencyKey(key, commandType);
    return context.body(null, 204);
  });
