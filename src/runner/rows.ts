/** The rows that transitions write: stages, jobs, events. Pure. */
import type { Change } from "../changes/index.ts";
import type { NextStage } from "../engine/delivery.ts";
import { type NewJobRow, type NewStageRow, stageJob, stageRecordId } from "../model/index.ts";
import type { EngineRun } from "./lease.ts";

/** Where ids and instants of one transition come from. */
export interface Moment {
  readonly at: number;
  /** A new ordinal. */
  readonly ordinal: () => string;
}

/** A stage that its run comes to. */
export interface Coming {
  readonly run: Pick<EngineRun, "id">;
  readonly stage: Pick<NextStage, "id" | "name" | "number" | "decides">;
  readonly group: number;
  /** The stages whose outputs it takes; none: the run's input. */
  readonly from: readonly string[];
  /** Tries before this record of the stage. */
  readonly tried: number;
}

/** What a stage waits for that has no state of its own. */
export function waitsFor(what: "signal" | "time" | "condition"): string {
  return JSON.stringify({ waitsFor: what });
}

export function stageRow(
  { run, stage, group, from, tried }: Coming,
  { at, ordinal }: Moment,
  set: Partial<NewStageRow>,
): NewStageRow {
  return {
    workflowRunId: run.id,
    stageId: stage.id,
    id: stageRecordId(run.id, stage.id, ordinal()),
    createdAt: at,
    updatedAt: at,
    version: 1,
    stageName: stage.name,
    stageNumber: stage.number,
    executionGroup: group,
    attempt: tried,
    status: "PENDING",
    startedAt: null,
    completedAt: null,
    duration: null,
    inputData: from.length === 0 ? null : JSON.stringify({ from }),
    outputData: null,
    config: null,
    suspendedState: stage.decides ? waitsFor("condition") : null,
    resumeData: null,
    nextPollAt: null,
    pollInterval: null,
    maxWaitUntil: null,
    metrics: null,
    embeddingInfo: null,
    errorMessage: null,
    ...set,
  };
}

/** A job that any worker claims to take the run on from this stage. */
export function jobRow(
  { id, workflowId, priority, tried }: Pick<EngineRun, "id" | "workflowId" | "priority" | "tried">,
  { id: stageId, attempts, concurrency }: Pick<NextStage, "id" | "attempts" | "concurrency">,
  { at, ordinal }: Moment,
): NewJobRow {
  return {
    workflowRunId: id,
    ordinal: ordinal(),
    createdAt: at,
    updatedAt: at,
    workflowId,
    stageId,
    status: "PENDING",
    priority,
    workerId: null,
    lockedAt: null,
    startedAt: null,
    completedAt: null,
    attempt: 0,
    maxAttempts: attempts,
    failures: 0,
    undelivered: 0,
    unanswered: 0,
    lastError: null,
    nextPollAt: null,
    payload: stageJob(tried),
    dedupeKey: null,
    concurrencyKey: concurrency?.key ?? null,
    concurrencyLimit: concurrency?.limit ?? null,
  };
}

/** The events of an engine's runs, as the contract's engines name them. */
export type EventType =
  | "workflow:started"
  | "workflow:completed"
  | "workflow:failed"
  | "workflow:cancelled"
  | "workflow:suspended"
  | "workflow:resumed"
  | "workflow:rerun"
  | "stage:started"
  | "stage:completed"
  | "stage:skipped"
  | "stage:suspended"
  | "stage:retrying"
  | "stage:failed"
  | "stage:progress";

/**
 * An event of the run. Where nobody publishes its events it is stored as published: it can be read
 * and watched, and costs one row.
 */
export function event(
  { id, publishes }: Pick<EngineRun, "id" | "publishes">,
  at: number,
  eventType: EventType,
  payload: Readonly<Record<string, unknown>>,
): Change {
  return {
    kind: "appendOutboxEvent",
    row: {
      workflowRunId: id,
      eventType,
      payload: JSON.stringify(payload),
      causationId: id,
      occurredAt: at,
      publishedAt: publishes ? null : at,
      retryCount: 0,
      dlqAt: null,
    },
  };
}
