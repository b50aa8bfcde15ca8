/**
 * Outbox events: the SQL of their queries and changes.
 * A sequence is given inside the statement that inserts the event, and D1 runs one batch at a time, so
 * sequences follow the order of commits, without gaps: a commit that fails takes none.
 */
import type { ChangeOf, QueryOf } from "../changes/index.ts";
import { outboxEvents } from "./schema.ts";
import {
  columns,
  propertiesOf,
  remembering,
  selectList,
  sourcesOf,
  type Statement,
  statement,
} from "./sql.ts";

const PROPERTIES = propertiesOf(outboxEvents);
const SELECT = `SELECT ${selectList(PROPERTIES)} FROM "outbox_events"`;
const GIVEN = propertiesOf(outboxEvents, "sequence", "commits");
/** How many waiting events one page looks at, so that a page's cost is bounded while a backlog grows. */
const PAGE_LOOKS_AT = 10_000;

export function selectOutboxEvent(query: QueryOf<"outboxEvent">): Statement {
  return statement(
    `${SELECT} WHERE "workflow_run_id" = ? AND "sequence" = ?`,
    query.workflowRunId,
    query.sequence,
  );
}

export function selectOutboxTail(query: QueryOf<"outboxTail">): Statement {
  return statement(
    `SELECT ifnull(max("sequence"), 0) AS "sequence" FROM "outbox_events" WHERE "workflow_run_id" = ?`,
    query.workflowRunId,
  );
}

export function selectUnpublishedEvents(query: QueryOf<"unpublishedEvents">): Statement {
  const waiting = `SELECT "workflow_run_id", "sequence" FROM "outbox_events" INDEXED BY "outbox_events_waiting_idx" WHERE "published_at" IS NULL AND "dlq_at" IS NULL ORDER BY "workflow_run_id", "sequence" LIMIT ${PAGE_LOOKS_AT}`;
  const ranked = `SELECT *, row_number() OVER (PARTITION BY "workflow_run_id" ORDER BY "sequence") AS "rank" FROM (${waiting})`;
  const page = `SELECT "workflow_run_id", "sequence" FROM (${ranked}) ORDER BY "rank", "workflow_run_id" LIMIT ?`;
  return statement(
    `SELECT ${selectList(PROPERTIES, "event")} FROM (${page}) AS page CROSS JOIN "outbox_events" AS event ` +
      `ON event."workflow_run_id" = page."workflow_run_id" AND event."sequence" = page."sequence" ` +
      `ORDER BY event."workflow_run_id", event."sequence"`,
    query.limit,
  );
}

export function countWaitingEvents({ limit }: QueryOf<"waitingEvents">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM (SELECT 1 FROM "outbox_events" INDEXED BY "outbox_events_waiting_idx" WHERE "published_at" IS NULL AND "dlq_at" IS NULL LIMIT ?)`,
    limit,
  );
}

export function selectOutboxBacklog({ after, limit }: QueryOf<"outboxBacklog">): Statement {
  const place = after === null ? "" : ` AND ("workflow_run_id", "sequence") > (?, ?)`;
  return statement(
    `${SELECT} INDEXED BY "outbox_events_waiting_idx" WHERE "published_at" IS NULL AND "dlq_at" IS NULL${place} ORDER BY "workflow_run_id", "sequence" LIMIT ?`,
    ...(after === null ? [] : [after.workflowRunId, after.sequence]),
    limit,
  );
}

export function selectDeadLetters({ after = null, limit }: QueryOf<"deadLetters">): Statement {
  const place = after === null ? "" : ` AND ("dlq_at", "workflow_run_id", "sequence") > (?, ?, ?)`;
  return statement(
    `${SELECT} INDEXED BY "outbox_events_dlq_idx" WHERE "dlq_at" IS NOT NULL${place} ORDER BY "dlq_at", "workflow_run_id", "sequence" LIMIT ?`,
    ...(after === null ? [] : [after.dlqAt, after.workflowRunId, after.sequence]),
    limit,
  );
}

export function appendOutboxEvents(
  changes: readonly ChangeOf<"appendOutboxEvent">[],
  commitId: string,
) {
  const rows = changes.map(({ row }) => row);
  const last = (column: string) =>
    `(SELECT "${column}" FROM "outbox_events" AS tail WHERE tail."workflow_run_id" = src."workflow_run_id" ORDER BY "sequence" DESC LIMIT 1)`;
  const commits = remembering(commitId, `ifnull(${last("commits")}, '')`);
  return sourcesOf(withOffsets(rows), [...GIVEN, "offset"]).map((source) => {
    // Offsets count within all rows; a later chunk already sees the earlier one's rows.
    const seen = rows.slice(0, source.first);
    const before = `ifnull((SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = src."workflow_run_id"), 0)`;
    return {
      sql:
        `INSERT INTO "outbox_events" (${columns(GIVEN)}, "sequence", "commits") SELECT ${columns(GIVEN)}, ` +
        `ifnull(${last("sequence")}, 0) + "offset" - ${before}, ${commits.sql} FROM ${source.sql}`,
      params: [JSON.stringify(countByRun(seen)), ...commits.params, ...source.params],
    };
  });
}

/** Each row with its place among the rows of its run: 1, 2, ... */
function withOffsets<Row extends { readonly workflowRunId: string }>(rows: readonly Row[]) {
  const counts = new Map<string, number>();
  return rows.map((row) => {
    const offset = (counts.get(row.workflowRunId) ?? 0) + 1;
    counts.set(row.workflowRunId, offset);
    return { ...row, offset };
  });
}

function countByRun(rows: readonly { readonly workflowRunId: string }[]): [string, number][] {
  return [...Map.groupBy(rows, (row) => row.workflowRunId)].map(([run, group]) => [
    run,
    group.length,
  ]);
}

export function publishOutboxEvents(
  changes: readonly ChangeOf<"publishOutboxEvent">[],
  commitId: string,
) {
  return updateEvents(
    changes,
    commitId,
    `"published_at" = ifnull("published_at", src."at"), "dlq_at" = NULL`,
  );
}

export function countOutboxRetries(
  changes: readonly ChangeOf<"countOutboxRetry">[],
  commitId: string,
) {
  return updateEvents(changes, commitId, `"retry_count" = "retry_count" + 1`);
}

export function deadLetterOutboxEvents(
  changes: readonly ChangeOf<"deadLetterOutboxEvent">[],
  commitId: string,
) {
  return updateEvents(
    changes,
    commitId,
    `"dlq_at" = src."at"`,
    ` AND "outbox_events"."published_at" IS NULL`,
  );
}

export function replayOutboxEvents(
  changes: readonly ChangeOf<"replayOutboxEvent">[],
  commitId: string,
) {
  return updateEvents(changes, commitId, `"dlq_at" = NULL, "retry_count" = 0`);
}

function updateEvents(
  changes: readonly {
    readonly workflowRunId: string;
    readonly sequence: number;
    readonly at?: number;
  }[],
  commitId: string,
  set: string,
  condition = "",
): Statement[] {
  const commits = remembering(commitId, `"outbox_events"."commits"`);
  return sourcesOf(changes, ["workflowRunId", "sequence", "at"]).map((source) => ({
    sql:
      `UPDATE "outbox_events" SET ${set}, "commits" = ${commits.sql} FROM ${source.sql} ` +
      `WHERE "outbox_events"."workflow_run_id" = src."workflow_run_id" AND "outbox_events"."sequence" = src."sequence"${condition}`,
    params: [...commits.params, ...source.params],
  }));
}
