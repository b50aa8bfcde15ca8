/** Outbox events and idempotency keys. */
import { z } from "@hono/zod-openapi";
import { OUTBOX_PAGE_DEFAULT, OUTBOX_PAGE_MAX } from "../../changes/index.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  integer,
  createOutboxEvents,
  EVENT,
  eventId,
  inputInstant,
  INSTANT,
  json,
  outboxRecord,
  settable,
  text,
  toWireRecord,
} from "../schemas/index.ts";
import { given, newRouter, secured } from "../support.ts";

const event = z.object({ id: eventId });
const tags = ["outbox"];
const keyTags = ["idempotency keys"];
const idempotencyKey = {
  key: text("The key.", "order-1"),
  commandType: text("What is done under it: keys of different types do not meet.", "run.create"),
};
const KEY = { key: "order-1", commandType: "run.create" };

const post = operation({
  method: "post",
  path: "/outbox-events",
  operationId: "appendOutboxEvents",
  tags,
  summary: "Append events",
  description: "Of each run they get the next sequences: 1, 2, 3, ..., in the order of commits.",
  ...secured("write"),
  request: jsonBody(createOutboxEvents, {
    events: [
      {
        workflowRunId: "run-1",
        eventType: "stage.completed",
        payload: { stageId: "fetch" },
        causationId: "command-1",
        occurredAt: INSTANT,
      },
    ],
  }),
  responses: done("Appended."),
});

const next = operation({
  method: "get",
  path: "/outbox-events/next",
  operationId: "getUnpublishedOutboxEvents",
  tags,
  summary: "The next events to publish",
  description:
    "Neither published nor in the DLQ. By run, then sequence; when more wait than fit, every run gets its turn. Publish them, say so, ask again: `GET /v1/outbox-events` is the list.",
  ...secured("read"),
  request: {
    query: z.object({
      limit: z.coerce
        .number()
        .int()
        .min(0)
        .max(OUTBOX_PAGE_MAX)
        .optional()
        .openapi({
          description: `At most so many; default: ${OUTBOX_PAGE_DEFAULT}.`,
          example: 100,
        }),
    }),
  },
  responses: answers({
    200: {
      description: "The events.",
      schema: z.object({ events: z.array(outboxRecord) }).openapi("OutboxEvents"),
      example: { events: [EVENT] },
    },
  }),
});

const publish = operation({
  method: "post",
  path: "/outbox-events/publish",
  operationId: "markOutboxEventsPublished",
  tags,
  summary: "Take note that events have been published",
  ...secured("write"),
  request: jsonBody(
    z
      .object({ ids: z.array(eventId).max(1_000) })
      .strict()
      .openapi("EventIds"),
    { ids: ["run-1/1"] },
  ),
  responses: done("Noted. Unknown ids are ignored."),
});

const countRetry = operation({
  method: "post",
  path: "/outbox-events/{id}/retry-count",
  operationId: "incrementOutboxRetryCount",
  tags,
  summary: "Count a failure to publish",
  ...secured("write"),
  request: { params: event },
  responses: answers({
    200: {
      description: "The count.",
      schema: z.object({ retryCount: integer("Failures so far.", 1) }).openapi("RetryCount"),
      example: { retryCount: 1 },
    },
  }),
  problems: ["NOT_FOUND"],
});

const deadLetter = operation({
  method: "post",
  path: "/outbox-events/{id}/dead-letter",
  operationId: "moveOutboxEventToDLQ",
  tags,
  summary: "Move an event to the DLQ",
  ...secured("write"),
  request: { params: event },
  responses: done("Moved, unless it is published."),
  problems: ["NOT_FOUND"],
});

const replay = operation({
  method: "post",
  path: "/outbox-events/replay",
  operationId: "replayDLQEvents",
  tags,
  summary: "Put events back from the DLQ, the longest waiting first",
  ...secured("write"),
  request: jsonBody(
    z
      .object({
        maxEvents: z.int().min(0).max(1_000).openapi({
          description: "At most so many.",
          example: 100,
        }),
      })
      .strict()
      .openapi("Replay"),
    { maxEvents: 100 },
  ),
  responses: answers({
    200: {
      description: "How many.",
      schema: z.object({ replayed: integer("Events put back.", 1) }).openapi("Replayed"),
      example: { replayed: 1 },
    },
  }),
});

const acquire = operation({
  method: "post",
  path: "/idempotency-keys/acquire",
  operationId: "acquireIdempotencyKey",
  tags: keyTags,
  summary: "Acquire a key, or learn what became of it",
  ...secured("write"),
  request: jsonBody(
    z
      .object({
        ...idempotencyKey,
        now: inputInstant("Instead of the service's clock.").optional(),
        staleInProgressAfterMs: z.number().min(0).optional().openapi({
          description:
            "A key in progress for so many milliseconds may be taken over. Left out: never.",
          example: 60_000,
        }),
      })
      .strict()
      .openapi("AcquireKey"),
    KEY,
  ),
  responses: answers({
    200: {
      description: "`acquired`: yours; `in_progress`: another's; `replay`: done, with its result.",
      schema: z
        .object({
          status: z.enum(["acquired", "in_progress", "replay"]).openapi({ example: "replay" }),
          result: settable("Of `replay`: what was stored.", { id: "run-1" }),
        })
        .openapi("AcquiredKey"),
      example: { status: "replay", result: { id: "run-1" } },
    },
  }),
});

const complete = operation({
  method: "post",
  path: "/idempotency-keys/complete",
  operationId: "completeIdempotencyKey",
  tags: keyTags,
  summary: "Store the result that later callers are answered",
  ...secured("write"),
  request: jsonBody(
    z
      .object({
        ...idempotencyKey,
        result: json("What later callers are answered.", { id: "run-1" }),
      })
      .strict()
      .openapi("CompleteKey"),
    { ...KEY, result: { id: "run-1" } },
  ),
  responses: done("Stored."),
});

const release = operation({
  method: "post",
  path: "/idempotency-keys/release",
  operationId: "releaseIdempotencyKey",
  tags: keyTags,
  summary: "Give a key back that is in progress",
  ...secured("write"),
  request: jsonBody(z.object(idempotencyKey).strict().openapi("ReleaseKey"), KEY),
  responses: done("Released, unless it is completed."),
});

export const outbox = newRouter()
  .openapi(post, async (context) => {
    const { events } = context.req.valid("json");
    await context.var.backend.persistence.appendOutboxEvents(
      events.map(({ payload = null, ...rest }) => ({ ...rest, payload })),
    );
    return context.body(null, 204);
  })
  .openapi(next, async (context) => {
    const { limit } = context.req.valid("query");
    const events = await context.var.backend.persistence.getUnpublishedOutboxEvents(limit);
    return context.json({ events: events.map(toWireRecord) }, 200);
  })
  .openapi(publish, async (context) => {
    const { ids } = context.req.valid("json");
    await context.var.backend.persistence.markOutboxEventsPublished(ids);
    return context.body(null, 204);
  })
  .openapi(replay, async (context) => {
    const { maxEvents } = context.req.valid("json");
    const replayed = await context.var.backend.persistence.replayDLQEvents(maxEvents);
    return context.json({ replayed }, 200);
  })
  .openapi(countRetry, async (context) => {
    const { id } = context.req.valid("param");
    const retryCount = await context.var.backend.persistence.incrementOutboxRetryCount(id);
    return context.json({ retryCount }, 200);
  })
  .openapi(deadLetter, async (context) => {
    await context.var.backend.persistence.moveOutboxEventToDLQ(context.req.valid("param").id);
    return context.body(null, 204);
  })
  .openapi(acquire, async (context) => {
    const { key, commandType, ...options } = context.req.valid("json");
    const { persistence } = context.var.backend;
    const acquired = await persistence.acquireIdempotencyKey(key, commandType, given(options));
    return context.json(acquired, 200);
  })
  .openapi(complete, async (context) => {
    const { key, commandType, result } = context.req.valid("json");
    await context.var.backend.persistence.completeIdempotencyKey(key, commandType, result);
    return context.body(null, 204);
  })
  .openapi(release, async (context) => {
    const { key, commandType } = context.req.valid("json");
    await context.var.backend.persistence.releaseIdempotencyKey(key, commandType);
    return context.body(null, 204);
  });
