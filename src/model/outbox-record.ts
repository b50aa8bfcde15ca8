/** An outbox event as the contract has it: for the persistence, and for those that watch a run. */
import type { OutboxRecord } from "../contract/index.ts";
import { joinId } from "./ids.ts";
import { decodeJson } from "./json.ts";
import type { OutboxEventRow } from "./rows.ts";

/** Decodes anew with each call, so that no two callers share a value. */
export function toOutboxRecord(row: OutboxEventRow): OutboxRecord {
  return {
    id: joinId(row.workflowRunId, row.sequence),
    workflowRunId: row.workflowRunId,
    sequence: row.sequence,
    eventType: row.eventType,
    payload: decodeJson(row.payload),
    causationId: row.causationId,
    occurredAt: new Date(row.occurredAt),
    publishedAt: row.publishedAt === null ? null : new Date(row.publishedAt),
    retryCount: row.retryCount,
    dlqAt: row.dlqAt === null ? null : new Date(row.dlqAt),
  };
}
