/**
 * The late result of a delivery: what it wanted to record after a later attempt had taken over its
 * job. It changes nothing, and is kept: as an annotation of the run, or as a log where there is no
 * such run.
 */
import { type CallerChange, type RowGuard } from "../changes/index.ts";
import { encodeInstant, joinId } from "../model/index.ts";
import type { JobOutcome } from "../contract/index.ts";
import { checkedChanges } from "./encode.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

export interface LateResult {
  readonly workflowRunId: string;
  readonly ordinal: string;
  /** The attempt that was too late. */
  readonly attempt: number;
  /** The attempt that owns the job. */
  readonly owner: number;
  readonly outcome: Exclude<JobOutcome, { status: "settled" }>;
  readonly workerId: string | null;
}

const KEY = "job.late-result";

/**
 * Keeps each late result once, however often it is reported. If an earlier attempt is the owner,
 * nothing is late: then a transaction had read the job before this delivery.
 */
export async function recordLateResults(
  unit: Pick<UnitOfWork, "now" | "ordinal" | "write">,
  reported: readonly LateResult[],
): Promise<void> {
  const late = reported.filter(({ attempt, owner }) => owner > attempt);
  for (const results of Map.groupBy(late, (result) => result.workflowRunId).values()) {
    const [first] = results;
    if (first === undefined) continue;
    const now = await unit.now();
    const guard: RowGuard = { on: "run", id: first.workflowRunId, expect: { is: "present" } };
    const annotations = checkedChanges(
      KEY,
      results.map((result) => annotation(unit.ordinal(now), now, result)),
    );
    const written = await unit.write({ guards: [guard], changes: annotations });
    if (written.applied) continue;
    await unit.write({ changes: results.map((result) => log(now, result)) });
  }
}

function annotation(ordinal: string, now: number, result: LateResult): CallerChange {
  const { workflowRunId, attempt, outcome, workerId } = result;
  const jobId = joinId(workflowRunId, result.ordinal);
  return {
    kind: "appendAnnotation",
    row: {
      workflowRunId,
      ordinal,
      createdAt: now,
      workflowStageRecordId: null,
      attempt,
      scope: "job",
      scopeId: shortened(jobId),
      actorKind: workerId === null ? null : "worker",
      actorId: workerId,
      actorVersion: null,
      key: KEY,
      value: JSON.stringify(told(result)),
      payload: null,
      idempotencyKey: `${jobId}:${attempt}:${outcome.status}`,
    },
  };
}

function log(now: number, result: LateResult): CallerChange {
  const jobId = joinId(result.workflowRunId, result.ordinal);
  return {
    kind: "createLog",
    row: {
      workflowRunId: result.workflowRunId,
      // The same result makes the same ordinal, so that a repeat finds its row.
      ordinal: `${result.ordinal.slice(0, 48)}${result.attempt.toString(36)}${result.outcome.status.slice(0, 1)}`,
      createdAt: now,
      workflowStageId: null,
      level: "WARN",
      message: `A late result of attempt ${result.attempt} of job ${jobId} was not taken`,
      metadata: JSON.stringify(told(result)),
    },
  };
}

/** What the annotation or log says of the result. */
function told({ workflowRunId, ordinal, attempt, owner, outcome }: LateResult) {
  const jobId = joinId(workflowRunId, ordinal);
  const common = { jobId, attempt, ownedByAttempt: owner, outcome: outcome.status };
  switch (outcome.status) {
    case "completed":
      return common;
    case "suspended":
      return {
        ...common,
        until: new Date(encodeInstant(outcome.until, "nextPollAt")).toISOString(),
      };
    case "failed":
      return { ...common, error: outcome.error, retry: outcome.retry ?? true };
  }
}

/**
 * The first part of an id: a scope's id holds 1,024 bytes, and the value has the whole. No
 * character is cut in two.
 */
function shortened(id: string): string {
  return id.slice(0, 256).replace(/[\ud800-\udbff]$/, "");
}
