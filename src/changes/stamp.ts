/**
 * Leases are taken, renewed and ended by the service's clock, whatever a caller's shows: its door puts its own instant in place of the
 * caller's. What a caller says relative to its instant (a lease older than five minutes) keeps its distance. Pure.
 */
import type { Change } from "./change.ts";
import type { Commit } from "./commit.ts";
import { nearestInstant } from "./instant.ts";
import type { Query } from "./query.ts";

export function stamped(commit: Commit, now: number): Commit {
  return {
    ...commit,
    changes: commit.changes.map((change) => stampedChange(change, now)),
    reads: commit.reads.map((query) => stampedRead(query, now)),
  };
}

/** As it is settled: a claim that was stamped has another instant than its caller knows. */
export function withoutStamp(commit: Commit): Commit {
  return {
    ...commit,
    changes: commit.changes.map((change) =>
      change.kind === "claimJobs" ? { ...change, at: 0 } : change,
    ),
  };
}

/** A commit's reads as they are asked again, when their first answer was lost: by the commit alone. */
export function askedAgain(reads: readonly Query[]): Query[] {
  return reads.map((query) => (query.q === "claimedJobs" ? { ...query, since: 0 } : query));
}

function stampedChange(change: Change, now: number): Change {
  switch (change.kind) {
    case "claimJobs":
    case "resumeJobs":
    case "completeJob":
    case "suspendJob":
    case "failJob":
    case "returnJob":
    case "touchJob":
    case "cancelJobs":
      return { ...change, at: now };
    case "releaseJob": {
      const staleBefore = nearestInstant(now - (change.at - change.staleBefore));
      return { ...change, at: now, staleBefore };
    }
    // Their instants are told, and nothing is decided by them; or they are the caller's own to choose.
    case "createRun":
    case "updateRun":
    case "createStage":
    case "updateStage":
    case "upsertStage":
    case "deleteStage":
    case "createLog":
    case "saveArtifact":
    case "deleteArtifact":
    case "appendAnnotation":
    case "appendOutboxEvent":
    case "publishOutboxEvent":
    case "countOutboxRetry":
    case "deadLetterOutboxEvent":
    case "replayOutboxEvent":
    case "acquireIdempotencyKey":
    case "completeIdempotencyKey":
    case "releaseIdempotencyKey":
    case "enqueueJob":
    case "putBackFailure":
    case "attendStage":
    case "recordAiCall":
    case "purgeExpired":
      return change;
  }
}

function stampedRead(query: Query, now: number): Query {
  switch (query.q) {
    case "claimedJobs":
      return { ...query, since: now };
    case "jobStates":
      return { ...query, now };
    default:
      return query;
  }
}
