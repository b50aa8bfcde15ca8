/** Queries of outbox events and idempotency keys. Pure. */
import { object, nullable, optional, whole } from "../model/shape.ts";
import { instantField, keyField } from "../model/fields.ts";
import { type IdempotencyKeyRow, type OutboxEventRow, withinBytes } from "../model/index.ts";
import { byNumber, byText, type Compare, inTurn } from "../model/order.ts";
import { idempotencyKeyRef, outboxEventRef } from "../model/row-ref.ts";
import { isWaiting, lastOutboxEvent, type State } from "../model/state.ts";
import { queryKind } from "./query-kind.ts";
import { eventKey, ofRun, OUTBOX_READ_MAX, rowLimit } from "./members.ts";

const bySequence: Compare<Pick<OutboxEventRow, "workflowRunId" | "sequence">> = inTurn(
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

const byDeath: Compare<Pick<OutboxEventRow, "dlqAt" | "workflowRunId" | "sequence">> = inTurn(
  byNumber((event) => event.dlqAt ?? 0),
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

function waitingInOrder(state: State): OutboxEventRow[] {
  return [...state.outboxEvents.all()].filter(isWaiting).toSorted(bySequence);
}

export const outboxQueries = {
  outboxEvent: queryKind("outboxEvent", eventKey, {
    sees: (query) => ({ what: "row", row: outboxEventRef(query) }),
    answer: (state, { workflowRunId, sequence }): OutboxEventRow | null =>
      state.outboxEvents.get(workflowRunId, String(sequence)) ?? null,
  }),

  /** The run's highest sequence; 0: none. */
  outboxTail: queryKind("outboxTail", ofRun, {
    loads: ({ workflowRunId }) => ({ of: "outboxTail", workflowRunId }),
    answer: (state, { workflowRunId }): number =>
      lastOutboxEvent(state, workflowRunId)?.sequence ?? 0,
  }),

  /**
   * Events neither published nor in the DLQ: `limit` of them, first the first of every run, then the second of every run, ..., runs
   * in the order of their line, then of their ids. With `bytesMax`, no more than the rows before which there are less.
   */
  unpublishedEvents: queryKind(
    "unpublishedEvents",
    {
      limit: whole({ min: 0, max: OUTBOX_READ_MAX }),
      bytesMax: optional(whole({ min: 1 })),
    },
    {
      answer(state, { limit, bytesMax }): OutboxEventRow[] {
        const seen = new Map<string, number>();
        const ranked = waitingInOrder(state).map((event) => {
          const rank = (seen.get(event.workflowRunId) ?? 0) + 1;
          seen.set(event.workflowRunId, rank);
          // A run that only a transaction knows joins at the end.
          const turn = state.outboxEvents.turns.get(event.workflowRunId) ?? Number.MAX_SAFE_INTEGER;
          return { event, rank, turn };
        });
        // Sorting is stable, so events of one rank and turn stay in the order of their runs.
        const page = ranked
          .toSorted(
            inTurn(
              byNumber(({ rank }) => rank),
              byNumber(({ turn }) => turn),
            ),
          )
          .slice(0, limit)
          .map(({ event }) => event);
        return withinBytes("outboxEvents", page, { bytesMax });
      },
    },
  ),

  /** Events neither published nor in the DLQ by (run, sequence), the first `limit` after the given place. */
  outboxBacklog: queryKind(
    "outboxBacklog",
    { after: nullable(object(eventKey)), limit: rowLimit },
    {
      answer: (state, { after, limit }): OutboxEventRow[] =>
        waitingInOrder(state)
          .filter((event) => after === null || bySequence(event, after) > 0)
          .slice(0, limit),
    },
  ),

  /** Events in the DLQ by (dlqAt, run, sequence), the first `limit` after the given place. */
  deadLetters: queryKind(
    "deadLetters",
    {
      after: optional(nullable(object({ ...eventKey, dlqAt: instantField }))),
      limit: whole({ min: 0, max: OUTBOX_READ_MAX }),
    },
    {
      answer: (state, { after = null, limit }): OutboxEventRow[] =>
        [...state.outboxEvents.all()]
          .filter((event) => event.dlqAt !== null && (after === null || byDeath(event, after) > 0))
          .toSorted(byDeath)
          .slice(0, limit),
    },
  ),

  /** Events neither published nor in the DLQ, counted up to `limit`. */
  waitingEvents: queryKind(
    "waitingEvents",
    { limit: rowLimit },
    {
      answer: (state, { limit }): number =>
        Math.min([...state.outboxEvents.all()].filter(isWaiting).length, limit),
    },
  ),
};

export const idempotencyKeyQueries = {
  idempotencyKey: queryKind(
    "idempotencyKey",
    { key: keyField, commandType: keyField },
    {
      sees: (query) => ({ what: "row", row: idempotencyKeyRef(query) }),
      answer: (state, { key, commandType }): IdempotencyKeyRow | null =>
        state.idempotencyKeys.get(key, commandType) ?? null,
    },
  ),

  /** How many of idempotency keys and commit records purgeExpired would delete, each counted up to 1. */
  expired: queryKind(
    "expired",
    { keysBefore: instantField, commitsBefore: instantField },
    {
      // Records of commits are the database's own; the maps have none.
      answer: (state, { keysBefore }): number =>
        [...state.idempotencyKeys.all()].some(({ acquiredAt }) => acquiredAt < keysBefore) ? 1 : 0,
    },
  ),
};
