/** Changes of outbox events. Pure. */
import { countField, idField, instantField } from "../model/fields.ts";
import { newOutboxEventRow, type OutboxEventRow } from "../model/index.ts";
import { outboxEventRef } from "../model/row-ref.ts";
import { firstWaiting, isWaiting, lastOutboxEvent } from "../model/state.ts";
import type { Writer } from "../model/writer.ts";
import { changeKind } from "./change-kind.ts";

export const eventKey = { workflowRunId: idField, sequence: countField };

interface EventKey {
  readonly workflowRunId: string;
  readonly sequence: number;
}

/** Sets these columns of the event. Nothing if there is no such event, or `set` answers null. */
export function setEvent(
  writer: Writer,
  { workflowRunId, sequence }: EventKey,
  set: (event: OutboxEventRow) => Partial<OutboxEventRow> | null,
): void {
  const event = writer.state.outboxEvents.get(workflowRunId, String(sequence));
  if (event === undefined) return;
  const columns = set(event);
  if (columns === null) return;
  writer.put("outboxEvents", { ...event, ...columns, commits: writer.stamp(event.commits) });
}

/** The turn of a run that joins the line at its end. */
export function endOfLine({ state }: Writer): number {
  let last = 0;
  for (const turn of state.outboxEvents.turns.values()) last = Math.max(last, turn);
  return last + 1;
}

/** Whether this is the run's first waiting event. */
export function isFirst({ state }: Writer, { workflowRunId, sequence }: EventKey): boolean {
  return firstWaiting(state, workflowRunId) === sequence;
}

interface OfRun {
  readonly workflowRunId: string;
}

/** The runs of these changes, each once. */
export function runsOf(changes: readonly OfRun[]): string[] {
  return [...new Set(changes.map(({ workflowRunId }) => workflowRunId))];
}

/**
 * After changes that may give a run another first waiting event: runs that have one and no turn go
 * to the end of the line, all with the same turn.
 */
function lineUpRuns(writer: Writer, changes: readonly OfRun[]): void {
  const { turns } = writer.state.outboxEvents;
  const turn = endOfLine(writer);
  for (const workflowRunId of runsOf(changes)) {
    if (turns.has(workflowRunId)) continue;
    if (firstWaiting(writer.state, workflowRunId) !== undefined) {
      writer.setTurn(workflowRunId, turn);
    }
  }
}

/** Sets these columns of an event that waits no longer. Its run gets another place in the line. */
function takeOut(writer: Writer, key: EventKey, set: Parameters<typeof setEvent>[2]): void {
  if (isFirst(writer, key)) writer.setTurn(key.workflowRunId, undefined);
  setEvent(writer, key, set);
}

export const outboxChanges = {
  /**
   * Inserts the event with the run's next sequence: the highest so far + 1, or 1. Its `commits`
   * continues that of the event before it. A run that had no waiting event joins the line at its
   * end.
   */
  appendOutboxEvent: changeKind(
    "appendOutboxEvent",
    { row: newOutboxEventRow },
    {
      // The database gives the sequence, so the key is not known beforehand.
      row: () => null,
      recorded: "insert",
      shownIn: ({ row }) => ({ of: "outboxTail", workflowRunId: row.workflowRunId }),
      texts: ({ row }) => [{ table: "outboxEvents", values: row }],
      apply(writer, { row }) {
        const last = lastOutboxEvent(writer.state, row.workflowRunId);
        if (isWaiting(row) && firstWaiting(writer.state, row.workflowRunId) === undefined) {
          writer.setTurn(row.workflowRunId, endOfLine(writer));
        }
        writer.put("outboxEvents", {
          ...row,
          sequence: (last?.sequence ?? 0) + 1,
          countAfter: null,
          commits: writer.stamp(last?.commits ?? ""),
        });
      },
    },
  ),

  /**
   * publishedAt = at unless it is set; dlqAt = null. Nothing for an unknown event.
   *
   * For this change, deadLetterOutboxEvent and replayOutboxEvent: if the run's first waiting event
   * is another one afterwards, the run goes to the end of the line when the commit ends; several
   * runs of one commit by their ids.
   */
  publishOutboxEvent: changeKind(
    "publishOutboxEvent",
    { ...eventKey, at: instantField },
    {
      row: (change) => outboxEventRef(change),
      recorded: "each",
      finish: lineUpRuns,
      apply(writer, change) {
        takeOut(writer, change, (event) => ({
          publishedAt: event.publishedAt ?? change.at,
          dlqAt: null,
        }));
      },
    },
  ),

  /**
   * retryCount + 1. If the event is the run's first waiting one, the run goes to the end of the
   * line.
   */
  countOutboxRetry: changeKind("countOutboxRetry", eventKey, {
    row: (change) => outboxEventRef(change),
    recorded: "each",
    apply(writer, change) {
      const { workflowRunId } = change;
      if (isFirst(writer, change) && writer.state.outboxEvents.turns.has(workflowRunId)) {
        writer.setTurn(workflowRunId, endOfLine(writer));
      }
      setEvent(writer, change, (event) => ({ retryCount: event.retryCount + 1 }));
    },
  }),

  /** dlqAt = at, unless the event is published. */
  deadLetterOutboxEvent: changeKind(
    "deadLetterOutboxEvent",
    { ...eventKey, at: instantField },
    {
      row: (change) => outboxEventRef(change),
      recorded: "each",
      finish: lineUpRuns,
      apply(writer, change) {
        takeOut(writer, change, ({ publishedAt }) =>
          publishedAt === null ? { dlqAt: change.at } : null,
        );
      },
    },
  ),

  /** dlqAt = null, retryCount = 0. The run goes to the end of the line. */
  replayOutboxEvent: changeKind("replayOutboxEvent", eventKey, {
    row: (change) => outboxEventRef(change),
    recorded: "each",
    finish: lineUpRuns,
    apply(writer, change) {
      writer.setTurn(change.workflowRunId, undefined);
      setEvent(writer, change, () => ({ dlqAt: null, retryCount: 0, countAfter: null }));
    },
  }),
};
