/** Answers to the questions of the sweep and the audit. */
import {
  AUDIT_UNPOLLED_MS,
  type AuditRow,
  type FailedJob,
  type JobRow,
  type RunRow,
  type StageRow,
  TYPED_METADATA,
  type UnattendedStage,
} from "../../model/index.ts";
import { byNumber, byText, compareUtf8, descending, firstBy, inTurn } from "../../model/order.ts";
import type { State } from "../../model/state.ts";
import { isLive } from "../../model/status.ts";
import type { StoredAnswers } from "./answers.ts";

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
  if (jobsOfStage(state, stage).some(isLive)) return null;
  if (isUnpolled(stage, now)) return "poll-overdue";
  if (stage.status === "SUSPENDED" && stage.nextPollAt !== null) return null;
  const waits = live.some((other) => other.executionGroup < stage.executionGroup);
  if (stage.status === "PENDING" && waits) return null;
  return lastJob(state, stage)?.status === "FAILED" ? "failure-unhandled" : "stage-without-job";
}

function isUnpolled({ status, nextPollAt }: Pick<StageRow, "status" | "nextPollAt">, now: number) {
  return status === "SUSPENDED" && nextPollAt !== null && nextPollAt <= now - AUDIT_UNPOLLED_MS;
}

/**
 * Whether a failed job has left something open that only its handler can end. `closed`: it never
 * will again; `busy`: something else moves the run on for now.
 */
function leftBy(state: State, job: JobRow): FailedJob["state"] {
  const run = state.runs.get(job.workflowRunId, "");
  if (!isUnfinished(run)) return "closed";
  const isLater = (other: JobRow) => compareUtf8(other.ordinal, job.ordinal) > 0;
  if (jobsOfStage(state, job).some(isLater)) return "closed";
  if (isUnfinished(state.stages.get(job.workflowRunId, job.stageId))) return "open";
  const waits = [...state.stages.part(job.workflowRunId).values()].some(
    ({ status, nextPollAt }) => status === "SUSPENDED" && nextPollAt !== null,
  );
  const works = [...state.jobs.part(job.workflowRunId).values()].some(isLive);
  return run?.status === "PENDING" || waits || works ? "busy" : "open";
}

function jobProblem(state: State, job: JobRow, now: number): AuditRow["problem"] | null {
  const run = state.runs.get(job.workflowRunId, "");
  const goesOn = run?.status === "RUNNING" || run?.status === "SUSPENDED";
  if (goesOn && isUnpolled(job, now)) return "poll-overdue";
  if (job.status === "RUNNING" && job.lockedAt === null) return "lease-without-start";
  return job.status === "SUSPENDED" && job.nextPollAt === null ? "wait-without-end" : null;
}

export const sweepAnswers = {
  unattendedStages: (state, { now, limit }): UnattendedStage[] =>
    [...state.stages.all()]
      .flatMap(({ attendAt, ...stage }) =>
        attendAt !== null && attendAt <= now ? [{ ...stage, attendAt }] : [],
      )
      .toSorted(
        inTurn(
          byNumber((stage) => stage.attendAt),
          byText((stage) => stage.workflowRunId),
          byText((stage) => stage.stageId),
        ),
      )
      .slice(0, limit)
      .map((stage) => {
        const { workflowRunId, stageId, nextPollAt, version, attendAt } = stage;
        const run = state.runs.get(workflowRunId, "");
        const attended = jobsOfStage(state, stage).some(isLive) ? "attended" : "unattended";
        return {
          workflowRunId,
          stageId,
          nextPollAt,
          version,
          attendAt,
          workflowId: run?.workflowId ?? null,
          typed: run?.metadata?.startsWith(TYPED_METADATA) === true ? 1 : 0,
          state: isUnfinished(run) ? attended : "over",
        };
      }),

  waitingRuns(state, { before, limit }): number {
    const waiting = [...state.runs.all()].filter(
      ({ status, createdAt }) => status === "PENDING" && createdAt <= before,
    );
    return Math.min(waiting.length, limit);
  },

  audit(state, { now, limit }): AuditRow[] {
    const findings: AuditRow[] = [];
    for (const run of state.runs.all()) {
      if (run.status !== "RUNNING" && run.status !== "SUSPENDED") continue;
      const live = [...state.stages.part(run.id).values()].filter(isUnfinished);
      const busy = live.length > 0 || [...state.jobs.part(run.id).values()].some(isLive);
      const ofRun = { workflowRunId: run.id, status: run.status };
      if (!busy) findings.push({ entity: "run", ...ofRun, key: "", problem: "run-without-work" });
      for (const stage of live) {
        const problem = stageProblem(state, stage, live, now);
        if (problem === null) continue;
        const { stageId: key, status } = stage;
        findings.push({ entity: "stage", workflowRunId: run.id, key, status, problem });
      }
    }
    for (const job of state.jobs.all()) {
      const problem = jobProblem(state, job, now);
      if (problem === null) continue;
      const { workflowRunId, ordinal, status } = job;
      findings.push({ entity: "job", workflowRunId, key: ordinal, status, problem });
    }
    return findings.slice(0, limit);
  },

  unhandledFailures: (state, { now, limit }): FailedJob[] =>
    [...state.jobs.all()]
      .filter(({ handOverAt }) => handOverAt !== null && handOverAt <= now)
      .toSorted(
        inTurn<JobRow>(
          byNumber((job) => job.handOverAt ?? 0),
          byText((job) => job.workflowRunId),
          byText((job) => job.ordinal),
        ),
      )
      .slice(0, limit)
      .map((job) => ({
        workflowRunId: job.workflowRunId,
        ordinal: job.ordinal,
        workflowId: job.workflowId,
        stageId: job.stageId,
        attempt: job.attempt,
        lastError: job.lastError,
        completedAt: job.completedAt,
        handOverAt: job.handOverAt,
        state: leftBy(state, job),
      })),
} satisfies Partial<StoredAnswers>;
