/**
 * What a transaction's callback has seen, as guards: the commit lands only if all of it still
 * holds. A row that was read is guarded by its token, a status by the status alone, a list by the
 * tokens of its rows.
 */
import type { Guard, RowGuard } from "../../changes/index.ts";
import { guardedIn, listTokens } from "../../memory/row-guards.ts";
import { tokenOf } from "../../model/index.ts";
import { jobRef, type RowRef } from "../../model/row-ref.ts";
import type { State } from "../../model/state.ts";
import { kindOfQuery, type CallerQuery } from "../../queries/index.ts";
import { findLiveJob } from "../../queries/jobs.ts";
import type { Sees } from "../../queries/query-kind.ts";

const ABSENT = { is: "absent" as const };
const PRESENT = { is: "present" as const };

/** Guards that the row of this guard is as it was read, or still absent. */
export function guardOfRow(base: State, guard: RowGuard): Guard {
  const row = guardedIn(base, guard);
  const expect = row === undefined ? ABSENT : { is: "unchanged" as const, token: tokenOf(row) };
  return { ...guard, expect };
}

/** Guards that the row is as it was read. */
function unchanged(base: State, row: RowRef): Guard[] {
  const guard = absent(row);
  return guard === null ? [] : [guardOfRow(base, guard)];
}

/** The guard that there is no such row; null for tables whose rows are never guarded. */
function absent({ table, part, key }: RowRef): RowGuard | null {
  switch (table) {
    case "runs":
      return { on: "run", id: part, expect: ABSENT };
    case "stages":
      return { on: "stage", workflowRunId: part, stageId: key, expect: ABSENT };
    case "artifacts":
      return { on: "artifact", workflowRunId: part, key, expect: ABSENT };
    case "outboxEvents":
      return { on: "outboxEvent", workflowRunId: part, sequence: Number(key), expect: ABSENT };
    case "idempotencyKeys":
      return { on: "idempotencyKey", key: part, commandType: key, expect: ABSENT };
    case "jobs":
      return { on: "job", workflowRunId: part, ordinal: key, expect: ABSENT };
    default:
      return null;
  }
}

/** The guards of what a query on loaded rows has shown. */
export function guardsOfQuery(base: State, query: CallerQuery): Guard[] {
  const seen = kindOfQuery(query).sees(query);
  return seen === null ? [] : guardsOf(base, seen);
}

/** The guards of what was seen, from the rows as they were loaded. */
export function guardsOf(base: State, seen: Sees): Guard[] {
  switch (seen.what) {
    case "row":
      return unchanged(base, seen.row);
    case "status": {
      const { part: id } = seen.row;
      const status = base.runs.get(id, "")?.status;
      return [{ on: "run", id, expect: status === undefined ? ABSENT : { is: "status", status } }];
    }
    case "presence": {
      const { part: workflowRunId, key } = seen.row;
      const expect = base.artifacts.get(workflowRunId, key) === undefined ? ABSENT : PRESENT;
      return [{ on: "artifact", workflowRunId, key, expect }];
    }
    case "list": {
      const { list, workflowRunId, status } = seen;
      const tokens = listTokens(base, list, workflowRunId, status);
      return [{ on: "list", list, workflowRunId, status, tokens }];
    }
    case "dedupeKey": {
      const job = findLiveJob(base, seen.dedupeKey);
      return job === null
        ? [{ on: "dedupeKey", dedupeKey: seen.dedupeKey }]
        : unchanged(base, jobRef(job));
    }
  }
}
