/** Queries of runs. Pure. */
import { object, nullable, optional } from "../model/shape.ts";
import { idField, instantField, ordinalField } from "../model/fields.ts";
import type { JobRow, RunRow } from "../model/index.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { runRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { queryKind } from "./query-kind.ts";
import { rowLimit } from "./members.ts";

export const byId: Compare<RunRow> = byText((run) => run.id);

const byPriority: Compare<RunRow> = inTurn<RunRow>(
  descending(byNumber((row) => row.priority)),
  byText((row) => row.ordinal),
  byId,
);

export const byLastUpdate: Compare<Pick<RunRow, "updatedAt" | "ordinal">> = inTurn(
  byNumber((run) => run.updatedAt),
  byText((run) => run.ordinal),
);

/** The first PENDING runs, in the order in which they are claimed. */
function firstPending(state: State, limit: number): RunRow[] {
  return [...state.runs.all()]
    .filter((run) => run.status === "PENDING")
    .toSorted(byPriority)
    .slice(0, limit);
}

export const runQueries = {
  /** The run, or null. */
  run: queryKind(
    "run",
    { id: idField },
    {
      sees: ({ id }) => ({ what: "row", row: runRef(id) }),
      answer: (state, { id }): RunRow | null => state.runs.get(id, "") ?? null,
    },
  ),

  /**
   * The run's status alone. A transaction that asks only this conflicts only with a change of the
   * status.
   */
  runStatus: queryKind(
    "runStatus",
    { id: idField },
    {
      sees: ({ id }) => ({ what: "status", row: runRef(id) }),
      answer: (state, { id }): RunRow["status"] | null => state.runs.get(id, "")?.status ?? null,
    },
  ),

  /** The first `limit` PENDING runs, by priority, highest first, then ordinal. */
  pendingRuns: queryKind(
    "pendingRuns",
    { limit: rowLimit },
    {
      answer: (state, { limit }): RunRow[] => firstPending(state, limit),
    },
  ),

  /**
   * RUNNING runs with updatedAt <= since and no stage with updatedAt > since, by updatedAt and
   * ordinal; the first `limit` after the given place, all without a limit. Left out, since they are
   * not stuck:
   * - a run with a SUSPENDED stage whose nextPollAt > now;
   * - a run with a RUNNING job whose lockedAt > since, or a PENDING job whose nextPollAt > now;
   * - a run with a PENDING job, while a RUNNING job of any run has lockedAt > since: it waits its
   *   turn.
   */
  stuckRuns: queryKind(
    "stuckRuns",
    {
      since: instantField,
      now: instantField,
      after: optional(nullable(object({ updatedAt: instantField, ordinal: ordinalField }))),
      limit: optional(rowLimit),
    },
    {
      answer(state, { since, now, after = null, limit }): RunRow[] {
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
                stage.updatedAt <= since &&
                !(stage.status === "SUSPENDED" && isLater(stage.nextPollAt)),
            ) &&
            jobsOfRun.every(
              (job) =>
                !isLeased(job) &&
                !(job.status === "PENDING" && (anyLeased || isLater(job.nextPollAt))),
            )
          );
        };
        return [...state.runs.all()]
          .filter((run) => isStuck(run) && (after === null || byLastUpdate(run, after) > 0))
          .toSorted(inTurn(byLastUpdate, byId))
          .slice(0, limit);
      },
    },
  ),
};
