/** Queries of runs and stages. What each answers is told in changes/query.ts. Pure. */
import {
  AUDIT_UNPOLLED_MS,
  type AuditRow,
  type FailedJob,
  type JobRow,
  PAGE_ROWS,
  type QueryOf,
  type RunRow,
  type StageRow,
  type UnattendedStage,
  withinBytes,
} from "../changes/index.ts";
import {
  byNumber,
  byText,
  type Compare,
  compareUtf8,
  descending,
  firstBy,
  inTurn,
} from "./order.ts";
import { isLive } from "./queries-jobs.ts";
import { type State, without } from "./state.ts";

const byPriority: Compare<Pick<RunRow, "priority" | "ordinal">> = inTurn(
  descending(byNumber((row) => row.priority)),
  byText((row) => row.ordinal),
);

const byId: Compare<RunRow> = byText((run) => run.id);

export function pendingRuns(state: State, { limit }: QueryOf<"pendingRuns">): RunRow[] {
  return [...state.runs.all()]
    .filter((run) => run.status === "PENDING")
    .toSorted(inTurn(byPriority, byId))
    .slice(0, limit);
}

const byLastUpdate: Compare<Pick<RunRow, "updatedAt" | "ordinal">> = inTurn(
  byNumber((run) => run.updatedAt),
  byText((run) => run.ordinal),
);

export function stuckRuns(state: State, query: QueryOf<"stuckRuns">): RunRow[] {
  const { since, now, after = null, limit } = query;
  const isLeased = (job: JobRow): boolean =>
    job.status === "RUNNING" && job.lockedAt !== null && job.lockedAt > since;
  const isLater = (at: number | null): boolean => at !== null && at > now;
  const anyLeased = [...state.jobs.all()].some(isLeased);
  const isStuck = (run: RunRow): boolean => {
    const stagesOfRun = [...state.stages.part(run.id).values()];
    const jobsOfRun = [...state.jobs.part(run.id).values()];
    return (
      run.status === "RUNNING" &&
      run.updatedAt <= since &&
      stagesOfRun.every(
        (stage) =>
          stage.updatedAt <= since && !(stage.status === "SUSPENDED" && isLater(stage.nextPollAt)),
      ) &&
      jobsOfRun.every(
        (job) =>
          !isLeased(job) && !(job.status === "PENDING" && (anyLeased || isLater(job.nextPollAt))),
      )
    );
  };
  return [...state.runs.all()]
    .filter((run) => isStuck(run) && (after === null || byLastUpdate(run, after) > 0))
    .toSorted(inTurn(byLastUpdate, byId))
    .slice(0, limit);
}

const byPosition: Compare<Pick<StageRow, "executionGroup" | "stageNumber" | "stageId">> = inTurn(
  byNumber((stage) => stage.executionGroup),
  byNumber((stage) => stage.stageNumber),
  byText((stage) => stage.stageId),
);

export function stages(state: State, query: QueryOf<"stages">): StageRow[] {
  const { status, beforeGroup, withoutNextPoll, limit, after = null } = query;
  const order = query.descending ? descending(byPosition) : byPosition;
  const listed = [...state.stages.part(query.workflowRunId).values()]
    .filter((stage) => status === null || stage.status === status)
    .filter((stage) => beforeGroup === null || stage.executionGroup < beforeGroup)
    .filter((stage) => !withoutNextPoll || stage.nextPollAt === null)
    .filter((stage) => after === null || order(stage, after) > 0)
    .toSorted(order)
    .slice(0, limit ?? undefined);
  return withinBytes("stages", listed, query).map((stage) => without(stage, query.omit));
}

export function stageById(state: State, query: QueryOf<"stageById">): StageRow | null {
  const stage = state.stages.get(query.workflowRunId, query.stageId);
  return stage?.id === query.id ? stage : null;
}

const byStagePoll: Compare<Pick<StageRow, "nextPollAt" | "workflowRunId" | "stageId">> = inTurn(
  byNumber((row) => row.nextPollAt ?? 0),
  byText((row) => row.workflowRunId),
  byText((row) => row.stageId),
);

export function suspendedStages(state: State, query: QueryOf<"suspendedStages">): StageRow[] {
  const { before, after, limit = PAGE_ROWS } = query;
  return [...state.stages.all()]
    .filter((stage) => stage.status === "SUSPENDED")
    .filter((stage) => stage.nextPollAt !== null && stage.nextPollAt <= before)
    .filter((stage) => after === null || byStagePoll(stage, after) > 0)
    .toSorted(byStagePoll)
    .slice(0, limit);
}

export function unattendedStages(
  state: State,
  query: QueryOf<"unattendedStages">,
): UnattendedStage[] {
  return [...state.stages.all()]
    .filter(({ attendAt }) => attendAt !== null && attendAt <= query.now)
    .toSorted(
      inTurn<StageRow>(
        byNumber((row) => row.attendAt ?? 0),
        byText((row) => row.workflowRunId),
        byText((row) => row.stageId),
      ),
    )
    .slice(0, query.limit)
    .map((stage) => {
      const { workflowRunId, stageId, nextPollAt } = stage;
      const run = state.runs.get(workflowRunId, "");
      const attended = hasLiveJob(state, stage) ? "attended" : "unattended";
      return {
        workflowRunId,
        stageId,
        nextPollAt,
        workflowId: run?.workflowId ?? null,
        state: isUnfinished(run) ? attended : "over",
      };
    });
}

export function waitingRuns(state: State, { before, limit }: QueryOf<"waitingRuns">): number {
  return pendingRuns(state, { q: "pendingRuns", limit }).filter((run) => run.updatedAt <= before)
    .length;
}

function isUnfinished(row: Pick<RunRow, "status"> | undefined): boolean {
  return row?.status === "PENDING" || row?.status === "RUNNING" || row?.status === "SUSPENDED";
}

function hasLiveJob(state: State, { workflowRunId, stageId }: StageRow): boolean {
  const jobsOfRun = [...state.jobs.part(workflowRunId).values()];
  return jobsOfRun.some((job) => job.stageId === stageId && isLive(job));
}

export function audit(state: State, { now, limit }: QueryOf<"audit">): AuditRow[] {
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
}

function stageProblem(
  state: State,
  stage: StageRow,
  live: readonly StageRow[],
  now: number,
): AuditRow["problem"] | null {
  if (hasLiveJob(state, stage)) return null;
  if (isUnpolled(stage, now)) return "poll-overdue";
  if (stage.status === "SUSPENDED" && stage.nextPollAt !== null) return null;
  const waits = live.some((other) => other.executionGroup < stage.executionGroup);
  if (stage.status === "PENDING" && waits) return null;
  return lastJob(state, stage)?.status === "FAILED" ? "failure-unhandled" : "stage-without-job";
}

function isUnpolled({ status, nextPollAt }: Pick<StageRow, "status" | "nextPollAt">, now: number) {
  return status === "SUSPENDED" && nextPollAt !== null && nextPollAt <= now - AUDIT_UNPOLLED_MS;
}

function lastJob(
  state: State,
  { workflowRunId, stageId }: Pick<StageRow, "workflowRunId" | "stageId">,
): JobRow | null {
  const ofStage = [...state.jobs.part(workflowRunId).values()].filter(
    (job) => job.stageId === stageId,
  );
  return firstBy(ofStage, descending(byText((job) => job.ordinal)));
}

export function unhandledFailures(
  state: State,
  { now, limit }: QueryOf<"unhandledFailures">,
): FailedJob[] {
  return [...state.jobs.all()]
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
      state: leftBy(state, job),
    }));
}

function leftBy(state: State, job: JobRow): FailedJob["state"] {
  const run = state.runs.get(job.workflowRunId, "");
  if (!isUnfinished(run)) return "closed";
  const jobsOfRun = [...state.jobs.part(job.workflowRunId).values()];
  const isLater = (other: JobRow) =>
    other.stageId === job.stageId && compareUtf8(other.ordinal, job.ordinal) > 0;
  if (jobsOfRun.some(isLater)) return "closed";
  if (isUnfinished(state.stages.get(job.workflowRunId, job.stageId))) return "open";
  const waits = [...state.stages.part(job.workflowRunId).values()].some(
    ({ status, nextPollAt }) => status === "SUSPENDED" && nextPollAt !== null,
  );
  return run?.status === "PENDING" || waits || jobsOfRun.some(isLive) ? "busy" : "open";
}

function jobProblem(state: State, job: JobRow, now: number): AuditRow["problem"] | null {
  const run = state.runs.get(job.workflowRunId, "");
  const unfinished = run?.status === "RUNNING" || run?.status === "SUSPENDED";
  if (unfinished && isUnpolled(job, now)) return "poll-overdue";
  if (job.status === "RUNNING" && job.lockedAt === null) return "lease-without-start";
  return job.status === "SUSPENDED" && job.nextPollAt === null ? "wait-without-end" : null;
}
