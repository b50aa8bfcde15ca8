/** Jobs that take a run through its stages: the SQL of their changes. */
import type { ChangeSqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { JOIN_TRIES_MORE } from "../changes/job-moves.ts";
import { signalPrefix } from "../model/index.ts";
import { untakenSignal } from "./signals.ts";
import { IS_LIVE, remembering, type Statement } from "./sql.ts";

/**
 * The unary plus keeps D1 from walking an index of leased jobs, as it does once it has statistics
 * from a quiet hour.
 */
const OWNED = `"workflow_run_id" = ? AND "ordinal" = ? AND +"status" = 'RUNNING' AND "attempt" = ?`;

export function moveJobs(changes: readonly ChangeOf<"moveJob">[], commitId: string): Statement[] {
  const commits = remembering(commitId, `"commits"`);
  return changes.map((change) => {
    const { workflowRunId, ordinal, attempt, stageId, tries, to, at } = change;
    const state = movedTo(change);
    return {
      sql:
        `UPDATE "jobs" SET "stage_id" = ?, "max_attempts" = ?, "failures" = 0, "undelivered" = 0, "unanswered" = 0, "last_error" = NULL, ` +
        `"concurrency_key" = ?, "concurrency_limit" = ?, "updated_at" = ?, ${state.sql}"commits" = ${commits.sql} WHERE ${OWNED}`,
      params: [
        stageId,
        attempt + tries - (to.state === "pending" ? 0 : 1),
        change.concurrencyKey,
        change.concurrencyLimit,
        at,
        ...state.params,
        ...commits.params,
        workflowRunId,
        ordinal,
        attempt,
      ],
    };
  });
}

/** The assignments that end the lease, with a comma after each; none where the worker goes on. */
function movedTo({ workflowRunId, to }: ChangeOf<"moveJob">): Statement {
  switch (to.state) {
    case "running":
      return { sql: "", params: [] };
    case "pending":
      return {
        sql: `"status" = 'PENDING', "delayed" = 0, "next_poll_at" = NULL, "worker_id" = NULL, "locked_at" = NULL, `,
        params: [],
      };
    case "suspended": {
      const { until, unlessSignal } = to;
      if (unlessSignal === null) {
        return {
          sql: `"status" = 'SUSPENDED', "next_poll_at" = ?, "resume_at" = ?, "worker_id" = NULL, "locked_at" = NULL, `,
          params: [until, until],
        };
      }
      const stays = `EXISTS (${untakenSignal("?", "?", "?")})`;
      const prefix = signalPrefix(unlessSignal);
      // The prefix stands twice in the condition.
      const asked = [workflowRunId, prefix, prefix, unlessSignal];
      const unless = (column: string, value: string) =>
        `"${column}" = CASE WHEN ${stays} THEN "${column}" ELSE ${value} END, `;
      return {
        sql:
          unless("status", "'SUSPENDED'") +
          unless("next_poll_at", "?") +
          unless("resume_at", "?") +
          unless("worker_id", "NULL") +
          unless("locked_at", "NULL"),
        params: [...asked, ...asked, until, ...asked, until, ...asked, ...asked],
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
  return changes.map(({ workflowRunId, ordinal, attempt, siblings, at }) => {
    const asked = [JSON.stringify(siblings), workflowRunId];
    return {
      sql:
        `UPDATE "jobs" SET "status" = CASE WHEN ${open} THEN 'COMPLETED' ELSE "status" END, ` +
        `"completed_at" = CASE WHEN ${open} THEN ? ELSE "completed_at" END, "max_attempts" = max("max_attempts", "attempt" + ${JOIN_TRIES_MORE}), "updated_at" = ?, "commits" = ${commits.sql} WHERE ${OWNED}`,
      params: [...asked, ...asked, at, at, ...commits.params, workflowRunId, ordinal, attempt],
    };
  });
}

export function dueJobs(changes: readonly ChangeOf<"dueJobs">[], commitId: string): Statement[] {
  const commits = remembering(commitId, `"commits"`);
  return changes.map(({ workflowRunId, stageId, at }) => ({
    sql:
      `UPDATE "jobs" SET "next_poll_at" = ?, "resume_at" = ?, "updated_at" = ?, "commits" = ${commits.sql} ` +
      `WHERE "workflow_run_id" = ? AND +"status" = 'SUSPENDED'${stageId === null ? "" : ` AND "stage_id" = ?`}`,
    params: [at, at, at, ...commits.params, workflowRunId, ...(stageId === null ? [] : [stageId])],
  }));
}

export const jobMoveChangeSql: ChangeSqlOf<"moveJob" | "leaveGroup" | "dueJobs"> = {
  moveJob: { write: moveJobs },
  leaveGroup: { write: leaveGroups },
  dueJobs: { write: dueJobs },
};
