/** What the sweep and the audit ask: work that has come to rest, and rows that nothing makes progress. Pure. */
import { instantField } from "../model/fields.ts";
import {
  AUDIT_FAILURE_MS,
  type AuditRow,
  FAILURES_LOOKED_AT,
  type FailedJob,
  type JobRow,
  type RunRow,
  type StageRow,
  STAGES_LOOKED_AT,
  type UnattendedStage,
} from "../model/index.ts";
import { byNumber, byText, descending, firstBy, inTurn } from "../model/order.ts";
import type { State } from "../model/state.ts";
import { isLive } from "./jobs.ts";
import { queryKind } from "./query-kind.ts";
import { firstPending } from "./runs.ts";
import { rowLimit } from "./members.ts";
import { byStagePoll, isDueForPoll } from "./stages.ts";

function isUnfinished(row: Pick<RunRow, "status"> | undefined): boolean {
  return row?.status === "PENDING" || row?.status === "RUNNING" || row?.status === "SUSPENDED";
}

type StageKey = Pick<StageRow, "workflowRunId" | "stageId">;

function jobsOfStage(state: State, { workflowRunId, stageId }: StageKey): JobRow[] {
  return [...state.jobs.part(workflowRunId).values()].filter((job) => job.stageId === stageId);
}

function lastJob(state: State, stage: StageKey): JobRow | null {
  return firstBy(jobsOfStage(state, stage), descending(byText((job) => job.ordinal)));
}

function stageProblem(
  state: State,
  stage: StageRow,
  live: readonly StageRow[],
  now: number,
): AuditRow["problem"] | null {
  if (stage.status === "SUSPENDED" && stage.nextPollAt !== null) return null;
  if (jobsOfStage(state, stage).some(isLive)) return null;
  const waits = live.some((other) => other.executionGroup < stage.executionGroup);
  if (stage.status === "PENDING" && waits) return null;
  const last = lastJob(state, stage);
  if (last?.status !== "FAILED" || last.completedAt === null) return "stage-without-job";
  return last.completedAt <= now - AUDIT_FAILURE_MS ? "failure-unhandled" : null;
}

function jobProblem(job: JobRow): AuditRow["problem"] | null {
  if (job.status === "RUNNING" && job.lockedAt === null) return "lease-without-start";
  return job.status === "SUSPENDED" && job.nextPollAt === null ? "wait-without-end" : null;
}

export const sweepQueries = {
  /**
   * SUSPENDED stages with nextPollAt <= before that nobody will poll: their run is not finished, and no live job is for them.
   * By (nextPollAt, run, stageId), the first `limit` of the first 10,000 that are due.
   */
  unattendedStages: queryKind(
    "unattendedStages",
    { before: instantField, limit: rowLimit },
    {
      answer: (state, { before, limit }): UnattendedStage[] =>
        [...state.stages.all()]
          .filter((stage) => isDueForPoll(stage, before))
          .toSorted(byStagePoll)
          .slice(0, STAGES_LOOKED_AT)
          .filter((stage) => isUnfinished(state.runs.get(stage.workflowRunId, "")))
          .filter((stage) => !jobsOfStage(state, stage).some(isLive))
          .slice(0, limit)
          .map(({ workflowRunId, stageId, nextPollAt }) => {
            const workflowId = state.runs.get(workflowRunId, "")?.workflowId ?? "";
            return { workflowRunId, stageId, nextPollAt, workflowId };
          }),
    },
  ),

  /** Of the first `limit` PENDING runs by (priority DESC, ordinal), how many were updated at or before `before`. */
  waitingRuns: queryKind(
    "waitingRuns",
    { before: instantField, limit: rowLimit },
    {
      answer: (state, { before, limit }): number =>
        firstPending(state, limit).filter((run) => run.updatedAt <= before).length,
    },
  ),

  /**
   * Rows that are not finished and that nothing will make progress, the first `limit`, in no particular order.
   * - run: RUNNING or SUSPENDED, with neither a stage nor a job that is live.
   * - stage, of such a run, without a live job of its own: RUNNING; SUSPENDED without a nextPollAt; PENDING, and no
   *   stage of an earlier group is live.
   *   If the stage's last job is FAILED, only from AUDIT_FAILURE_MS after it failed.
   * - job: RUNNING without lockedAt; SUSPENDED, or PENDING and delayed, without nextPollAt.
   */
  audit: queryKind(
    "audit",
    { now: instantField, limit: rowLimit },
    {
      answer(state, { now, limit }): AuditRow[] {
        const findings: AuditRow[] = [];
        for (const run of state.runs.all()) {
          if (run.status !== "RUNNING" && run.status !== "SUSPENDED") continue;
          const live = [...state.stages.part(run.id).values()].filter(isUnfinished);
          const busy = live.length > 0 || [...state.jobs.part(run.id).values()].some(isLive);
          const ofRun = { workflowRunId: run.id, status: run.status };
          if (!busy)
            findings.push({ entity: "run", ...ofRun, key: "", problem: "run-without-work" });
          for (const stage of live) {
            const problem = stageProblem(state, stage, live, now);
            if (problem === null) continue;
            const { stageId: key, status } = stage;
            findings.push({ entity: "stage", workflowRunId: run.id, key, status, problem });
          }
        }
        for (const job of state.jobs.all()) {
          const problem = jobProblem(job);
          if (problem === null) continue;
          const { workflowRunId, ordinal, status } = job;
          findings.push({ entity: "job", workflowRunId, key: ordinal, status, problem });
        }
        return findings.slice(0, limit);
      },
    },
  ),

  /**
   * FAILED jobs with completedAt >= since that nobody has drawn the conclusion from: neither their stage nor its run is
   * finished, and the stage has no later job. By (completedAt, run, ordinal), the first `limit` of the first 10,000.
   */
  unhandledFailures: queryKind(
    "unhandledFailures",
    { since: instantField, limit: rowLimit },
    {
      answer: (state, { since, limit }): FailedJob[] =>
        [...state.jobs.all()]
          .filter((job) => job.status === "FAILED" && (job.completedAt ?? since - 1) >= since)
          .toSorted(
            inTurn<JobRow>(
              byNumber((job) => job.completedAt ?? 0),
              byText((job) => job.workflowRunId),
              byText((job) => job.ordinal),
            ),
          )
          .slice(0, FAILURES_LOOKED_AT)
          .filter((job) => isUnfinished(state.runs.get(job.workflowRunId, "")))
          .filter((job) => isUnfinished(state.stages.get(job.workflowRunId, job.stageId)))
          .filter((job) => lastJob(state, job) === job)
          .slice(0, limit)
          .map(({ workflowRunId, ordinal, workflowId, stageId, attempt, lastError }) => ({
            workflowRunId,
            ordinal,
            workflowId,
            stageId,
            attempt,
            lastError,
          })),
    },
  ),
};
