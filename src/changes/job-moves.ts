/**
 * Changes of the jobs that take a run through its stages. Such a job goes from stage to stage, so a
 * chain of stages has one. Pure.
 */
import { list, literal, nullable, object, variants, whole } from "../model/shape.ts";
import { countField, idField, instantField, keyField, ordinalField } from "../model/fields.ts";
import { GROUP_STAGES_MAX, JOB_ATTEMPTS_MAX } from "../model/limits.ts";
import { jobRef } from "../model/row-ref.ts";
import { serviceChange } from "./served-kind.ts";
import { WORK, WRITE } from "./scope.ts";

const leasedJob = { workflowRunId: idField, ordinal: ordinalField, attempt: countField };

export const jobMoveChanges = {
  /**
   * If this attempt has the lease: the job is that of `stageId`, with `tries` tries. failures =
   * undelivered = unanswered = 0, lastError = null, updatedAt = at, and the concurrency key and limit
   * that are given.
   *
   * `running`: this attempt keeps the lease, and works the stage's first try. `pending`: any worker
   * claims it. `suspended`: the service resumes it at `until`; but with `unlessSignal`, if the run has
   * an untaken signal of that name, the job stays as with `running`.
   *
   * `frees`: the concurrency key that the job has left, so that jobs that wait for it are woken.
   */
  moveJob: serviceChange(
    "moveJob",
    {
      ...leasedJob,
      stageId: idField,
      tries: whole({ min: 1, max: JOB_ATTEMPTS_MAX }),
      concurrencyKey: nullable(keyField),
      concurrencyLimit: nullable(whole({ min: 1 })),
      frees: nullable(keyField),
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
      shownIn: () => null,
      // A job that goes on in the hands of its worker wakes nobody, unless it frees a slot.
      settles({ workflowRunId, ordinal, to, frees }) {
        if (frees !== null) return { workflowRunId, ordinal, freed: frees };
        return to.state === "running" ? null : { workflowRunId, ordinal };
      },
    },
  ),

  /**
   * If this attempt has the lease, and one of the run's stages `siblings` is open (PENDING, RUNNING,
   * SUSPENDED): COMPLETED, completedAt = updatedAt = at. If none is open, the job was the last of its
   * group: it stays as it is, and the attempt keeps the lease.
   */
  leaveGroup: serviceChange(
    "leaveGroup",
    { ...leasedJob, siblings: list(idField, GROUP_STAGES_MAX), at: instantField },
    {
      scope: WORK,
      row: (change) => jobRef(change),
      trace: "mark?",
      shownIn: () => null,
      // Jobs may wait for the slot that a completed one leaves.
      settles: ({ workflowRunId, ordinal }) => ({ workflowRunId, ordinal }),
    },
  ),

  /**
   * SUSPENDED jobs of that stage of the run, or, with null for it, those of a paused run: nextPollAt =
   * resumeAt = at, updatedAt = at. `wakes`: how many wake-ups follow.
   */
  dueJobs: serviceChange(
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
      shownIn: () => null,
      wakes: ({ wakes }) => Array.from({ length: wakes }, () => ({ kind: "jobs", at: null })),
    },
  ),
};
