/**
 * Stored rows as the contract's records: their columns as callers have them (`columns.ts`), and an
 * id.
 */
import type {
  DequeueResult,
  JobRecord,
  OutboxRecord,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowLogRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "../contract/index.ts";
import { decoded } from "./columns.ts";
import { defined } from "./defined.ts";
import { joinId } from "./ids.ts";
import {
  type AnnotationRow,
  type ArtifactRow,
  type JobRow,
  logRow,
  type LogRow,
  newAnnotationRow,
  newArtifactRow,
  newJobRow,
  newOutboxEventRow,
  newRunRow,
  newStageRow,
  type NewStageRow,
  type OutboxEventRow,
  type RunRow,
} from "./rows.ts";

/** A row that was not stored yet will do: `commits` is of no use to callers. */
export function toRunRecord(row: Omit<RunRow, "commits">): WorkflowRunRecord {
  const { ordinal, ...record } = decoded(newRunRow, row);
  return record;
}

export function toStageRecord(row: NewStageRow): WorkflowStageRecord {
  const { id, ...record } = decoded(newStageRow, row);
  return { id, ...record };
}

export function toArtifactRecord(row: ArtifactRow): WorkflowArtifactRecord {
  const { ordinal, ...record } = decoded(newArtifactRow, row);
  return { id: joinId(row.workflowRunId, ordinal), ...record };
}

export function toAnnotationRecord(row: AnnotationRow): WorkflowAnnotationRecord {
  const { ordinal, ...record } = decoded(newAnnotationRow, row);
  return { id: joinId(row.workflowRunId, ordinal), ...record };
}

/** Logs that belong to no run are stored under the run "". */
export function toLogRecord(row: LogRow): WorkflowLogRecord {
  const { ordinal, workflowRunId, ...record } = decoded(logRow, row);
  return {
    id: joinId(workflowRunId, ordinal),
    workflowRunId: workflowRunId === "" ? null : workflowRunId,
    ...record,
  };
}

/** The form in which clients and watchers of a run get an event. */
export function toOutboxRecord(row: OutboxEventRow): OutboxRecord {
  const { sequence } = row;
  const { workflowRunId, ...record } = decoded(newOutboxEventRow, row);
  return { id: joinId(workflowRunId, sequence), workflowRunId, sequence, ...record };
}

/** Keys that the job does not have are absent from the record. */
export function toJobRecord(row: JobRow): JobRecord {
  const { ordinal, failures, undelivered, unanswered, ...columns } = decoded(newJobRow, row);
  const { dedupeKey, concurrencyKey, concurrencyLimit, ...record } = columns;
  return {
    id: joinId(row.workflowRunId, ordinal),
    ...record,
    ...defined({
      dedupeKey: dedupeKey ?? undefined,
      concurrencyKey: concurrencyKey ?? undefined,
      concurrencyLimit: concurrencyLimit ?? undefined,
    }),
  };
}

/** A job as its claim answers it. */
export function toDelivery(row: JobRow): DequeueResult {
  const { id, workflowRunId, workflowId, stageId, priority, attempt, maxAttempts, payload } =
    toJobRecord(row);
  const whose = { workflowRunId, workflowId, stageId };
  return { jobId: id, ...whose, priority, attempt, maxAttempts, payload };
}
