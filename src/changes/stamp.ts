/**
 * Leases are taken, renewed and ended by the service's clock, whatever a caller's clock shows. The
 * service puts its own instant in the place of the caller's where a commit arrives. A distance that
 * a caller states (a lease older than five minutes) stays the same distance. Pure.
 */
import type { Query } from "../queries/index.ts";
import type { Commit } from "./commit.ts";
import { servedKind } from "./served.ts";

/** The commit with the service's instant where that decides something. */
export function stamped(commit: Commit, now: number): Commit {
  return {
    ...commit,
    changes: commit.changes.map((change) => servedKind(change).stamp(change, now)),
    reads: commit.reads.map((query) => stampedRead(query, now)),
  };
}

/**
 * The commit as it is settled. A claim was stamped with an instant that its caller does not know,
 * so it is settled without its instant.
 */
export function withoutStamp(commit: Commit): Commit {
  return {
    ...commit,
    changes: commit.changes.map((change) =>
      change.kind === "claimJobs" ? { ...change, at: 0 } : change,
    ),
  };
}

/**
 * The reads of a commit when its first answer was lost: its claim is then found by the commit's id
 * alone.
 */
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
