/** Effects on the jobs that take a run through its stages. */
import type { Effects } from "../../changes/index.ts";
import { isParked, type JobRow, nextSignal } from "../../model/index.ts";
import { isLive } from "../../model/status.ts";
import type { Writer } from "../../model/writer.ts";

interface Leased {
  readonly workflowRunId: string;
  readonly ordinal: string;
  readonly attempt: number;
}

/** The job, if this attempt has its lease. */
function leased(writer: Writer, { workflowRunId, ordinal, attempt }: Leased): JobRow | undefined {
  const job = writer.state.jobs.get(workflowRunId, ordinal);
  return job?.status === "RUNNING" && job.attempt === attempt ? job : undefined;
}

function put(writer: Writer, job: JobRow, columns: Partial<JobRow>): void {
  writer.put("jobs", { ...job, ...columns, commits: writer.stamp(job.commits) });
}

const UNLEASED = { workerId: null, lockedAt: null } as const;

export const jobMoveEffects = {
  moveJob(writer, change) {
    const job = leased(writer, change);
    if (job === undefined) return;
    const { workflowRunId, stageId, tries, concurrencyKey, concurrencyLimit, to, at } = change;
    const moved = {
      stageId,
      concurrencyKey,
      concurrencyLimit,
      maxAttempts: job.attempt + tries - 1,
      failures: 0,
      undelivered: 0,
      unanswered: 0,
      lastError: null,
      updatedAt: at,
    };
    if (to.state === "pending") {
      const pending = { status: "PENDING", maxAttempts: job.attempt + tries } as const;
      put(writer, job, { ...moved, ...pending, ...UNLEASED, nextPollAt: null });
      writer.setDelayed(job, false);
      return;
    }
    const stays =
      to.state === "running" ||
      (to.unlessSignal !== null &&
        nextSignal(writer.state.signals.part(workflowRunId).values(), to.unlessSignal) !== null);
    if (stays) put(writer, job, moved);
    else {
      const suspended = {
        status: "SUSPENDED",
        nextPollAt: to.until,
        resumeAt: to.until,
      } as const;
      put(writer, job, { ...moved, ...suspended, ...UNLEASED });
    }
  },

  leaveGroup(writer, change) {
    const job = leased(writer, change);
    if (job === undefined) return;
    const { workflowRunId, siblings, at } = change;
    const open = siblings.some((stageId) => {
      const stage = writer.state.stages.get(workflowRunId, stageId);
      return stage !== undefined && isLive(stage);
    });
    if (open) put(writer, job, { status: "COMPLETED", completedAt: at, updatedAt: at });
  },

  dueJobs(writer, { workflowRunId, stageId, at }) {
    for (const job of writer.state.jobs.part(workflowRunId).values()) {
      if (job.status !== "SUSPENDED") continue;
      if (stageId === null ? !isParked(job) : job.stageId !== stageId) continue;
      put(writer, job, { nextPollAt: at, resumeAt: at, updatedAt: at });
    }
  },
} satisfies Effects;
