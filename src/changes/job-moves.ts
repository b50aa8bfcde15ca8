/**
 * Changes of the jobs that take a run through its stages. Such a job goes from stage to stage, so a
 * chain of stages has one. Pure.
 */
import { list, literal, nullable, object, variants, whole } from "../model/shape.ts";
import { countField, idField, instantField, keyField, ordinalField } from "../model/fields.ts";
import { type JobRow, nextSignal } from "../model/index.ts";
import { GROUP_STAGES_MAX, JOB_ATTEMPTS_MAX } from "../model/limits.ts";
import { jobRef } from "../model/row-ref.ts";
import { isLive } from "../model/status.ts";
import type { Writer } from "../model/writer.ts";
import { changeKind, type JobKey } from "./change-kind.ts";
import { WORK, WRITE } from "./scope.ts";

const leasedJob = { workflowRunId: idField, ordinal: ordinalField, attempt: countField };

interface Leased extends JobKey {
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

/** Further tries that a group's last job has at least to take its run on. */
export const JOIN_TRIES_MORE = 2;

const UNLEASED = { workerId: null, lockedAt: null } as const;

export const jobMoveChanges = {
  /**
   * If this attempt has the lease: the job is that of `stageId`, with `tries` tries. failures =
   * undelivered = unanswered = 0, lastError = null, updatedAt = at, and the concurrency key and limit
   * that are given.
   *
   * `running`: this attempt keeps the lease, and works the stage's first try. `pending`: any worker
   * claims it. `suspended`: the service resumes it at `until`; but with `unlessSignal`, if the run has
   * an untaken signal of that name, the job stays as with `running`.
   */
  moveJob: changeKind(
    "moveJob",
    {
      ...leasedJob,
      stageId: idField,
      tries: whole({ min: 1, max: JOB_ATTEMPTS_MAX }),
      concurrencyKey: nullable(keyField),
      concurrencyLimit: nullable(whole({ min: 1 })),
      to: variants("state", {
        running: object({ state: literal("running") }),
        pending: object({ state: literal("pending") }),
        suspended: object({
          state: literal("suspended"),
          until: instantField,
          unlessSignal: nullable(idField),
        }),
      }),
      at: instantField,
    },
    {
      scope: WORK,
      row: (change) => jobRef(change),
      trace: "mark?",
      recorded: "never",
      shownIn: () => null,
      // A job that goes on in the hands of its worker wakes nobody.
      settles: ({ workflowRunId, ordinal, to }) =>
        to.state === "running" ? null : { workflowRunId, ordinal },
      apply(writer, change) {
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
            nextSignal(writer.state.signals.part(workflowRunId).values(), to.unlessSignal) !==
              null);
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
    },
  ),

  /**
   * If this attempt has the lease: COMPLETED, completedAt = updatedAt = at, while one of the run's
   * stages `siblings` is open (PENDING, RUNNING, SUSPENDED). Otherwise the job was the last of its
   * group, and the attempt keeps the lease: updatedAt = at. Either way maxAttempts is at least attempt +
   * 2: what follows is no try of the stage, whose own may be used up.
   */
  leaveGroup: changeKind(
    "leaveGroup",
    { ...leasedJob, siblings: list(idField, GROUP_STAGES_MAX), at: instantField },
    {
      scope: WORK,
      row: (change) => jobRef(change),
      trace: "mark?",
      recorded: "never",
      shownIn: () => null,
      apply(writer, change) {
        const job = leased(writer, change);
        if (job === undefined) return;
        const { workflowRunId, siblings, at } = change;
        const open = siblings.some((stageId) => {
          const stage = writer.state.stages.get(workflowRunId, stageId);
          return stage !== undefined && isLive(stage);
        });
        const completed = { status: "COMPLETED", completedAt: at } as const;
        const maxAttempts = Math.max(job.maxAttempts, job.attempt + JOIN_TRIES_MORE);
        put(writer, job, { ...(open ? completed : {}), maxAttempts, updatedAt: at });
      },
    },
  ),

  /**
   * SUSPENDED jobs of the run, with a `stageId` only those of that stage: nextPollAt = resumeAt = at,
   * updatedAt = at. `wakes`: how many wake-ups follow.
   */
  dueJobs: changeKind(
    "dueJobs",
    {
      workflowRunId: idField,
      stageId: nullable(idField),
      wakes: whole({ min: 0, max: GROUP_STAGES_MAX }),
      at: instantField,
    },
    {
      scope: WRITE,
      row: () => null,
      trace: "none",
      stamp: (change, now) => ({ ...change, at: now }),
      recorded: "never",
      shownIn: () => null,
      wakes: ({ wakes }) => Array.from({ length: wakes }, () => ({ kind: "jobs", at: null })),
      apply(writer, { workflowRunId, stageId, at }) {
        for (const job of writer.state.jobs.part(workflowRunId).values()) {
          if (job.status !== "SUSPENDED") continue;
          if (stageId !== null && job.stageId !== stageId) continue;
          put(writer, job, { nextPollAt: at, resumeAt: at, updatedAt: at });
        }
      },
    },
  ),
};
