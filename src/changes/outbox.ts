/** Changes of outbox events. Pure. */
import { countField, idField, instantField } from "../model/fields.ts";
import { newOutboxEventRow, type OutboxEventRow } from "../model/index.ts";
import { COUNT_MAX_MS, COUNT_MIN_MS, RETRY_EXPONENT_MAX } from "../model/limits.ts";
import { oneOf } from "../model/shape.ts";
import { outboxEventRef } from "../model/row-ref.ts";
import { firstWaiting, isWaiting, lastOutboxEvent } from "../model/state.ts";
import type { Writer } from "../model/writer.ts";
import { changeKind } from "./change-kind.ts";
import { ADMIN, WRITE } from "./scope.ts";

const eventKey = { workflowRunId: idField, sequence: countField };

interface EventKey {
  readonly workflowRunId: string;
  readonly sequence: number;
}

/** Writes these columns of the event; nothing when it is unknown or `set` says null. */
function setEvent(
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

const EVENTS_WAIT = [{ kind: "outbox", at: null }] as const;

/** The turn of the next run that goes to the end of the line. */
function endOfLine({ state }: Writer): number {
  let last = 0;
  for (const turn of state.outboxEvents.turns.values()) last = Math.max(last, turn);
  return last + 1;
}

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

function isFirst({ state }: Writer, { workflowRunId, sequence }: EventKey): boolean {
  return firstWaiting(state, workflowRunId) === sequence;
}

export const outboxChanges = {
  /**
   * Inserts the event with the run's next sequence: the highest so far + 1, first 1. Its `commits` continues its predecessor's. A run
   * without waiting events joins the line of those that have some, at its end.
   */
  appendOutboxEvent: changeKind(
    "appendOutboxEvent",
    { row: newOutboxEventRow },
    {
      scope: WRITE,
      // The database gives the sequence.
      row: () => null,
      trace: "mark",
      recorded: "insert",
      shownIn: ({ row }) => ({ of: "outboxTail", workflowRunId: row.workflowRunId }),
      texts: ({ row }) => [{ table: "outboxEvents", values: row }],
      wakes: () => EVENTS_WAIT,
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
   * publishedAt = at unless it is set; dlqAt = null. Nothing for an unknown event. Of this and the two that follow: if the run's first
   * waiting event has become another one, the run goes to the end of the line when the commit ends; all of one commit by their ids.
   */
  publishOutboxEvent: changeKind(
    "publishOutboxEvent",
    { ...eventKey, at: instantField },
    {
      scope: WRITE,
      row: (change) => outboxEventRef(change),
      trace: "none",
      recorded: "each",
      apply(writer, change) {
        if (isFirst(writer, change)) writer.setTurn(change.workflowRunId, undefined);
        setEvent(writer, change, (event) => ({
          publishedAt: event.publishedAt ?? change.at,
          dlqAt: null,
        }));
      },
    },
  ),

  /** retryCount + 1. If the event is the run's first waiting one, the run goes to the end of the line. */
  countOutboxRetry: changeKind("countOutboxRetry", eventKey, {
    scope: WRITE,
    row: (change) => outboxEventRef(change),
    trace: "mark",
    recorded: "each",
    apply(writer, change) {
      const { workflowRunId } = change;
      if (isFirst(writer, change) && writer.state.outboxEvents.turns.has(workflowRunId)) {
        writer.setTurn(workflowRunId, endOfLine(writer));
      }
      setEvent(writer, change, (event) => ({ retryCount: event.retryCount + 1 }));
    },
  }),

  /** dlqAt = at, unless it is published. */
  deadLetterOutboxEvent: changeKind(
    "deadLetterOutboxEvent",
    { ...eventKey, at: instantField },
    {
      scope: WRITE,
      row: (change) => outboxEventRef(change),
      trace: "mark?",
      recorded: "each",
      apply(writer, change) {
        if (isFirst(writer, change)) writer.setTurn(change.workflowRunId, undefined);
        setEvent(writer, change, ({ publishedAt }) =>
          publishedAt === null ? { dlqAt: change.at } : null,
        );
      },
    },
  ),

  /**
   * Of a waiting event whose retryCount is `seen`: if it is the run's first, the run goes to the end of the line. Its failure counts
   * (retryCount + 1) as `blame` says. `none`: not at all; an event that has never failed has countAfter = at, and `commits` stays. `certain`: at once, and countAfter = null. `suspected`: at once if
   * it was certain before, else if countAfter is null or has come, and the next one after a pause, which doubles with each.
   */
  putBackEvent: changeKind(
    "putBackEvent",
    {
      ...eventKey,
      seen: countField,
      blame: oneOf(["none", "suspected", "certain"]),
      at: instantField,
    },
    {
      scope: ADMIN,
      row: (change) => outboxEventRef(change),
      trace: "none",
      recorded: "never",
      shownIn: () => null,
      apply(writer, change) {
        const { workflowRunId, sequence, seen, blame, at } = change;
        const event = writer.state.outboxEvents.get(workflowRunId, String(sequence));
        if (event === undefined || !isWaiting(event) || event.retryCount !== seen) return;
        if (isFirst(writer, change)) writer.setTurn(workflowRunId, endOfLine(writer));
        if (blame !== "none") setEvent(writer, change, () => counted(event, blame, at));
        else if (seen === 0 && event.countAfter === null) {
          writer.put("outboxEvents", { ...event, countAfter: at });
        }
      },
    },
  ),

  /** dlqAt = null, retryCount = 0. The run goes to the end of the line. */
  replayOutboxEvent: changeKind("replayOutboxEvent", eventKey, {
    scope: WRITE,
    row: (change) => outboxEventRef(change),
    trace: "mark",
    recorded: "each",
    wakes: () => EVENTS_WAIT,
    apply(writer, change) {
      writer.setTurn(change.workflowRunId, undefined);
      setEvent(writer, change, () => ({ dlqAt: null, retryCount: 0, countAfter: null }));
    },
  }),
};

/** Kinds after which the run's first waiting event may be another one, so that the run has to line up anew. */
const LEAVING: ReadonlySet<string> = new Set<keyof typeof outboxChanges>([
  "publishOutboxEvent",
  "deadLetterOutboxEvent",
  "replayOutboxEvent",
]);

/** The runs that have to line up anew after these changes. */
export function runsToLineUp(changes: readonly { readonly kind: string }[]): string[] {
  const runs = changes.flatMap((change) =>
    LEAVING.has(change.kind) && "workflowRunId" in change ? [String(change.workflowRunId)] : [],
  );
  return [...new Set(runs)];
}

/** The end of a commit: runs whose first waiting event has become another one go to the end of the line, all with one turn. */
export function lineUpRuns(writer: Writer, changes: readonly { readonly kind: string }[]): void {
  const { turns } = writer.state.outboxEvents;
  const turn = endOfLine(writer);
  for (const workflowRunId of runsToLineUp(changes)) {
    if (turns.has(workflowRunId)) continue;
    if (firstWaiting(writer.state, workflowRunId) !== undefined) {
      writer.setTurn(workflowRunId, turn);
    }
  }
}
