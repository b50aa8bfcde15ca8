/** Effects on outbox events. */
import type { Effects } from "../../changes/index.ts";
import { endOfLine, isFirst, setEvent } from "../../changes/outbox.ts";
import type { OutboxEventRow } from "../../model/index.ts";
import { COUNT_MAX_MS, COUNT_MIN_MS, RETRY_EXPONENT_MAX } from "../../model/limits.ts";
import { isWaiting } from "../../model/state.ts";

/** What a failure changes in its event. */
function counted(
  { retryCount, countAfter }: OutboxEventRow,
  blame: "suspected" | "certain",
  at: number,
): Partial<OutboxEventRow> {
  if (blame === "certain" || (retryCount > 0 && countAfter === null)) {
    return { retryCount: retryCount + 1, countAfter: null };
  }
  if (countAfter !== null && countAfter > at) return {};
  const pauseMs = Math.min(
    COUNT_MIN_MS * 2 ** Math.min(retryCount, RETRY_EXPONENT_MAX),
    COUNT_MAX_MS,
  );
  return { retryCount: retryCount + 1, countAfter: at + pauseMs };
}

export const outboxEffects = {
  putBackEvent(writer, change) {
    const { workflowRunId, sequence, seen, blame, at } = change;
    const event = writer.state.outboxEvents.get(workflowRunId, String(sequence));
    if (event === undefined || !isWaiting(event) || event.retryCount !== seen) return;
    if (isFirst(writer, change)) writer.setTurn(workflowRunId, endOfLine(writer));
    if (blame !== "none") setEvent(writer, change, () => counted(event, blame, at));
    else if (seen === 0 && event.countAfter === null) {
      writer.put("outboxEvents", { ...event, countAfter: at });
    }
  },
} satisfies Effects;
