/** Coordinators for tests: of the real namespace, or made over a database with someone on the line. */
import { runInDurableObject } from "cloudflare:test";
import {
  type Change,
  type Commit,
  type CommitOutcome,
  type Guard,
} from "../../src/changes/index.ts";
import { newCommitId } from "../../src/model/index.ts";
import type { Envelope } from "../../src/contract/index.ts";
import { RunCoordinator } from "../../src/coordinator/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { env } from "../support/env.ts";

/** Runs the body where coordinators can be made: in a Durable Object. */
export async function withCoordinators<T>(
  body: (create: (db?: D1Database) => RunCoordinator) => Promise<T>,
): Promise<T> {
  const stub = env.RUNS.getByName(crypto.randomUUID());
  return runInDurableObject(stub, async (_, state) =>
    body((db = env.DB) => new RunCoordinator(state, { DB: db })),
  );
}

export function aCommit(changes: readonly Change[], guards: readonly Guard[] = []): Commit {
  return { id: newCommitId(Date.now()), guards, changes, reads: [] };
}

export function aClaim(id: string): Commit {
  const at = Date.now();
  return aCommit(
    [{ kind: "updateRun", id, set: { status: "RUNNING", startedAt: at }, at, bump: 1 }],
    [{ on: "run", id, expect: { is: "status", status: "PENDING" } }],
  );
}

export function anAppend(workflowRunId: string, eventType = "stage:completed"): Commit {
  return aCommit([
    {
      kind: "appendOutboxEvent",
      row: {
        workflowRunId,
        eventType,
        payload: "{}",
        causationId: "cause",
        occurredAt: 0,
        publishedAt: null,
        retryCount: 0,
        dlqAt: null,
      },
    },
  ]);
}

/** "applied", "refused", or the code of the fault. */
export function outcomeOf(envelope: Envelope<CommitOutcome>): string {
  if (!envelope.ok) return envelope.error.code;
  return envelope.value.applied ? "applied" : "refused";
}

export function count(outcomes: readonly string[], outcome: string): number {
  return outcomes.filter((one) => one === outcome).length;
}

/** The run's events in the order of their sequences. */
export async function eventsOf(
  workflowRunId: string,
): Promise<{ sequence: number; type: string }[]> {
  const { results } = await env.DB.prepare(
    `SELECT "sequence", "event_type" AS "type" FROM "outbox_events" WHERE "workflow_run_id" = ? ORDER BY "sequence"`,
  )
    .bind(workflowRunId)
    .run<{ sequence: number; type: string }>();
  return results;
}

/** Marks runs as watched, as their coordinators do. */
export async function mark(...runs: readonly string[]): Promise<void> {
  const store = new D1Store(env.DB);
  for (const run of runs) await store.markWatched(run);
}

/** A promise that the test resolves itself. */
export function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { given: promise, give: resolve };
}
