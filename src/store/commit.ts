/** The one write path: a commit as one batch. */
import type { Change, ChangeKind, ChangeOf, Commit } from "../changes/index.ts";
import { recordAiCalls } from "./ai-calls.ts";
import { appendAnnotations } from "./annotations.ts";
import { deleteArtifacts, saveArtifacts } from "./artifacts.ts";
import { guardStatements } from "./guards.ts";
import {
  acquireIdempotencyKeys,
  completeIdempotencyKeys,
  purgeExpired,
  releaseIdempotencyKeys,
} from "./idempotency-keys.ts";
import {
  cancelJobs,
  claimJobs,
  completeJobs,
  enqueueJobs,
  failJobs,
  putBackFailures,
  releaseJobs,
  resumeJobs,
  returnJobs,
  suspendJobs,
  touchJobs,
} from "./jobs.ts";
import { createLogs } from "./logs.ts";
import {
  appendOutboxEvents,
  countOutboxRetries,
  deadLetterOutboxEvents,
  lineUpRuns,
  publishOutboxEvents,
  replayOutboxEvents,
} from "./outbox.ts";
import { queryStatements } from "./queries.ts";
import { createRuns, updateRuns } from "./runs.ts";
import { fence, record, recordsItself } from "./settlement.ts";
import { attendStages, createStages, deleteStages, updateStages, upsertStages } from "./stages.ts";
import type { Statement } from "./sql.ts";

/** The SQL of several changes of one kind. */
const CHANGES: {
  readonly [K in ChangeKind]: (
    changes: readonly ChangeOf<K>[],
    commitId: string,
  ) => readonly Statement[];
} = {
  createRun: createRuns,
  updateRun: updateRuns,
  createStage: createStages,
  updateStage: updateStages,
  upsertStage: upsertStages,
  deleteStage: deleteStages,
  createLog: createLogs,
  saveArtifact: saveArtifacts,
  deleteArtifact: deleteArtifacts,
  appendAnnotation: appendAnnotations,
  appendOutboxEvent: appendOutboxEvents,
  publishOutboxEvent: publishOutboxEvents,
  countOutboxRetry: countOutboxRetries,
  deadLetterOutboxEvent: deadLetterOutboxEvents,
  replayOutboxEvent: replayOutboxEvents,
  acquireIdempotencyKey: acquireIdempotencyKeys,
  completeIdempotencyKey: completeIdempotencyKeys,
  releaseIdempotencyKey: releaseIdempotencyKeys,
  enqueueJob: enqueueJobs,
  claimJobs,
  resumeJobs,
  completeJob: completeJobs,
  suspendJob: suspendJobs,
  failJob: failJobs,
  returnJob: returnJobs,
  touchJob: touchJobs,
  releaseJob: releaseJobs,
  putBackFailure: putBackFailures,
  attendStage: attendStages,
  cancelJobs: cancelJobs,
  recordAiCall: recordAiCalls,
  purgeExpired,
};

/** How many of a commit's statements come before the answers to its reads. */
export interface CommitBatch {
  readonly statements: readonly Statement[];
  readonly readsFrom: number;
}

/**
 * The batch of one attempt. In this order: refuse if the commit has been settled; refuse if a guard does not
 * hold; the changes, each kind's neighbours in one statement; the line of the outbox; the reads.
 */
export function commitBatch(commit: Commit, answerBytesMax?: number): CommitBatch {
  const writes = [
    fence(commit.id),
    ...guardStatements(commit.guards),
    ...changeStatements(commit.changes, commit.id),
    ...lineUpRuns(commit.changes),
    ...(recordsItself(commit) ? record(commit.id) : []),
  ];
  return {
    statements: [...writes, ...queryStatements(commit.reads, answerBytesMax)],
    readsFrom: writes.length,
  };
}

function changeStatements(changes: readonly Change[], commitId: string): Statement[] {
  const statements: Statement[] = [];
  let start = 0;
  while (start < changes.length) {
    const first = changes[start];
    if (first === undefined) break;
    let end = start + 1;
    while (changes[end]?.kind === first.kind && !repeats(changes, start, end)) end += 1;
    statements.push(...ofOneKind(first.kind, changes.slice(start, end), commitId));
    start = end;
  }
  return statements;
}

function ofOneKind<K extends ChangeKind>(
  kind: K,
  changes: readonly Change[],
  commitId: string,
): readonly Statement[] {
  const same = changes.filter((change): change is ChangeOf<K> => change.kind === kind);
  return CHANGES[kind](same, commitId);
}

/** Whether the change at `end` writes the row of one before it: one statement would not see the other's effect. */
function repeats(changes: readonly Change[], start: number, end: number): boolean {
  const row = updatedRow(changes[end]);
  if (row === null) return false;
  return changes.slice(start, end).some((change) => updatedRow(change) === row);
}

function updatedRow(change: Change | undefined): string | null {
  switch (change?.kind) {
    case "updateRun":
      return change.id;
    case "updateStage":
    case "attendStage":
      return `${change.workflowRunId}\0${change.stageId}`;
    case "saveArtifact":
      return `${change.row.workflowRunId}\0${change.row.key}`;
    case "publishOutboxEvent":
    case "countOutboxRetry":
    case "deadLetterOutboxEvent":
    case "replayOutboxEvent":
      return `${change.workflowRunId}\0${change.sequence}`;
    case "completeJob":
    case "suspendJob":
    case "failJob":
    case "returnJob":
    case "touchJob":
    case "releaseJob":
    case "putBackFailure":
      return `${change.workflowRunId}\0${change.ordinal}`;
    case "recordAiCall":
      return `${change.row.batchId}\0${change.row.ordinal}`;
    default:
      return null;
  }
}
