/** Stored rows as the contract's records. Each call decodes anew, so nobody shares a value with anybody. */
import {
  type AnnotationRow,
  type ArtifactRow,
  decodeJson,
  decodeNullableJson,
  decodeText,
  joinId,
  type ClaimedJob,
  type JobRow,
  type RunRow,
  type NewStageRow,
} from "./index.ts";
import type {
  DequeueResult,
  JobRecord,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "../contract/index.ts";

export { toOutboxRecord } from "./outbox-record.ts";

function date(instant: number | null): Date | null {
  return instant === null ? null : new Date(instant);
}

export function toRunRecord(row: Omit<RunRow, "commits">): WorkflowRunRecord {
  return {
    id: row.id,
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    version: row.version,
    workflowId: row.workflowId,
    workflowName: row.workflowName,
    workflowType: row.workflowType,
    status: row.status,
    startedAt: date(row.startedAt),
    completedAt: date(row.completedAt),
    duration: row.duration,
    input: decodeJson(row.input),
    output: decodeNullableJson(row.output),
    config: decodeJson(row.config),
    totalCost: row.totalCost,
    totalTokens: row.totalTokens,
    priority: row.priority,
    metadata: decodeNullableJson(row.metadata),
  };
}

export function toStageRecord(row: NewStageRow): WorkflowStageRecord {
  return {
    id: row.id,
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    version: row.version,
    workflowRunId: row.workflowRunId,
    stageId: row.stageId,
    stageName: row.stageName,
    stageNumber: row.stageNumber,
    executionGroup: row.executionGroup,
    attempt: row.attempt,
    status: row.status,
    startedAt: date(row.startedAt),
    completedAt: date(row.completedAt),
    duration: row.duration,
    inputData: decodeNullableJson(row.inputData),
    outputData: decodeNullableJson(row.outputData),
    config: decodeNullableJson(row.config),
    suspendedState: decodeNullableJson(row.suspendedState),
    resumeData: decodeNullableJson(row.resumeData),
    nextPollAt: date(row.nextPollAt),
    pollInterval: row.pollInterval,
    maxWaitUntil: date(row.maxWaitUntil),
    metrics: decodeNullableJson(row.metrics),
    embeddingInfo: decodeNullableJson(row.embeddingInfo),
    errorMessage: row.errorMessage === null ? null : decodeText(row.errorMessage),
  };
}

export function toArtifactRecord(row: ArtifactRow): WorkflowArtifactRecord {
  return {
    id: joinId(row.workflowRunId, row.ordinal),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    workflowRunId: row.workflowRunId,
    workflowStageId: row.workflowStageId,
    key: row.key,
    type: row.type,
    data: decodeJson(row.data),
    size: row.size,
    metadata: decodeNullableJson(row.metadata),
  };
}

export function toAnnotationRecord(row: AnnotationRow): WorkflowAnnotationRecord {
  return {
    id: joinId(row.workflowRunId, row.ordinal),
    createdAt: new Date(row.createdAt),
    workflowRunId: row.workflowRunId,
    workflowStageRecordId: row.workflowStageRecordId,
    attempt: row.attempt,
    scope: row.scope,
    scopeId: row.scopeId,
    actorKind: row.actorKind,
    actorId: row.actorId,
    actorVersion: row.actorVersion,
    key: row.key,
    value: decodeJson(row.value),
    payload: decodeNullableJson(row.payload),
    idempotencyKey: row.idempotencyKey,
  };
}

export function toJobRecord(row: JobRow): JobRecord {
  return {
    id: joinId(row.workflowRunId, row.ordinal),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    workflowRunId: row.workflowRunId,
    workflowId: row.workflowId,
    stageId: row.stageId,
    status: row.status,
    priority: row.priority,
    workerId: row.workerId,
    lockedAt: date(row.lockedAt),
    startedAt: date(row.startedAt),
    completedAt: date(row.completedAt),
    attempt: row.attempt,
    maxAttempts: row.maxAttempts,
    lastError: row.lastError === null ? null : decodeText(row.lastError),
    nextPollAt: date(row.nextPollAt),
    payload: toPayload(row.payload),
    ...(row.dedupeKey === null ? {} : { dedupeKey: row.dedupeKey }),
    ...(row.concurrencyKey === null ? {} : { concurrencyKey: row.concurrencyKey }),
    ...(row.concurrencyLimit === null ? {} : { concurrencyLimit: row.concurrencyLimit }),
  };
}

export function toDelivery(row: ClaimedJob): DequeueResult {
  return {
    jobId: joinId(row.workflowRunId, row.ordinal),
    workflowRunId: row.workflowRunId,
    workflowId: row.workflowId,
    stageId: row.stageId,
    priority: row.priority,
    attempt: row.attempt,
    maxAttempts: row.maxAttempts,
    payload: toPayload(row.payload),
  };
}

/** A job's payload: written from an object, and `{}` for none. */
export function toPayload(text: string): Record<string, unknown> {
  return decodeJson(text) as Record<string, unknown>;
}
