/** Changes over the in-memory State. What each does is told in changes/change.ts. Pure. */
import type { Change } from "../changes/index.ts";
import { applyEach, applyHeldChange, isHeldChange, type UnheldKind } from "./apply-held.ts";
import { claimJobs, putBackFailure, resumeJobs } from "./apply-jobs.ts";
import { purgeExpired } from "./apply-outbox.ts";
import { createLog, recordAiCall } from "./apply-records.ts";
import { attendStage } from "./apply-runs.ts";
import type { State } from "./state.ts";
import type { Writer } from "./writer.ts";

/** As `applyHeldChanges`, of all changes there are. */
export function applyChanges(state: State, changes: readonly Change[], commitId: string): void {
  applyEach(state, changes, commitId, applyChange);
}

function applyChange(writer: Writer, change: Change): void {
  if (isHeldChange(change)) applyHeldChange(writer, change);
  else applyUnheld(writer, change);
}

function applyUnheld(writer: Writer, change: Extract<Change, { kind: UnheldKind }>): void {
  switch (change.kind) {
    case "createLog":
      return createLog(writer, change);
    case "claimJobs":
      return claimJobs(writer, change);
    case "resumeJobs":
      return resumeJobs(writer, change);
    case "putBackFailure":
      return putBackFailure(writer, change);
    case "attendStage":
      return attendStage(writer, change);
    case "recordAiCall":
      return recordAiCall(writer, change);
    case "purgeExpired":
      return purgeExpired(writer, change);
    default:
      return change satisfies never;
  }
}
