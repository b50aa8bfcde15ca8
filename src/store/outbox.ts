/**
 * Outbox events: the SQL of their queries and changes.
 * A sequence is given inside the statement that inserts the event, and D1 runs one batch at a time, so
 * sequences follow the order of commits, without gaps: a commit that fails takes none.
 *
 * Runs with waiting events stand in a line. A run's place is the `turn` of its first waiting event; no other event has one. A run
 * joins at the end, and goes to the end when that event is published, dies, is replayed, or could not be published once more.
 */
import { aRowOf, count, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type Change, type ChangeOf, runsToLineUp } from "../changes/index.ts";
import {
  COUNT_MAX_MS,
  COUNT_MIN_MS,
  type NewOutboxEventRow,
  RETRY_EXPONENT_MAX,
} from "../model/index.ts";
import type { QueryOf } from "../queries/index.ts";
import { outboxEvents } from "./schema.ts";
import {
  columns,
  longTextSql,
  propertiesOf,
  remembering,
  selectList,
  sourcesOf,
  type Statement,
  statement,
} from "./sql.ts";

export const OUTBOX_PROPERTIES = propertiesOf(outboxEvents, "turn");
const SELECT = `SELECT ${selectList(OUTBOX_PROPERTIES)} FROM "outbox_events"`;
const GIVEN = propertiesOf(outboxEvents, "sequence", "commits", "turn", "countAfter");
const WAITS = `"published_at" IS NULL AND "dlq_at" IS NULL`;
/** The turn of the next one that goes to the end of the line. */
const END_OF_LINE = `(SELECT ifnull(max("turn"), 0) + 1 FROM "outbox_events" INDEXED BY "outbox_events_turn_idx" WHERE "turn" IS NOT NULL)`;

/** The sequence of the first waiting event of a run, or the first behind a sequence. */
function firstWaiting(run: string, behind?: string): string {
  const later = behind === undefined ? "" : ` AND waiting."sequence" > ${behind}`;
  return `(SELECT waiting."sequence" FROM "outbox_events" AS waiting INDEXED BY "outbox_events_waiting_idx" WHERE waiting."workflow_run_id" = ${run}${later} AND waiting."published_at" IS NULL AND waiting."dlq_at" IS NULL ORDER BY waiting."sequence" LIMIT 1)`;
}

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

/**
 * A queue of its own: each run that is taken out, by rank and then by turn, is put back with its next event. So no more is looked at
 * than is answered, however much waits.
 */
export function selectUnpublishedEvents({
  limit,
  bytesMax,
}: QueryOf<"unpublishedEvents">): Statement {
  const heads = `SELECT "turn", "workflow_run_id", "sequence" FROM "outbox_events" INDEXED BY "outbox_events_turn_idx" WHERE "turn" IS NOT NULL ORDER BY "turn", "workflow_run_id" LIMIT ?1`;
  const next =
    `SELECT page."rank" + 1, page."turn", page."run", next."sequence" FROM page CROSS JOIN "outbox_events" AS next ` +
    `ON next."workflow_run_id" = page."run" AND next."sequence" = ${firstWaiting(`page."run"`, `page."sequence"`)}`;
  const page = `WITH RECURSIVE page("rank", "turn", "run", "sequence") AS (SELECT 1, * FROM (${heads}) AS head UNION ALL ${next} ORDER BY 1, 2, 3 LIMIT ?1)`;
  const events = (of: string) =>
    `${of} CROSS JOIN "outbox_events" AS event ON event."workflow_run_id" = page."run" AND event."sequence" = page."sequence"`;
  const inOrder = `ORDER BY page."rank", page."turn", page."run"`;
  const select = `SELECT ${selectList(OUTBOX_PROPERTIES, "event")} FROM`;
  const bytes = longTextSql("outboxEvents", [], "event");
  if (bytesMax === undefined || bytes === null) {
    return statement(`${page} ${select} ${events("page")} ${inOrder}`, limit);
  }
  // Their sizes are looked at first, and only what is answered is read.
  const sized = `SELECT page.*, ${bytes} AS "bytes" FROM ${events("page")}`;
  const measured = `(SELECT *, sum("bytes") OVER (ORDER BY "rank", "turn", "run" ROWS UNBOUNDED PRECEDING) - "bytes" AS "before" FROM (${sized})) AS page`;
  return statement(
    `${page} ${select} ${events(measured)} WHERE page."before" < ?2 ${inOrder}`,
    limit,
    bytesMax,
  );
}

export function countWaitingEvents({ limit }: QueryOf<"waitingEvents">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM (SELECT 1 FROM "outbox_events" INDEXED BY "outbox_events_waiting_idx" WHERE ${WAITS} LIMIT ?)`,
    limit,
  );
}

export function selectOutboxBacklog({ after, limit }: QueryOf<"outboxBacklog">): Statement {
  const place = after === null ? "" : ` AND ("workflow_run_id", "sequence") > (?, ?)`;
  return statement(
    `${SELECT} INDEXED BY "outbox_events_waiting_idx" WHERE ${WAITS}${place} ORDER BY "workflow_run_id", "sequence" LIMIT ?`,
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
  return sourcesOf(withOffsets(rows), [...GIVEN, "offset", "first"]).map((source) => {
    // Offsets count within all rows; a later chunk already sees the earlier one's rows.
    const seen = rows.slice(0, source.first);
    const before = `ifnull((SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = src."workflow_run_id"), 0)`;
    const joins = `"first" AND ${firstWaiting(`src."workflow_run_id"`)} IS NULL`;
    return {
      sql:
        `INSERT INTO "outbox_events" (${columns(GIVEN)}, "sequence", "commits", "turn") SELECT ${columns(GIVEN)}, ` +
        `ifnull(${last("sequence")}, 0) + "offset" - ${before}, ${commits.sql}, CASE WHEN ${joins} THEN ${END_OF_LINE} + "position" END FROM ${source.sql}`,
      params: [JSON.stringify(countByRun(seen)), ...commits.params, ...source.params],
    };
  });
}

/** Each row with its place among the rows of its run: 1, 2, ...; and whether it is the first of them that waits. */
function withOffsets(rows: readonly NewOutboxEventRow[]) {
  const counts = new Map<string, number>();
  const waiting = new Set<string>();
  return rows.map((row) => {
    const offset = (counts.get(row.workflowRunId) ?? 0) + 1;
    counts.set(row.workflowRunId, offset);
    const first = row.publishedAt === null && row.dlqAt === null && !waiting.has(row.workflowRunId);
    if (first) waiting.add(row.workflowRunId);
    return { ...row, offset, first };
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
    `"published_at" = ifnull("published_at", src."at"), "dlq_at" = NULL, "turn" = NULL`,
  );
}

export function countOutboxRetries(
  changes: readonly ChangeOf<"countOutboxRetry">[],
  commitId: string,
) {
  // Null stays null: the event is not the first of its run.
  return updateEvents(
    changes,
    commitId,
    `"retry_count" = "retry_count" + 1, "turn" = CASE WHEN "turn" IS NOT NULL THEN ${END_OF_LINE} + src."position" END`,
  );
}

const PAUSE = `min(${COUNT_MIN_MS} * (1 << min("retry_count", ${RETRY_EXPONENT_MAX})), ${COUNT_MAX_MS})`;
/** Whether the event was at fault before. */
const CONVICTED = `(src."blame" = 'certain' OR ("retry_count" > 0 AND "count_after" IS NULL))`;
const COUNTS = `(${CONVICTED} OR ifnull("count_after" <= src."at", 1))`;

export function putBackEvents(
  changes: readonly ChangeOf<"putBackEvent">[],
  commitId: string,
): Statement[] {
  const commits = remembering(commitId, `"outbox_events"."commits"`);
  const blamed = statement(
    `, "retry_count" = "retry_count" + ${COUNTS}, "count_after" = CASE WHEN ${CONVICTED} THEN NULL WHEN ${COUNTS} THEN src."at" + ${PAUSE} ELSE "count_after" END, "commits" = ${commits.sql}`,
    ...commits.params,
  );
  const update = (put: readonly ChangeOf<"putBackEvent">[], { sql, params }: Statement) =>
    sourcesOf(put, ["workflowRunId", "sequence", "seen", "blame", "at"]).map((source) => ({
      sql:
        `UPDATE "outbox_events" SET "turn" = CASE WHEN "turn" IS NOT NULL THEN ${END_OF_LINE} + src."position" END${sql} FROM ${source.sql} ` +
        `WHERE "outbox_events"."workflow_run_id" = src."workflow_run_id" AND "outbox_events"."sequence" = src."sequence" ` +
        `AND +"published_at" IS NULL AND +"dlq_at" IS NULL AND "retry_count" = src."seen"`,
      params: [...params, ...source.params],
    }));
  return [
    ...update(
      changes.filter(({ blame }) => blame === "none"),
      statement(
        `, "count_after" = CASE WHEN "retry_count" = 0 THEN ifnull("count_after", src."at") ELSE "count_after" END`,
      ),
    ),
    ...update(
      changes.filter(({ blame }) => blame !== "none"),
      blamed,
    ),
  ];
}

export function deadLetterOutboxEvents(
  changes: readonly ChangeOf<"deadLetterOutboxEvent">[],
  commitId: string,
) {
  return updateEvents(
    changes,
    commitId,
    `"dlq_at" = src."at", "turn" = NULL`,
    ` AND "outbox_events"."published_at" IS NULL`,
  );
}

export function replayOutboxEvents(
  changes: readonly ChangeOf<"replayOutboxEvent">[],
  commitId: string,
) {
  // What was the first may be so no longer.
  const leave = sourcesOfRuns(runsToLineUp(changes)).map((source): Statement => ({
    sql:
      `UPDATE "outbox_events" SET "turn" = NULL FROM ${source.sql} WHERE "outbox_events"."workflow_run_id" = src."workflow_run_id" ` +
      `AND "outbox_events"."sequence" = ${firstWaiting(`src."workflow_run_id"`)}`,
    params: source.params,
  }));
  return [
    ...leave,
    ...updateEvents(changes, commitId, `"dlq_at" = NULL, "retry_count" = 0, "count_after" = NULL`),
  ];
}

/**
 * The end of a commit: gives the runs whose first waiting event has become another one their place at the end of the line. The event
 * is not written for those who read it, so it keeps its token.
 */
export function lineUpRuns(changes: readonly Change[]): Statement[] {
  return sourcesOfRuns(runsToLineUp(changes)).map((source) => ({
    sql:
      `UPDATE "outbox_events" SET "turn" = ${END_OF_LINE} FROM ${source.sql} WHERE "outbox_events"."workflow_run_id" = src."workflow_run_id" ` +
      `AND "outbox_events"."sequence" = ${firstWaiting(`src."workflow_run_id"`)} AND "outbox_events"."turn" IS NULL`,
    params: source.params,
  }));
}

function sourcesOfRuns(runs: readonly string[]) {
  const rows = runs.map((workflowRunId) => ({ workflowRunId }));
  return sourcesOf(rows, ["workflowRunId"]);
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

export const outboxChangeSql: ChangeSqlOf<
  | "appendOutboxEvent"
  | "publishOutboxEvent"
  | "countOutboxRetry"
  | "putBackEvent"
  | "deadLetterOutboxEvent"
  | "replayOutboxEvent"
> = {
  appendOutboxEvent: { write: appendOutboxEvents, trace: ({ row }) => commitsOfLast(row) },
  publishOutboxEvent: { write: publishOutboxEvents },
  countOutboxRetry: { write: countOutboxRetries },
  putBackEvent: { write: putBackEvents },
  deadLetterOutboxEvent: { write: deadLetterOutboxEvents },
  replayOutboxEvent: { write: replayOutboxEvents },
};

export const outboxQuerySql: QuerySqlOf<
  | "outboxEvent"
  | "outboxTail"
  | "unpublishedEvents"
  | "outboxBacklog"
  | "deadLetters"
  | "waitingEvents"
> = {
  outboxEvent: { select: selectOutboxEvent, ...aRowOf(outboxEvents) },
  outboxTail: {
    select: selectOutboxTail,
    answer: (rows) => Number(rows[0]?.["sequence"]),
    size: "number",
  },
  unpublishedEvents: { select: selectUnpublishedEvents, ...rowsOf(outboxEvents) },
  outboxBacklog: { select: selectOutboxBacklog, ...rowsOf(outboxEvents) },
  deadLetters: { select: selectDeadLetters, ...rowsOf(outboxEvents) },
  waitingEvents: { select: countWaitingEvents, ...count },
};

/** An event's `commits` continues its predecessor's, so the last event knows what appended the ones before. */
function commitsOfLast({ workflowRunId }: { readonly workflowRunId: string }): Statement {
  return statement(
    `SELECT "commits" FROM "outbox_events" WHERE "workflow_run_id" = ? ORDER BY "sequence" DESC LIMIT 1`,
    workflowRunId,
  );
}
