/** Answers about outbox events and idempotency keys. */
import type { OutboxEventRow } from "../../model/index.ts";
import { isWaiting } from "../../model/state.ts";
import { bySequence, waitingInOrder } from "../../queries/outbox.ts";
import type { StoredAnswers } from "./answers.ts";

export const outboxAnswers = {
  outboxBacklog: (state, { after, limit }): OutboxEventRow[] =>
    waitingInOrder(state)
      .filter((event) => after === null || bySequence(event, after) > 0)
      .slice(0, limit),

  waitingEvents: (state, { limit }): number =>
    Math.min([...state.outboxEvents.all()].filter(isWaiting).length, limit),

  // Only the database keeps records of commits; the maps have none.
  expired: (state, { keysBefore }): number =>
    [...state.idempotencyKeys.all()].some(({ acquiredAt }) => acquiredAt < keysBefore) ? 1 : 0,
} satisfies Partial<StoredAnswers>;
