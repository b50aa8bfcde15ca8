/** An outbox event as the contract has it: what the client answers, and what whoever watches a run is sent. */
import type { OutboxRecord } from "../contract/index.ts";
import { joinId } from "./ids.ts";
import { decodeJson } from "./json.ts";
import type { OutboxEventRow } from "./rows.ts";

/** Each call decodes anew, so nobody shares a value with anybody. */
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
