/** Outbox events. */
import * as z from "zod";
import { OUTBOX_PAGE_DEFAULT, OUTBOX_PAGE_MAX, type OutboxEventRow } from "../../model/index.ts";
import { toOutboxRecord } from "../../model/records.ts";
import {
  listQuery,
  onePage,
  order,
  page,
  pageOf,
  pageOfRun,
  placeAfter,
  placeIn,
} from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  createOutboxEvents,
  EVENT,
  eventId,
  INSTANT,
  integer,
  outboxRecord,
  runKey,
  toWireRecord,
  wholeText,
} from "../schemas/index.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const event = z.object({ id: eventId });
const tags = ["outbox"];

const backlog = operation({
  method: "get",
  path: "/outbox-events",
  operationId: "listOutboxBacklog",
  tags,
  summary: "Events of all runs that wait to be published, or are in the DLQ",
  description:
    "`waiting`: neither published nor in the DLQ, by run, then sequence. `dead-letter`: in the DLQ, the longest first. To publish, `GET /v1/outbox-events/next` is fair.",
  ...secured("outboxBacklog"),
  request: {
    query: listQuery(outboxRecord).extend({
      state: z
        .enum(["waiting", "dead-letter"])
        .default("waiting")
        .meta({ description: "Which of them.", example: "waiting" }),
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

const eventsOfRun = operation({
  method: "get",
  path: "/runs/{runId}/outbox-events",
  operationId: "listOutboxEvents",
  tags,
  summary: "A run's outbox events, by sequence",
  ...secured("page"),
  request: { params: runKey, query: listQuery(outboxRecord).extend({ order: order("asc") }) },
  responses: answers({
    200: {
      description: "A page of events.",
      schema: pageOf("OutboxEvent", outboxRecord),
      example: onePage(EVENT),
    },
  }),
});

const post = operation({
  method: "post",
  path: "/outbox-events",
  operationId: "appendOutboxEvents",
  tags,
  summary: "Append events",
  description: "They get the next sequences of their runs: 1, 2, 3, ..., in the order of commits.",
  ...secured("appendOutboxEvent", LIMITS.record),
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

const nextEvents = operation({
  method: "get",
  path: "/outbox-events/next",
  operationId: "getUnpublishedOutboxEvents",
  tags,
  summary: "The next events to publish",
  description:
    "Neither published nor in the DLQ. By run, then sequence; when more wait than fit, every run gets its turn. Publish them, mark them, ask again. `GET /v1/outbox-events` lists all.",
  ...secured("unpublishedEvents"),
  request: {
    query: z.strictObject({
      limit: wholeText(0, OUTBOX_PAGE_MAX)
        .optional()
        .meta({
          description: `How many at most; default: ${OUTBOX_PAGE_DEFAULT}.`,
          example: 100,
        }),
    }),
  },
  responses: answers({
    200: {
      description: "The events.",
      schema: z.object({ events: z.array(outboxRecord) }).meta({ id: "OutboxEvents" }),
      example: { events: [EVENT] },
    },
  }),
});

const publish = operation({
  method: "post",
  path: "/outbox-events/publish",
  operationId: "markOutboxEventsPublished",
  tags,
  summary: "Mark events as published",
  ...secured("publishOutboxEvent", LIMITS.record),
  request: jsonBody(
    z
      .object({ ids: z.array(eventId).max(1_000) })
      .strict()
      .meta({ id: "EventIds" }),
    { ids: ["run-1/1"] },
  ),
  responses: done("Marked. Unknown ids are ignored."),
});

const replay = operation({
  method: "post",
  path: "/outbox-events/replay",
  operationId: "replayDLQEvents",
  tags,
  summary: "Put events back from the DLQ, the longest waiting first",
  ...secured("replayOutboxEvent"),
  request: jsonBody(
    z
      .object({
        maxEvents: z.int().min(0).max(1_000).meta({
          description: "How many at most.",
          example: 100,
        }),
      })
      .strict()
      .meta({ id: "Replay" }),
    { maxEvents: 100 },
  ),
  responses: answers({
    200: {
      description: "How many.",
      schema: z.object({ replayed: integer("Events put back.", 1) }).meta({ id: "Replayed" }),
      example: { replayed: 1 },
    },
  }),
});

const countRetry = operation({
  method: "post",
  path: "/outbox-events/{id}/retry-count",
  operationId: "incrementOutboxRetryCount",
  tags,
  summary: "Count a failure to publish",
  ...secured("countOutboxRetry"),
  request: { params: event },
  responses: answers({
    200: {
      description: "The count.",
      schema: z.object({ retryCount: integer("Failures so far.", 1) }).meta({ id: "RetryCount" }),
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
  ...secured("deadLetterOutboxEvent"),
  request: { params: event },
  responses: done("Moved, unless it is published."),
  problems: ["NOT_FOUND"],
});

export const outbox = new Router()
  .serve(backlog, async (context) => {
    const { limit, cursor, fields, state } = context.req.valid("query");
    const { store } = context.var;
    const place = z.object({ workflowRunId: z.string().min(1), sequence: z.int().min(0) });
    const toItem = (row: OutboxEventRow) => toWireRecord(toOutboxRecord(row));
    if (state === "waiting") {
      const after = placeIn("waitingEvents", cursor, place);
      const [rows] = await store.read([{ q: "outboxBacklog", after, limit }]);
      const next = placeAfter(rows, { rows: limit }, ({ workflowRunId, sequence }) => ({
        workflowRunId,
        sequence,
      }));
      return context.json(page("waitingEvents", rows, toItem, fields, next), 200);
    }
    const after = placeIn("deadLetters", cursor, place.extend({ dlqAt: z.int() }));
    const [rows] = await store.read([{ q: "deadLetters", after, limit }]);
    const next = placeAfter(rows, { rows: limit }, ({ workflowRunId, sequence, dlqAt }) => ({
      workflowRunId,
      sequence,
      dlqAt: dlqAt ?? 0,
    }));
    return context.json(page("deadLetters", rows, toItem, fields, next), 200);
  })
  .serve(eventsOfRun, async (context) => {
    const input = context.req.valid("query");
    const { runId } = context.req.valid("param");
    const found = await pageOfRun(context.var.store, "outboxEvents", runId, input, {
      key: ({ sequence }) => String(sequence),
      toItem: (row) => toWireRecord(toOutboxRecord(row)),
    });
    return context.json(found, 200);
  })
  .serve(post, async (context) => {
    const { events } = context.req.valid("json");
    await context.var.backend.persistence.appendOutboxEvents(
      events.map(({ payload = null, ...rest }) => ({ ...rest, payload })),
    );
    return context.body(null, 204);
  })
  .serve(nextEvents, async (context) => {
    const { limit } = context.req.valid("query");
    const events = await context.var.backend.persistence.getUnpublishedOutboxEvents(limit);
    return context.json({ events: events.map(toWireRecord) }, 200);
  })
  .serve(publish, async (context) => {
    const { ids } = context.req.valid("json");
    await context.var.backend.persistence.markOutboxEventsPublished(ids);
    return context.body(null, 204);
  })
  .serve(replay, async (context) => {
    const { maxEvents } = context.req.valid("json");
    const replayed = await context.var.backend.persistence.replayDLQEvents(maxEvents);
    return context.json({ replayed }, 200);
  })
  .serve(countRetry, async (context) => {
    const { id } = context.req.valid("param");
    const retryCount = await context.var.backend.persistence.incrementOutboxRetryCount(id);
    return context.json({ retryCount }, 200);
  })
  .serve(deadLetter, async (context) => {
    await context.var.backend.persistence.moveOutboxEventToDLQ(context.req.valid("param").id);
    return context.body(null, 204);
  });
