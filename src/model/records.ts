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
import { decoderOf } from "./columns.ts";
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

const runOf = decoderOf(newRunRow);
const stageOf = decoderOf(newStageRow);
const artifactOf = decoderOf(newArtifactRow);
const annotationOf = decoderOf(newAnnotationRow);
const logOf = decoderOf(logRow);
const eventOf = decoderOf(newOutboxEventRow);
const jobOf = decoderOf(newJobRow);

/** A row that was not stored yet will do: `commits` is of no use to callers. */
export function toRunRecord(row: Omit<RunRow, "commits">): WorkflowRunRecord {
  const { ordinal, ...record } = runOf(row);
  return record;
}

export function toStageRecord(row: NewStageRow): WorkflowStageRecord {
  const { id, ...record } = stageOf(row);
  return { id, ...record };
}

export function toArtifactRecord(row: ArtifactRow): WorkflowArtifactRecord {
  const { ordinal, ...record } = artifactOf(row);
  return { id: joinId(row.workflowRunId, ordinal), ...record };
}

export function toAnnotationRecord(row: AnnotationRow): WorkflowAnnotationRecord {
  const { ordinal, ...record } = annotationOf(row);
  return { id: joinId(row.workflowRunId, ordinal), ...record };
}

/** Logs that belong to no run are stored under the run "". */
export function toLogRecord(row: LogRow): WorkflowLogRecord {
  const { ordinal, workflowRunId, ...record } = logOf(row);
  return {
    id: joinId(workflowRunId, ordinal),
    workflowRunId: workflowRunId === "" ? null : workflowRunId,
    ...record,
  };
}

/** The form in which clients and watchers of a run get an event. */
export function toOutboxRecord(row: OutboxEventRow): OutboxRecord {
  const { sequence } = row;
  const { workflowRunId, ...record } = eventOf(row);
  return { id: joinId(workflowRunId, sequence), workflowRunId, sequence, ...record };
}

/** Keys that the job does not have are absent from the record. */
export function toJobRecord(row: JobRow): JobRecord {
  const { ordinal, failures, undelivered, unanswered, ...columns } = jobOf(row);
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
  const { workflowRunId, ordinal, workflowId, stageId, priority, attempt, maxAttempts } = row;
  const whose = { workflowRunId, workflowId, stageId };
  const payload = newJobRow.members.payload.codec.decode(row.payload);
  return {
    jobId: joinId(workflowRunId, ordinal),
    ...whose,
    priority,
    attempt,
    maxAttempts,
    payload,
  };
}
