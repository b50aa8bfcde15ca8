/** Outbox events. */
import * as z from "zod";
import type { OutboxRecord } from "../../contract/index.ts";
import {
  type FieldsOf,
  integer,
  inputInstant,
  instant,
  INSTANT,
  json,
  recordId,
  runIdField,
  text,
} from "./common.ts";

export const eventId = recordId(
  "The event's id, made of its run's id and its sequence.",
  "run-1/1",
);
const event = {
  workflowRunId: runIdField,
  eventType: text("What happened.", "stage.completed"),
  causationId: text("What caused it.", "command-1"),
};
const payload = json("Its data.", { stageId: "fetch" });
const occurredAt = "When it happened, as the caller says.";

export const outboxRecord = z
  .object({
    id: eventId,
    ...event,
    sequence: integer("1, 2, 3, ... in each run, without gaps, in the order of commits.", 1),
    payload,
    occurredAt: instant(occurredAt),
    publishedAt: instant("When it was published; null before.").nullable(),
    retryCount: integer("Failures to publish it.", 0),
    dlqAt: instant("When it went to the DLQ; null while it is not there.").nullable(),
  } satisfies FieldsOf<OutboxRecord>)
  .meta({ id: "OutboxEvent" });

export const EVENT: z.output<typeof outboxRecord> = {
  id: "run-1/1",
  workflowRunId: "run-1",
  sequence: 1,
  eventType: "stage.completed",
  payload: { stageId: "fetch" },
  causationId: "command-1",
  occurredAt: INSTANT,
  publishedAt: null,
  retryCount: 0,
  dlqAt: null,
};

const newEvent = z.object({ ...event, payload, occurredAt: inputInstant(occurredAt) }).strict();

export const createOutboxEvents = z
  .object({ events: z.array(newEvent).max(1_000) })
  .strict()
  .meta({ id: "CreateOutboxEvents" });
