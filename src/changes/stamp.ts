/**
 * Leases are taken, renewed and ended by the service's clock, whatever a caller's shows: its door puts its own instant in place of the
 * caller's. What a caller says relative to its instant (a lease older than five minutes) keeps its distance. Pure.
 */
import type { Query } from "../queries/index.ts";
import { kindOfChange } from "./change.ts";
import type { Commit } from "./commit.ts";

export function stamped(commit: Commit, now: number): Commit {
  return {
    ...commit,
    changes: commit.changes.map((change) => kindOfChange(change).stamp(change, now)),
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
