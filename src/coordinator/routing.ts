/** Which commits go through a coordinator. Pure. */
import type { Commit } from "../changes/index.ts";

/** Whether the commit claims one PENDING run and does nothing else. */
export function isClaim(commit: Commit): boolean {
  return claimedRun(commit) !== null;
}

function claimedRun({ guards, changes }: Commit): string | null {
  const [guard] = guards;
  const [change] = changes;
  if (guards.length !== 1 || changes.length !== 1) return null;
  if (guard?.on !== "run" || guard.expect.is !== "status") return null;
  if (guard.expect.status !== "PENDING" || change?.kind !== "updateRun") return null;
  return change.id === guard.id && change.set.status === "RUNNING" ? guard.id : null;
}

/**
 * The run whose coordinator takes the commit: the run that is claimed, or the only run that gets
 * outbox events, unless as a rule nobody else writes to it meanwhile. Null: the commit goes straight
 * to D1.
 */
export function coordinatedRun(commit: Commit): string | null {
  const claimed = claimedRun(commit);
  if (claimed !== null) return claimed;
  const [run, ...others] = runsWithEvents(commit);
  if (run === undefined || others.length > 0) return null;
  return isOfHolder(commit) || creates(commit, run) ? null : run;
}

/** Whether the commit is that of a job's holder: it is fenced by the job's attempt. */
function isOfHolder({ guards }: Commit): boolean {
  return guards.some(
    (guard) =>
      guard.on === "job" && (guard.expect.is === "attempt" || guard.expect.is === "leased"),
  );
}

/** Whether the commit inserts the run, of which nobody else knows yet. */
function creates({ changes }: Commit, run: string): boolean {
  return changes.some((change) => change.kind === "createRun" && change.row.id === run);
}

/** The runs that get outbox events. */
export function runsWithEvents({ changes }: Commit): string[] {
  const runs = changes.flatMap((change) =>
    change.kind === "appendOutboxEvent" ? [change.row.workflowRunId] : [],
  );
  return [...new Set(runs)];
}
