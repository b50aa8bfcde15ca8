import { expect } from "vitest";
import { isServiceError, StaleVersionError } from "../../contract/index.ts";
import type { ConformanceBackend } from "./harness.ts";
import type {
  CreateAICallInput,
  CreateAnnotationInput,
  CreateLogInput,
  CreateOutboxEventInput,
  CreateRunInput,
  CreateStageInput,
  DequeueResult,
  EnqueueJobInput,
  ErrorCode,
  JobRecord,
  OutboxRecord,
  SaveArtifactInput,
  ServiceError,
  WorkflowPersistence,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "../../contract/index.ts";

export const AN_HOUR_MS = 3_600_000;
/** An instant with milliseconds, far from the present. */
export const INSTANT = new Date("2025-03-04T05:06:07.089Z");
export const NUL = "\u0000";
export const LONE_SURROGATE = "\ud83d";

// Builders: valid inputs. A test names only the parts that it is about.

export function aRun(overrides: Partial<CreateRunInput> = {}): CreateRunInput {
  return {
    workflowId: "invoices",
    workflowName: "Invoices",
    workflowType: "invoices",
    input: { file: "invoice.pdf" },
    ...overrides,
  };
}

export function aStage(
  workflowRunId: string,
  overrides: Partial<CreateStageInput> = {},
): CreateStageInput {
  return {
    workflowRunId,
    stageId: "extract",
    stageName: "Extract",
    stageNumber: 1,
    executionGroup: 1,
    ...overrides,
  };
}

export function aLog(overrides: Partial<CreateLogInput> = {}): CreateLogInput {
  return { level: "INFO", message: "one page read", ...overrides };
}

export function anArtifact(
  workflowRunId: string,
  overrides: Partial<SaveArtifactInput> = {},
): SaveArtifactInput {
  return {
    workflowRunId,
    key: "report.json",
    type: "ARTIFACT",
    data: { pages: 1 },
    size: 11,
    ...overrides,
  };
}

export function anAnnotation(
  workflowRunId: string,
  overrides: Partial<CreateAnnotationInput> = {},
): CreateAnnotationInput {
  return { workflowRunId, scope: "run", key: "review.verdict", value: "fine", ...overrides };
}

export function anEvent(
  workflowRunId: string,
  overrides: Partial<CreateOutboxEventInput> = {},
): CreateOutboxEventInput {
  return {
    workflowRunId,
    eventType: "stage:completed",
    payload: { stage: "extract" },
    causationId: "command-1",
    occurredAt: INSTANT,
    ...overrides,
  };
}

/** Events of one run, told apart by their types. */
export function eventsOf(workflowRunId: string, ...types: string[]): CreateOutboxEventInput[] {
  return types.map((eventType) => anEvent(workflowRunId, { eventType }));
}

export function aJob(
  workflowRunId: string,
  overrides: Partial<EnqueueJobInput> = {},
): EnqueueJobInput {
  return { workflowRunId, workflowId: "invoices", stageId: "extract", ...overrides };
}

export function anAICall(overrides: Partial<CreateAICallInput> = {}): CreateAICallInput {
  return {
    topic: "workflow.run-1",
    callType: "text",
    modelKey: "small",
    modelId: "vendor/small-1",
    prompt: "How many pages?",
    response: "One.",
    inputTokens: 10,
    outputTokens: 2,
    cost: 0.01,
    ...overrides,
  };
}

// Seeds: rows that exist before the test begins.

export function seedRun(
  backend: ConformanceBackend,
  overrides: Partial<CreateRunInput> = {},
): Promise<WorkflowRunRecord> {
  return backend.persistence.createRun(aRun(overrides));
}

export async function seedRunningRun(
  backend: ConformanceBackend,
  overrides: Partial<CreateRunInput> = {},
): Promise<WorkflowRunRecord> {
  const { id } = await seedRun(backend, overrides);
  await backend.persistence.updateRun(id, { status: "RUNNING" });
  return theRun(backend, id);
}

export function seedStage(
  backend: ConformanceBackend,
  workflowRunId: string,
  overrides: Partial<CreateStageInput> = {},
): Promise<WorkflowStageRecord> {
  return backend.persistence.createStage(aStage(workflowRunId, overrides));
}

export async function seedEvents(
  backend: ConformanceBackend,
  workflowRunId: string,
  ...types: string[]
): Promise<OutboxRecord[]> {
  await backend.persistence.appendOutboxEvents(eventsOf(workflowRunId, ...types));
  const waiting = await backend.persistence.getUnpublishedOutboxEvents(1_000);
  return waiting.filter((event) => event.workflowRunId === workflowRunId).slice(-types.length);
}

/** Enqueues one job and has this connection dequeue it. */
export async function deliver(
  backend: ConformanceBackend,
  job: EnqueueJobInput,
): Promise<DequeueResult> {
  await backend.jobs.enqueue(job);
  return present(await backend.jobs.dequeue());
}

/** Ends every lease and has this connection dequeue the best of the jobs that became free. */
export async function redeliver(backend: ConformanceBackend): Promise<DequeueResult> {
  await endAllLeases(backend);
  return present(await backend.jobs.dequeue());
}

/** A threshold below zero lies in the future, so every lease is older. */
export function endAllLeases(backend: ConformanceBackend): Promise<number> {
  return backend.jobs.releaseStaleJobs(-AN_HOUR_MS);
}

// Reads of a row that must be there.

type Reader = Pick<ConformanceBackend, "persistence"> | WorkflowPersistence;

function readerOf(reader: Reader): WorkflowPersistence {
  return "persistence" in reader ? reader.persistence : reader;
}

export async function theRun(reader: Reader, id: string): Promise<WorkflowRunRecord> {
  return present(await readerOf(reader).getRun(id));
}

export async function theStage(reader: Reader, id: string): Promise<WorkflowStageRecord> {
  return present(await readerOf(reader).getStageById(id));
}

export async function theJob(
  backend: ConformanceBackend,
  runId: string,
  jobId: string,
): Promise<JobRecord> {
  const jobs = await backend.jobs.getJobsByWorkflowRun(runId);
  return present(jobs.find((job) => job.id === jobId));
}

export async function keysOfAnnotations(reader: Reader, runId: string): Promise<string[]> {
  return (await readerOf(reader).listAnnotations(runId)).map((annotation) => annotation.key);
}

// Time.

export function fromNow(ms: number): Date {
  return new Date(Date.now() + ms);
}

export function shifted(instant: Date, ms: number): Date {
  return new Date(instant.getTime() + ms);
}

/** Lets the adapter's clock move on, where two instants have to differ. */
export async function nap(ms = 10): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

// Values.

/** Gets a value past the compiler that no typed caller could pass. */
export function forced<T>(value: unknown): T {
  return value as T;
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error("Expected a value, found none.");
  return value;
}

export function at<T>(values: readonly T[], index: number): T {
  return present(values[index]);
}

/** The numbers from 1 to `count`. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

// Outcomes.

/** The error that a promise rejects with. `about` says which of several cases it is. */
export async function rejection(promise: Promise<unknown>, about = ""): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`Expected a rejection, got ${JSON.stringify(value)}. ${about}`);
}

export async function expectCode(
  promise: Promise<unknown>,
  code: ErrorCode,
  about = "",
): Promise<ServiceError> {
  const error = await rejection(promise, about);
  if (!isServiceError(error)) throw new Error(`Expected ${code}, got ${String(error)}. ${about}`);
  expect(error.code, `${error.message} ${about}`).toBe(code);
  return error;
}

export function isLeaseLost(error: unknown): boolean {
  return isServiceError(error) && error.code === "LEASE_LOST";
}

export interface Staleness {
  entity: "WorkflowRun" | "WorkflowStage";
  id: string;
  expected: number;
  actual: number;
}

export async function expectStale(promise: Promise<unknown>, staleness: Staleness): Promise<void> {
  const error = await rejection(promise);
  expect(error).toBeInstanceOf(StaleVersionError);
  expect(error).toMatchObject({ name: "StaleVersionError", ...staleness });
}

/** How every promise ended, successes apart from failures. */
export async function outcomesOf<T>(
  promises: readonly Promise<T>[],
): Promise<{ values: T[]; errors: unknown[] }> {
  const settled = await Promise.allSettled(promises);
  const values: T[] = [];
  const errors: unknown[] = [];
  for (const outcome of settled) {
    if (outcome.status === "fulfilled") values.push(outcome.value);
    else errors.push(outcome.reason);
  }
  return { values, errors };
}

/**
 * Runs a transaction whose first run is disturbed where it calls `disturb`. Answers how often the
 * callback ran.
 */
export async function disturbed<T>(
  backend: ConformanceBackend,
  disturbance: () => Promise<unknown>,
  body: (tx: WorkflowPersistence, disturb: () => Promise<void>) => Promise<T>,
): Promise<{ result: T; runs: number }> {
  let runs = 0;
  const result = await backend.persistence.withTransaction(async (tx) => {
    runs += 1;
    const isFirst = runs === 1;
    return body(tx, async () => {
      if (isFirst) await disturbance();
    });
  });
  return { result, runs };
}
