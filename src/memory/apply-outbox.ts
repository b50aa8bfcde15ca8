/** Changes of outbox events and idempotency keys. Pure. */
import type { ChangeOf, IdempotencyKeyRow, OutboxEventRow } from "../changes/index.ts";
import { byNumber } from "./order.ts";
import { lastOutboxEvent } from "./state.ts";
import type { Writer } from "./writer.ts";

export function appendOutboxEvent(writer: Writer, { row }: ChangeOf<"appendOutboxEvent">): void {
  const last = lastOutboxEvent(writer.state, row.workflowRunId);
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

export function publishOutboxEvent(writer: Writer, change: ChangeOf<"publishOutboxEvent">): void {
  setEvent(writer, change, (event) => ({
    publishedAt: event.publishedAt ?? change.at,
    dlqAt: null,
  }));
}

export function countOutboxRetry(writer: Writer, change: ChangeOf<"countOutboxRetry">): void {
  setEvent(writer, change, (event) => ({ retryCount: event.retryCount + 1 }));
}

export function deadLetterOutboxEvent(
  writer: Writer,
  change: ChangeOf<"deadLetterOutboxEvent">,
): void {
  setEvent(writer, change, (event) => (event.publishedAt === null ? { dlqAt: change.at } : null));
}

export function replayOutboxEvent(writer: Writer, change: ChangeOf<"replayOutboxEvent">): void {
  setEvent(writer, change, () => ({ dlqAt: null, retryCount: 0 }));
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
