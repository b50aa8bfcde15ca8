/** Jobs that take a run through its stages: the SQL of their changes. */
import type { ChangeSqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { PARKED_BEFORE, PARKED_FROM, signalPrefix } from "../model/index.ts";
import { untakenSignal } from "./signals.ts";
import { IS_LIVE, remembering, type Statement, statement } from "./sql.ts";

/**
 * The unary plus keeps D1 from walking an index of leased jobs, as it does once it has statistics
 * from a quiet hour.
 */
const OWNED = `"workflow_run_id" = ? AND "ordinal" = ? AND +"status" = 'RUNNING' AND "attempt" = ?`;

export function moveJobs(changes: readonly ChangeOf<"moveJob">[], commitId: string): Statement[] {
  const commits = remembering(commitId, `"commits"`);
  return changes.map((change) => {
    const { workflowRunId, ordinal, attempt, stageId, tries, to, at } = change;
    const { set, from } = movedTo(change);
    return {
      sql:
        `UPDATE "jobs" SET "stage_id" = ?, "max_attempts" = ?, "failures" = 0, "undelivered" = 0, "unanswered" = 0, "last_error" = NULL, ` +
        `"concurrency_key" = ?, "concurrency_limit" = ?, "updated_at" = ?, ${set.sql}"commits" = ${commits.sql}${from.sql} WHERE ${OWNED}`,
      params: [
        stageId,
        attempt + tries - (to.state === "pending" ? 0 : 1),
        change.concurrencyKey,
        change.concurrencyLimit,
        at,
        ...set.params,
        ...commits.params,
        ...from.params,
        workflowRunId,
        ordinal,
        attempt,
      ],
    };
  });
}

/** How a lease ends, in SQL. */
interface Ended {
  /** Assignments with a comma after each; none where the worker goes on. */
  readonly set: Statement;
  /** FROM with what decides, so that it is looked up once for all assignments. */
  readonly from: Statement;
}

const NOTHING = statement("");

function movedTo({ workflowRunId, to }: ChangeOf<"moveJob">): Ended {
  switch (to.state) {
    case "running":
      return { set: NOTHING, from: NOTHING };
    case "pending": {
      const pending = `"status" = 'PENDING', "delayed" = 0, "next_poll_at" = NULL, "worker_id" = NULL, "locked_at" = NULL, `;
      return { set: statement(pending), from: NOTHING };
    }
    case "suspended": {
      const { until, unlessSignal } = to;
      if (unlessSignal === null) {
        const suspended = `"status" = 'SUSPENDED', "next_poll_at" = ?, "resume_at" = ?, "worker_id" = NULL, "locked_at" = NULL, `;
        return { set: statement(suspended, until, until), from: NOTHING };
      }
      const unless = (name: string, value: string) =>
        `"${name}" = CASE WHEN found."signal" THEN "${name}" ELSE ${value} END, `;
      const suspended =
        unless("status", "'SUSPENDED'") +
        unless("next_poll_at", "?") +
        unless("resume_at", "?") +
        unless("worker_id", "NULL") +
        unless("locked_at", "NULL");
      const prefix = signalPrefix(unlessSignal);
      return {
        set: statement(suspended, until, until),
        from: {
          sql: ` FROM (SELECT EXISTS (${untakenSignal("?", "?", "?")}) AS "signal") AS found`,
          // The prefix stands three times in the condition.
          params: [workflowRunId, prefix, prefix, prefix, unlessSignal],
        },
      };
    }
  }
}

export function leaveGroups(
  changes: readonly ChangeOf<"leaveGroup">[],
  commitId: string,
): Statement[] {
  const commits = remembering(commitId, `"commits"`);
  const open = `EXISTS (SELECT 1 FROM json_each(?) AS sibling CROSS JOIN "stages" ON "stages"."workflow_run_id" = ? AND "stages"."stage_id" = sibling.value AND +"stages"."status" ${IS_LIVE})`;
  return changes.map(({ workflowRunId, ordinal, attempt, siblings, at }) => ({
    sql:
      `UPDATE "jobs" SET "status" = 'COMPLETED', "completed_at" = ?, "updated_at" = ?, "commits" = ${commits.sql} ` +
      `WHERE ${OWNED} AND ${open}`,
    params: [
      at,
      at,
      ...commits.params,
      workflowRunId,
      ordinal,
      attempt,
      JSON.stringify(siblings),
      workflowRunId,
    ],
  }));
}

export function dueJobs(changes: readonly ChangeOf<"dueJobs">[], commitId: string): Statement[] {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ workflowRunId, stageId, at }) => ({
    sql:
      `UPDATE "jobs" SET "next_poll_at" = ?, "resume_at" = ?, "updated_at" = ?, "commits" = ${commits.sql} ` +
      `WHERE "workflow_run_id" = ? AND +"status" = 'SUSPENDED' AND ${stageId === null ? `"next_poll_at" >= ? AND "next_poll_at" < ?` : `"stage_id" = ?`}`,
    params: [
      at,
      at,
      at,
      ...commits.params,
      workflowRunId,
      ...(stageId === null ? [PARKED_FROM, PARKED_BEFORE] : [stageId]),
    ],
  }));
}

export const jobMoveChangeSql: ChangeSqlOf<"moveJob" | "leaveGroup" | "dueJobs"> = {
  moveJob: { write: moveJobs },
  leaveGroup: { write: leaveGroups },
  dueJobs: { write: dueJobs },
};
