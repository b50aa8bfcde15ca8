/** Queries of outbox events and idempotency keys. Pure. */
import { object, nullable, optional, whole } from "../model/shape.ts";
import { instantField, keyField } from "../model/fields.ts";
import type { IdempotencyKeyRow, OutboxEventRow } from "../model/index.ts";
import { byNumber, byText, type Compare, inTurn } from "../model/order.ts";
import { idempotencyKeyRef, outboxEventRef } from "../model/row-ref.ts";
import { isWaiting, lastOutboxEvent, type State } from "../model/state.ts";
import { queryKind } from "./query-kind.ts";
import { eventKey, ofRun, OUTBOX_READ_MAX } from "./members.ts";

export const bySequence: Compare<Pick<OutboxEventRow, "workflowRunId" | "sequence">> = inTurn(
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

/** The order in which events went to the DLQ. */
const byDeath: Compare<Pick<OutboxEventRow, "dlqAt" | "workflowRunId" | "sequence">> = inTurn(
  byNumber((event) => event.dlqAt ?? 0),
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

/** All waiting events, by run and sequence. */
export function waitingInOrder(state: State): OutboxEventRow[] {
  return [...state.outboxEvents.all()].filter(isWaiting).toSorted(bySequence);
}

/** The first waiting events in the order of the line. */
export function takenInLine(state: State, limit: number): OutboxEventRow[] {
  const seen = new Map<string, number>();
  const ranked = waitingInOrder(state).map((event) => {
    const rank = (seen.get(event.workflowRunId) ?? 0) + 1;
    seen.set(event.workflowRunId, rank);
    // A transaction's copy knows no turns.
    return { event, rank, turn: state.outboxEvents.turns.get(event.workflowRunId) ?? 0 };
  });
  // Sorting is stable, so events of one rank and turn stay in the order of their runs.
  const inLine = ranked.toSorted(
    inTurn(
      byNumber(({ rank }) => rank),
      byNumber(({ turn }) => turn),
    ),
  );
  return inLine.slice(0, limit).map(({ event }) => event);
}

export const outboxQueries = {
  /** The event with this key, or null. */
  outboxEvent: queryKind("outboxEvent", eventKey, {
    sees: (query) => ({ what: "row", row: outboxEventRef(query) }),
    answer: (state, { workflowRunId, sequence }): OutboxEventRow | null =>
      state.outboxEvents.get(workflowRunId, String(sequence)) ?? null,
  }),

  /** The run's highest sequence; 0 when it has no event. */
  outboxTail: queryKind("outboxTail", ofRun, {
    loads: ({ workflowRunId }) => ({ of: "outboxTail", workflowRunId }),
    answer: (state, { workflowRunId }): number =>
      lastOutboxEvent(state, workflowRunId)?.sequence ?? 0,
  }),

  /**
   * `limit` of the waiting events (neither published nor in the DLQ), taken in the order of the line:
   * the first event of every run, then the second of every run, and so on. Within a rank, runs come
   * by their place in the line, then by their ids. With `bytesMax`, fewer may be taken: none after
   * the one that takes the page beyond it. Answered by (run, sequence).
   */
  unpublishedEvents: queryKind(
    "unpublishedEvents",
    {
      limit: whole({ min: 0, max: OUTBOX_READ_MAX }),
      bytesMax: optional(whole({ min: 1 })),
    },
    {
      answer: (state, { limit }): OutboxEventRow[] =>
        takenInLine(state, limit).toSorted(bySequence),
    },
  ),

  /** Events in the DLQ by dlqAt, run and sequence, the first `limit` after the given place. */
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
};

export const idempotencyKeyQueries = {
  /** The key's row, whatever its state, or null. */
  idempotencyKey: queryKind(
    "idempotencyKey",
    { key: keyField, commandType: keyField },
    {
      sees: (query) => ({ what: "row", row: idempotencyKeyRef(query) }),
      answer: (state, { key, commandType }): IdempotencyKeyRow | null =>
        state.idempotencyKeys.get(key, commandType) ?? null,
    },
  ),
};
