/** Changes over the in-memory State. What each does is told in changes/change.ts. Pure. */
import type { Change } from "../changes/index.ts";
import {
  appendAnnotation,
  createLog,
  deleteArtifact,
  recordAiCall,
  saveArtifact,
} from "../changes/records.ts";
import {
  cancelJobs,
  claimJobs,
  completeJob,
  enqueueJob,
  failJob,
  releaseJob,
  resumeJobs,
  returnJob,
  suspendJob,
  touchJob,
} from "../changes/jobs.ts";
import {
  acquireIdempotencyKey,
  appendOutboxEvent,
  completeIdempotencyKey,
  countOutboxRetry,
  deadLetterOutboxEvent,
  lineUpRuns,
  publishOutboxEvent,
  purgeExpired,
  releaseIdempotencyKey,
  replayOutboxEvent,
} from "../changes/outbox.ts";
import {
  createRun,
  createStage,
  deleteStage,
  updateRun,
  updateStage,
  upsertStage,
} from "../changes/runs.ts";
import type { State } from "../model/state.ts";
import { Writer } from "../model/writer.ts";

/**
 * Applies the changes in their order, all of them or none: when it throws, the state is as before.
 * @throws PAYLOAD_TOO_LARGE when a row would grow beyond ROW_BYTES_MAX; INTERNAL when a run, a
 * stage or a job is created that exists already, which a guard should have ruled out.
 */
export function applyChanges(state: State, changes: readonly Change[], commitId: string): void {
  const writer = new Writer(state, commitId);
  try {
    for (const change of changes) applyChange(writer, change);
    lineUpRuns(writer, changes);
  } catch (error) {
    writer.rollBack();
    throw error;
  }
}

function applyChange(writer: Writer, change: Change): void {
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
    case "createLog":
      return createLog(writer, change);
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
    case "claimJobs":
      return claimJobs(writer, change);
    case "resumeJobs":
      return resumeJobs(writer, change);
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
    case "recordAiCall":
      return recordAiCall(writer, change);
    case "purgeExpired":
      return purgeExpired(writer, change);
    default:
      return change satisfies never;
  }
}
