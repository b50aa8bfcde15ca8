/** Sessions as a Worker has them that brings no client of ours, and so may send anything. */
import { type Change, type Commit, type Guard } from "../../src/changes/index.ts";
import { newCommitId, stageRecordId } from "../../src/model/index.ts";
import { type Query } from "../../src/queries/index.ts";
import type { ErrorCode, ErrorDetails } from "../../src/contract/index.ts";
import { snakeCase } from "../../src/store/names.ts";
import { tables } from "../../schema/tables.ts";
import { aStage } from "../memory/support.ts";
import { env, service } from "../support/env.ts";

/** What any method answers. */
export interface Answer {
  readonly ok: boolean;
  readonly value?: unknown;
  readonly error?: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly details: ErrorDetails;
  };
}

/** The methods of a session, without their types. */
export interface RawSession {
  now(...args: unknown[]): Promise<Answer>;
  read(...args: unknown[]): Promise<Answer>;
  attempt(...args: unknown[]): Promise<Answer>;
  settle(...args: unknown[]): Promise<Answer>;
}

export async function openRaw(): Promise<RawSession> {
  return service.open();
}

export function aCommit(parts: {
  readonly changes?: readonly unknown[];
  readonly guards?: readonly unknown[];
  readonly reads?: readonly unknown[];
}): Commit {
  return {
    id: newCommitId(Date.now()),
    guards: (parts.guards ?? []) as Guard[],
    changes: (parts.changes ?? []) as Change[],
    reads: (parts.reads ?? []) as Query[],
  };
}

/** A stage whose record id belongs to it. */
export function aStageOf(workflowRunId: string, stageId: string, id?: string) {
  return aStage({
    workflowRunId,
    stageId,
    id: id ?? stageRecordId(workflowRunId, stageId, "o1"),
  });
}

/** Rows in all tables together. */
export async function rowsWritten(): Promise<number> {
  // The first run of a workflow leads to it by type and name: a row that is no row of the commit.
  const names = Object.keys(tables)
    .map(snakeCase)
    .filter((name) => name !== "workflows");
  const counts = await env.DB.batch<{ count: number }>(
    names.map((name) => env.DB.prepare(`SELECT count(*) AS "count" FROM "${name}"`)),
  );
  return counts.reduce((sum, { results }) => sum + (results[0]?.count ?? 0), 0);
}

/** The same change with some of its row's members in the place of others. */
export function withRow<C extends { row: object }>(change: C, row: object): object {
  return { ...change, row: { ...change.row, ...row } };
}

/** A stream that ends in the middle, as when the network does. */
export function breakingOff(text: string): ReadableStream {
  let pulled = false;
  const source: UnderlyingByteSource = {
    type: "bytes",
    pull(controller) {
      if (pulled) controller.error(new Error("Network connection lost."));
      else controller.enqueue(new TextEncoder().encode(text));
      pulled = true;
    },
  };
  return new ReadableStream(source);
}
