/**
 * What of the database a transaction's local copy holds. A *facet* is a part that is read at once and of
 * which the copy then knows everything, absent rows included.
 */
import { ANNOTATIONS_LIST_MAX, type Change, type Guard, type Query } from "../changes/index.ts";
import type { HeldQuery } from "../memory/queries-held.ts";

export type Facet =
  /** A run, all its stages, and the sequence of its last outbox event. */
  | { readonly of: "run"; readonly id: string }
  | { readonly of: "artifact"; readonly workflowRunId: string; readonly key: string }
  | { readonly of: "artifacts"; readonly workflowRunId: string }
  | { readonly of: "annotations"; readonly workflowRunId: string }
  | { readonly of: "outboxEvent"; readonly workflowRunId: string; readonly sequence: number }
  | { readonly of: "idempotencyKey"; readonly key: string; readonly commandType: string }
  | { readonly of: "job"; readonly workflowRunId: string; readonly ordinal: string }
  | { readonly of: "jobs"; readonly workflowRunId: string }
  /** The live job with this dedupe key. */
  | { readonly of: "dedupeKey"; readonly dedupeKey: string };

export function facetName(facet: Facet): string {
  return JSON.stringify(Object.values(facet));
}

/** A facet that, when loaded, includes this one. */
export function facetAround(facet: Facet): Facet | null {
  switch (facet.of) {
    case "artifact":
      return { of: "artifacts", workflowRunId: facet.workflowRunId };
    case "job":
      return { of: "jobs", workflowRunId: facet.workflowRunId };
    default:
      return null;
  }
}

/** What a query about one run, key or event needs. */
export function facetOfQuery(query: HeldQuery): Facet {
  switch (query.q) {
    case "run":
    case "runStatus":
      return { of: "run", id: query.id };
    case "stage":
    case "stageById":
    case "stages":
    case "outboxTail":
      return { of: "run", id: query.workflowRunId };
    case "artifact":
    case "hasArtifact":
      return { of: "artifact", workflowRunId: query.workflowRunId, key: query.key };
    case "artifacts":
      return { of: "artifacts", workflowRunId: query.workflowRunId };
    case "annotations":
      return { of: "annotations", workflowRunId: query.workflowRunId };
    case "outboxEvent":
      return { of: "outboxEvent", workflowRunId: query.workflowRunId, sequence: query.sequence };
    case "idempotencyKey":
      return { of: "idempotencyKey", key: query.key, commandType: query.commandType };
    case "job":
      return { of: "job", workflowRunId: query.workflowRunId, ordinal: query.ordinal };
    case "liveJob":
      return { of: "dedupeKey", dedupeKey: query.dedupeKey };
    case "jobs":
    case "cancelledJobs":
      return { of: "jobs", workflowRunId: query.workflowRunId };
  }
}

export function facetOfGuard(guard: Guard): Facet {
  switch (guard.on) {
    case "run":
      return { of: "run", id: guard.id };
    case "stage":
    case "outboxTail":
      return { of: "run", id: guard.workflowRunId };
    case "artifact":
      return { of: "artifact", workflowRunId: guard.workflowRunId, key: guard.key };
    case "outboxEvent":
      return { of: "outboxEvent", workflowRunId: guard.workflowRunId, sequence: guard.sequence };
    case "idempotencyKey":
      return { of: "idempotencyKey", key: guard.key, commandType: guard.commandType };
    case "job":
      return { of: "job", workflowRunId: guard.workflowRunId, ordinal: guard.ordinal };
    case "dedupeKey":
      return { of: "dedupeKey", dedupeKey: guard.dedupeKey };
    case "list":
      return guard.list === "stages"
        ? { of: "run", id: guard.workflowRunId }
        : { of: guard.list, workflowRunId: guard.workflowRunId };
  }
}

/** What a change needs before the local copy can show its effect; null for what nobody can read back. */
export function facetOfChange(change: Change): Facet | null {
  switch (change.kind) {
    case "createRun":
      return { of: "run", id: change.row.id };
    case "updateRun":
      return { of: "run", id: change.id };
    case "createStage":
    case "upsertStage":
    case "appendOutboxEvent":
      return { of: "run", id: change.row.workflowRunId };
    case "updateStage":
    case "deleteStage":
      return { of: "run", id: change.workflowRunId };
    case "saveArtifact":
      return { of: "artifact", workflowRunId: change.row.workflowRunId, key: change.row.key };
    case "deleteArtifact":
      return { of: "artifact", workflowRunId: change.workflowRunId, key: change.key };
    case "publishOutboxEvent":
    case "countOutboxRetry":
    case "deadLetterOutboxEvent":
    case "replayOutboxEvent":
      return {
        of: "outboxEvent",
        workflowRunId: change.workflowRunId,
        sequence: change.sequence,
      };
    case "acquireIdempotencyKey":
    case "completeIdempotencyKey":
    case "releaseIdempotencyKey":
      return { of: "idempotencyKey", key: change.key, commandType: change.commandType };
    case "completeJob":
    case "suspendJob":
    case "failJob":
    case "returnJob":
    case "touchJob":
    case "releaseJob":
      return { of: "job", workflowRunId: change.workflowRunId, ordinal: change.ordinal };
    case "cancelJobs":
      return { of: "jobs", workflowRunId: change.workflowRunId };
    case "appendAnnotation":
      return { of: "annotations", workflowRunId: change.row.workflowRunId };
    case "enqueueJob": {
      const { dedupeKey } = change.row;
      return dedupeKey === null ? null : { of: "dedupeKey", dedupeKey };
    }
    case "createLog":
    case "claimJobs":
    case "resumeJobs":
    case "putBackFailure":
    case "attendStage":
    case "recordAiCall":
    case "purgeExpired":
      return null;
  }
}

/** The queries that load a facet. */
export function loadQueries(facet: Facet): Query[] {
  switch (facet.of) {
    case "run":
      return [
        { q: "run", id: facet.id },
        {
          q: "stages",
          workflowRunId: facet.id,
          status: null,
          beforeGroup: null,
          withoutNextPoll: false,
          descending: false,
          limit: null,
        },
        { q: "outboxTail", workflowRunId: facet.id },
      ];
    case "artifact":
      return [{ q: "artifact", workflowRunId: facet.workflowRunId, key: facet.key }];
    case "artifacts":
      return [{ q: "artifacts", workflowRunId: facet.workflowRunId }];
    case "annotations":
      return [
        {
          q: "annotations",
          workflowRunId: facet.workflowRunId,
          // One more than it may hold, to tell.
          filters: { limit: ANNOTATIONS_LIST_MAX + 1 },
        },
      ];
    case "outboxEvent":
      return [{ q: "outboxEvent", workflowRunId: facet.workflowRunId, sequence: facet.sequence }];
    case "idempotencyKey":
      return [{ q: "idempotencyKey", key: facet.key, commandType: facet.commandType }];
    case "job":
      return [{ q: "job", workflowRunId: facet.workflowRunId, ordinal: facet.ordinal }];
    case "jobs":
      return [{ q: "jobs", workflowRunId: facet.workflowRunId }];
    case "dedupeKey":
      return [{ q: "liveJob", dedupeKey: facet.dedupeKey }];
  }
}
