/**
 * The hand-over: a job that has failed for good is given to `jobFailed` until it has left nothing
 * open. Each failure is put back behind the others before the handler is called for it, for a pause
 * that grows, so that one that cannot be handed over delays no other.
 */
import type { Change, Store } from "../changes/index.ts";
import type { FailedDelivery, JobRecord, Status, WorkflowStageRecord } from "../contract/index.ts";
import {
  decodeText,
  type FailedJob,
  HAND_OVER_MAX_MS,
  HAND_OVER_MIN_MS,
  joinId,
  newCommitId,
} from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { Connection } from "../persistence/connection.ts";

/** Calls of the handler at one time, for failures that it is called for the first time. */
const AT_ONCE = 10;
/** Failures of one page, each with an error of up to 64 KB. */
const LOOKED_AT = 100;
/** Pages that one wake-up reads. The sweep sends a wake-up for what is left. */
const PAGES_MAX = 100;
/** No page begins later than this after the first one: a consumer has 15 minutes. */
const MS_MAX = 600_000;

/** Deals with one failure: calls `jobFailed`, or ends stage and run where the handler has none. */
export type HandsOver = (failed: FailedDelivery) => Promise<unknown>;

export interface HandOverOptions {
  readonly store: Store;
  readonly callsMax: number;
  /**
   * Called once a failure is found.
   * @throws HandlerAway, before any failure is put back.
   */
  readonly handler: () => Promise<HandsOver>;
}

/**
 * Hands over up to `callsMax` due failures. A failure whose call throws is logged, and comes again
 * after its pause.
 *
 * New failures are handed over ten at a time. Each of the others has failed to be handed over, and
 * its call may have killed the Worker: so they come after the new ones, one at a time.
 */
export async function handOverFailures({
  store,
  callsMax,
  handler,
}: HandOverOptions): Promise<void> {
  const startedAt = await store.now();
  let handsOver: HandsOver | null = null;
  let callsLeft = callsMax;
  for (let page = 0; page < PAGES_MAX && callsLeft > 0; page += 1) {
    const now = await store.now();
    if (now - startedAt >= MS_MAX) return;
    const [failures] = await store.read([{ q: "unhandledFailures", now, limit: LOOKED_AT }]);
    if (failures.length === 0) return;
    handsOver ??= await handler();
    const open = failures.filter(({ state }) => state === "open");
    const fresh = open.filter(({ completedAt, handOverAt }) => handOverAt === completedAt);
    const called =
      fresh.length > 0 ? fresh.slice(0, Math.min(callsLeft, AT_ONCE)) : open.slice(0, 1);
    const settled = failures.filter(({ state }) => state !== "open");
    await putBack(store, [...settled, ...called]);
    const calling = handsOver;
    await Promise.all(called.map(async (failed) => handedOver(toFailedDelivery(failed), calling)));
    callsLeft -= called.length;
    if (failures.length < LOOKED_AT && called.length === open.length) return;
  }
}

async function handedOver(failed: FailedDelivery, handsOver: HandsOver): Promise<void> {
  try {
    await handsOver(failed);
  } catch (fault) {
    console.error("wfe-failure-not-handled", failed.jobId, fault);
  }
}

/** Closed failures leave the line; all others go to its end. Applied twice, it does no harm. */
export async function putBack(store: Store, failures: readonly FailedJob[]): Promise<void> {
  if (failures.length === 0) return;
  const now = await store.now();
  const changes = failures.map(({ workflowRunId, ordinal, completedAt, state }): Change => {
    const ageMs = now - (completedAt ?? now);
    const pauseMs = Math.min(Math.max(ageMs, HAND_OVER_MIN_MS), HAND_OVER_MAX_MS);
    const dueAt = state === "closed" ? null : now + pauseMs;
    return { kind: "putBackFailure", workflowRunId, ordinal, dueAt };
  });
  await store.attempt({ id: newCommitId(now), guards: [], changes, reads: [] });
}

function toFailedDelivery({
  workflowRunId,
  ordinal,
  workflowId,
  stageId,
  attempt,
  lastError,
}: FailedJob): FailedDelivery {
  return {
    jobId: joinId(workflowRunId, ordinal),
    workflowRunId,
    workflowId,
    stageId,
    attempt,
    error: lastError === null ? null : decodeText(lastError),
  };
}

/**
 * What the service does for a handler without `jobFailed`: the stage and its run end as FAILED, in
 * one transaction, and the run's log says why. Nothing happens if the job has left nothing open any
 * more. Other jobs of the run go on.
 */
export async function endFailed(
  { persistence, jobs }: Pick<Connection, "persistence" | "jobs">,
  { jobId, workflowRunId, stageId, error }: FailedDelivery,
  now: number,
): Promise<void> {
  const errorMessage = error ?? "The job failed";
  const completedAt = new Date(now);
  const ended = await persistence.withTransaction(async (tx) => {
    const run = await tx.getRun(workflowRunId);
    if (run === null || !isLive(run)) return false;
    const stages = await tx.getStagesByRun(workflowRunId);
    const stage = stages.find((each) => each.stageId === stageId);
    // Asked again, since the run may have gone on after the failure was read.
    const jobsOfRun = await jobs.getJobsByWorkflowRun(workflowRunId);
    if (goesOn({ jobId, stageId, stage }, run.status, stages, jobsOfRun)) return false;
    const since = (startedAt: Date | null) =>
      startedAt === null ? {} : { duration: now - startedAt.getTime() };
    const failed = { status: "FAILED", completedAt } as const;
    if (stage !== undefined && isLive(stage)) {
      const update = { ...failed, ...since(stage.startedAt), errorMessage, nextPollAt: null };
      await tx.updateStageByRunAndStageId(workflowRunId, stageId, update);
    }
    await tx.updateRun(workflowRunId, { ...failed, ...since(run.startedAt) });
    await tx.createLog({
      workflowRunId,
      ...(stage === undefined ? {} : { workflowStageId: stage.id }),
      level: "ERROR",
      message: `Job ${jobId} of stage ${stageId} failed for good, and its handler has no jobFailed: the run ends as FAILED`,
      metadata: { jobId, stageId, error: errorMessage },
    });
    return true;
  });
  if (ended) console.error("wfe-run-ended-as-failed", jobId, errorMessage);
}

interface Failed {
  readonly jobId: string;
  readonly stageId: string;
  readonly stage: WorkflowStageRecord | undefined;
}

/**
 * Whether something else moves the run on: the same question that the query `unhandledFailures`
 * answers.
 */
function goesOn(
  { jobId, stageId, stage }: Failed,
  runStatus: Status,
  stages: readonly WorkflowStageRecord[],
  jobsOfRun: readonly JobRecord[],
): boolean {
  // The run's jobs come in the order of their ids.
  const later = jobsOfRun.slice(jobsOfRun.findIndex(({ id }) => id === jobId) + 1);
  if (later.some((job) => job.stageId === stageId)) return true;
  if (stage !== undefined && isLive(stage)) return false;
  const waits = stages.some(({ status, nextPollAt }) => status === "SUSPENDED" && nextPollAt);
  return runStatus === "PENDING" || waits || jobsOfRun.some(isLive);
}
