/**
 * What jobs take that join a transaction. A connection that cannot tell to which transaction a call
 * of `jobs` belongs does without.
 */
import type { CallerChange, Effects, Guard } from "../../changes/index.ts";
import { type SettledJob } from "../../contract/index.ts";
import { joiningJobEffects } from "../../memory/effects/joining-jobs.ts";
import { type JobRow, tokenBefore, tokenOf } from "../../model/index.ts";
import { jobRef, type RowRef, rowName } from "../../model/row-ref.ts";
import { isTerminal } from "../../model/status.ts";
import { hasCode } from "../faults.ts";
import { isJobId, requireKey } from "../job-keys.ts";
import type { Settling } from "../settling.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { LocalCopy } from "./local-copy.ts";
import { guardOfRow, guardsOf, guardsOfQuery } from "./read-set.ts";

/** What a transaction knows. */
export interface Known {
  readonly copy: LocalCopy;
  /** The rows that it wrote, by their names. */
  readonly written: Map<string, RowRef>;
  /** What it has seen, by the guards' names. */
  readonly guards: Map<string, Guard>;
  readonly see: (guards: readonly Guard[]) => void;
}

export interface JoiningJobs {
  /** What the changes of jobs do to the local copy. */
  readonly effects: Effects;
  /** Notes what a change of jobs that was just applied tells beside its row. */
  readonly wrote: (change: CallerChange, known: Known) => void;
  /**
   * The connection was just given this job, outside the transaction. That write is its own doing and
   * no conflict.
   */
  readonly renew: (row: JobRow, known: Known) => void;
  /** Settles one after the other: each may be refused without the others. */
  readonly settleEach: (
    settlings: readonly Settling[],
    unit: UnitOfWork,
    settle: (settling: Settling) => Promise<void>,
  ) => Promise<SettledJob[]>;
}

export const joiningJobs: JoiningJobs = {
  effects: joiningJobEffects,

  wrote(change, { copy, written, see }) {
    if (change.kind === "enqueueJob") {
      const { workflowRunId, ordinal, dedupeKey } = change.row;
      copy.own({ of: "job", workflowRunId, ordinal });
      if (dedupeKey !== null) see(guardsOf(copy.base, { what: "dedupeKey", dedupeKey }));
    }
    if (change.kind === "cancelJobs") {
      for (const job of copy.local.jobs.part(change.workflowRunId).values()) {
        if (job.status === "CANCELLED") written.set(rowName(jobRef(job)), jobRef(job));
      }
    }
  },

  renew(row, { copy, written, guards, see }) {
    const { workflowRunId, ordinal } = row;
    const before = copy.base.jobs.get(workflowRunId, ordinal);
    // Only a row that the transaction has read and not written, and that nobody else has written since.
    if (before === undefined || written.has(rowName(jobRef(row)))) return;
    if (tokenBefore(row) !== tokenOf(before)) return;
    copy.keep("jobs", row);
    for (const [name, guard] of Array.from(guards)) {
      if (guard.on === "list" && guard.list === "jobs" && guard.workflowRunId === workflowRunId) {
        guards.delete(name);
        see(guardsOfQuery(copy.base, { q: "jobs", workflowRunId }));
      } else if (
        guard.on === "job" &&
        guard.workflowRunId === workflowRunId &&
        guard.ordinal === ordinal
      ) {
        guards.delete(name);
        see([guardOfRow(copy.base, guard)]);
      }
    }
  },

  async settleEach(settlings, unit, settle) {
    // Reads beside each other are one round trip.
    const over = await Promise.all(settlings.map(async ({ jobId }) => isOver(unit, jobId)));
    const settled: SettledJob[] = [];
    for (const [place, settling] of settlings.entries()) {
      const fault = await faultOf(settle(settling));
      const outcome = fault ?? (over[place] === true ? "over" : "settled");
      settled.push({ jobId: settling.jobId, outcome });
    }
    return settled;
  },
};

async function faultOf(settled: Promise<void>): Promise<SettledJob["outcome"] | null> {
  try {
    await settled;
    return null;
  } catch (error) {
    if (hasCode(error, "LEASE_LOST")) return "lease-lost";
    if (hasCode(error, "NOT_FOUND")) return "not-found";
    throw error;
  }
}

async function isOver(unit: UnitOfWork, jobId: string): Promise<boolean> {
  if (!isJobId("completeMany", jobId)) return false;
  const query = { q: "job", ...requireKey("completeMany", jobId) } as const;
  const [job] = await unit.call(() => unit.read([query]));
  return job !== null && isTerminal(job);
}
