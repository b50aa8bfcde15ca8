/** The three ways in, each with two connections onto the same data, and what the tests put into them. */
import { connect } from "../../src/client/index.ts";
import {
  type Backend,
  type CreateOutboxEventInput,
  type CreateRunInput,
  type CreateStageInput,
  type EnqueueJobInput,
  isServiceError,
  type OutboxRecord,
  type WorkflowPersistence,
} from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { createMemoryBackend } from "../../src/testing/memory.ts";
import { env, service } from "../support/env.ts";

export interface Way {
  readonly name: string;
  open(): { readonly a: Backend; readonly b: Backend };
}

export const ways: readonly Way[] = [
  {
    name: "embedded",
    open: () => ({ a: embed(env, { workerId: "a" }), b: embed(env, { workerId: "b" }) }),
  },
  {
    name: "over a service binding",
    open: () => ({
      a: connect(service, { workerId: "a" }),
      b: connect(service, { workerId: "b" }),
    }),
  },
  {
    name: "in memory",
    open: () => {
      const memory = createMemoryBackend({ workerId: "a" });
      return { a: memory, b: memory.connect({ workerId: "b" }) };
    },
  },
];

export function newId(): string {
  return crypto.randomUUID();
}

export function runInput(id: string): CreateRunInput {
  return { id, workflowId: "w", workflowName: "w", workflowType: "w", input: null };
}

export async function createRun({ persistence }: Backend): Promise<string> {
  const { id } = await persistence.createRun(runInput(newId()));
  return id;
}

export function stageInput(workflowRunId: string, stageId: string): CreateStageInput {
  return { workflowRunId, stageId, stageName: stageId, stageNumber: 1, executionGroup: 1 };
}

export function jobInput(workflowRunId: string, stageId = "s"): EnqueueJobInput {
  return { workflowRunId, workflowId: "w", stageId };
}

export function event(workflowRunId: string, eventType = "e"): CreateOutboxEventInput {
  const occurredAt = new Date(0);
  return { workflowRunId, eventType, payload: null, causationId: "c", occurredAt };
}

export async function appendEvents(
  { persistence }: Backend,
  workflowRunId: string,
  count: number,
): Promise<void> {
  for (let left = count; left > 0; left -= 500) {
    const size = Math.min(left, 500);
    await persistence.appendOutboxEvents(Array.from({ length: size }, () => event(workflowRunId)));
  }
}

/** The events of one run that wait to be published, as a transaction or a connection lists them. */
export async function waiting(
  persistence: WorkflowPersistence,
  workflowRunId: string,
): Promise<readonly OutboxRecord[]> {
  const page = await persistence.getUnpublishedOutboxEvents(1_000);
  return page.filter((one) => one.workflowRunId === workflowRunId);
}

/** "done", or the code of the error, or its text. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "done";
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

/** Runs `fn` the first time it is called: what others do during the first run of a callback. */
export function once(fn: () => Promise<void>): () => Promise<void> {
  let called = false;
  return async () => {
    if (called) return;
    called = true;
    await fn();
  };
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error("Expected a value");
  return value;
}

/** A value of a type that it does not have: what a caller without types passes. */
export function forced<T>(value: unknown): T {
  return value as T;
}
