/** Changes of outbox events and idempotency keys. Pure. */
import { type Change, type ChangeOf, leavesTheLine } from "./index.ts";
import { type IdempotencyKeyRow, type OutboxEventRow } from "../model/index.ts";
import { byNumber } from "../model/order.ts";
import { firstWaiting, isWaiting, lastOutboxEvent } from "../model/state.ts";
import type { Writer } from "../model/writer.ts";

export function appendOutboxEvent(writer: Writer, { row }: ChangeOf<"appendOutboxEvent">): void {
  const last = lastOutboxEvent(writer.state, row.workflowRunId);
  if (isWaiting(row) && firstWaiting(writer.state, row.workflowRunId) === undefined) {
    writer.setTurn(row.workflowRunId, endOfLine(writer));
  }
  writer.put("outboxEvents", {
    ...row,
    sequence: (last?.sequence ?? 0) + 1,
    commits: writer.stamp(last?.commits ?? ""),
  });
}

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

/** The turn of the next one that goes to the end of the line. */
function endOfLine({ state }: Writer): number {
  let last = 0;
  for (const turn of state.outboxEvents.turns.values()) last = Math.max(last, turn);
  return last + 1;
}

function isFirst({ state }: Writer, { workflowRunId, sequence }: EventKey): boolean {
  return firstWaiting(state, workflowRunId) === sequence;
}

export function publishOutboxEvent(writer: Writer, change: ChangeOf<"publishOutboxEvent">): void {
  if (isFirst(writer, change)) writer.setTurn(change.workflowRunId, undefined);
  setEvent(writer, change, (event) => ({
    publishedAt: event.publishedAt ?? change.at,
    dlqAt: null,
  }));
}

export function countOutboxRetry(writer: Writer, change: ChangeOf<"countOutboxRetry">): void {
  const { workflowRunId } = change;
  if (isFirst(writer, change) && writer.state.outboxEvents.turns.has(workflowRunId)) {
    writer.setTurn(workflowRunId, endOfLine(writer));
  }
  setEvent(writer, change, (event) => ({ retryCount: event.retryCount + 1 }));
}

export function deadLetterOutboxEvent(
  writer: Writer,
  change: ChangeOf<"deadLetterOutboxEvent">,
): void {
  if (isFirst(writer, change)) writer.setTurn(change.workflowRunId, undefined);
  setEvent(writer, change, (event) => (event.publishedAt === null ? { dlqAt: change.at } : null));
}

export function replayOutboxEvent(writer: Writer, change: ChangeOf<"replayOutboxEvent">): void {
  writer.setTurn(change.workflowRunId, undefined);
  setEvent(writer, change, () => ({ dlqAt: null, retryCount: 0 }));
}

/** The end of a commit: runs whose first waiting event has become another one go to the end of the line, all with one turn. */
export function lineUpRuns(writer: Writer, changes: readonly Change[]): void {
  const { turns } = writer.state.outboxEvents;
  const turn = endOfLine(writer);
  for (const { workflowRunId } of changes.filter(leavesTheLine)) {
    if (turns.has(workflowRunId)) continue;
    if (firstWaiting(writer.state, workflowRunId) !== undefined) {
      writer.setTurn(workflowRunId, turn);
    }
  }
}

export function acquireIdempotencyKey(
  writer: Writer,
  change: ChangeOf<"acquireIdempotencyKey">,
): void {
  const { key, commandType, at, staleBefore } = change;
  const found = writer.state.idempotencyKeys.get(key, commandType);
  if (found === undefined) {
    writer.put("idempotencyKeys", {
      ...newKey(writer, change),
      state: "in_progress",
      result: null,
    });
    return;
  }
  const stale =
    found.state === "in_progress" && staleBefore !== null && found.acquiredAt <= staleBefore;
  if (!stale) return;
  const commits = writer.stamp(found.commits);
  writer.put("idempotencyKeys", { ...found, acquiredAt: at, commits });
}

export function completeIdempotencyKey(
  writer: Writer,
  change: ChangeOf<"completeIdempotencyKey">,
): void {
  const { key, commandType, result } = change;
  const found = writer.state.idempotencyKeys.get(key, commandType);
  const row =
    found === undefined
      ? newKey(writer, change)
      : { ...found, commits: writer.stamp(found.commits) };
  writer.put("idempotencyKeys", { ...row, state: "completed", result });
}

function newKey(
  writer: Writer,
  change: ChangeOf<"acquireIdempotencyKey" | "completeIdempotencyKey">,
): Omit<IdempotencyKeyRow, "state" | "result"> {
  const { key, commandType, at } = change;
  return { key, commandType, createdAt: at, acquiredAt: at, commits: writer.commitId };
}

export function releaseIdempotencyKey(
  writer: Writer,
  change: ChangeOf<"releaseIdempotencyKey">,
): void {
  const found = writer.state.idempotencyKeys.get(change.key, change.commandType);
  if (found?.state === "in_progress") writer.remove("idempotencyKeys", found);
}

/** Records of commits are the database's own; the in-memory store has none. */
export function purgeExpired(writer: Writer, change: ChangeOf<"purgeExpired">): void {
  const expired = [...writer.state.idempotencyKeys.all()]
    .filter(({ acquiredAt }) => acquiredAt < change.keysBefore)
    .toSorted(byNumber((row) => row.acquiredAt));
  const last = expired[change.limit - 1]?.acquiredAt ?? change.keysBefore;
  for (const row of expired) if (row.acquiredAt <= last) writer.remove("idempotencyKeys", row);
}
