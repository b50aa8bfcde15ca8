/** Changes that a transaction applies to its own copy. What each does is told in changes/change.ts. Pure. */
import type { Change } from "../changes/index.ts";
import { appendAnnotation, deleteArtifact, saveArtifact } from "./apply-records.ts";
import {
  cancelJobs,
  completeJob,
  enqueueJob,
  failJob,
  releaseJob,
  returnJob,
  suspendJob,
  touchJob,
} from "./apply-jobs.ts";
import {
  acquireIdempotencyKey,
  appendOutboxEvent,
  completeIdempotencyKey,
  countOutboxRetry,
  deadLetterOutboxEvent,
  lineUpRuns,
  publishOutboxEvent,
  releaseIdempotencyKey,
  replayOutboxEvent,
} from "./apply-outbox.ts";
import {
  createRun,
  createStage,
  deleteStage,
  updateRun,
  updateStage,
  upsertStage,
} from "./apply-runs.ts";
import type { State } from "./state.ts";
import { Writer } from "./writer.ts";

/** Changes that nobody reads back in their transaction, or that are made outside of one. */
export type UnheldKind =
  | "createLog"
  | "claimJobs"
  | "resumeJobs"
  | "putBackFailure"
  | "attendStage"
  | "recordAiCall"
  | "purgeExpired";
const UNHELD: Readonly<Record<UnheldKind, true>> = {
  createLog: true,
  claimJobs: true,
  resumeJobs: true,
  putBackFailure: true,
  attendStage: true,
  recordAiCall: true,
  purgeExpired: true,
};
export type HeldChange = Exclude<Change, { kind: UnheldKind }>;

export function isHeldChange(change: Change): change is HeldChange {
  return !Object.hasOwn(UNHELD, change.kind);
}

/**
 * Applies the changes in their order, all of them or none: when it throws, the state is as before.
 * @throws PAYLOAD_TOO_LARGE when a row would grow beyond ROW_BYTES_MAX; INTERNAL when a run, a
 * stage or a job is created that exists already, which a guard should have ruled out.
 */
export function applyHeldChanges(
  state: State,
  changes: readonly HeldChange[],
  commitId: string,
): void {
  applyEach(state, changes, commitId, applyHeldChange);
}

/** As {@link applyHeldChanges}, of changes that `apply` knows. */
export function applyEach<C extends Change>(
  state: State,
  changes: readonly C[],
  commitId: string,
  apply: (writer: Writer, change: C) => void,
): void {
  const writer = new Writer(state, commitId);
  try {
    for (const change of changes) apply(writer, change);
    lineUpRuns(writer, changes);
  } catch (error) {
    writer.rollBack();
    throw error;
  }
}

export function applyHeldChange(writer: Writer, change: HeldChange): void {
  switch (change.kind) {
    case "createRun":
      return createRun(writer, change);
    case "updateRun":
      return updateRun(writer, change);
    case "createStage":
      return createStage(writer, change);
    case "updateStage":
      return updateStage(writer, change);
    case "upsertStage":
      return upsertStage(writer, change);
    case "deleteStage":
      return deleteStage(writer, change);
    case "saveArtifact":
      return saveArtifact(writer, change);
    case "deleteArtifact":
      return deleteArtifact(writer, change);
    case "appendAnnotation":
      return appendAnnotation(writer, change);
    case "appendOutboxEvent":
      return appendOutboxEvent(writer, change);
    case "publishOutboxEvent":
      return publishOutboxEvent(writer, change);
    case "countOutboxRetry":
      return countOutboxRetry(writer, change);
    case "deadLetterOutboxEvent":
      return deadLetterOutboxEvent(writer, change);
    case "replayOutboxEvent":
      return replayOutboxEvent(writer, change);
    case "acquireIdempotencyKey":
      return acquireIdempotencyKey(writer, change);
    case "completeIdempotencyKey":
      return completeIdempotencyKey(writer, change);
    case "releaseIdempotencyKey":
      return releaseIdempotencyKey(writer, change);
    case "enqueueJob":
      return enqueueJob(writer, change);
    case "completeJob":
      return completeJob(writer, change);
    case "suspendJob":
      return suspendJob(writer, change);
    case "failJob":
      return failJob(writer, change);
    case "returnJob":
      return returnJob(writer, change);
    case "touchJob":
      return touchJob(writer, change);
    case "releaseJob":
      return releaseJob(writer, change);
    case "cancelJobs":
      return cancelJobs(writer, change);
    default:
      return change satisfies never;
  }
}
