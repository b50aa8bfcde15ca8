/**
 * Outbox events: the SQL of their queries and changes.
 *
 * The statement that inserts an event also gives it its sequence, and D1 runs one batch at a time.
 * So sequences follow the order of commits and have no gaps: a commit that fails takes none.
 *
 * Runs with waiting events stand in a line. A run's place is the `turn` of its first waiting event;
 * no other event has one. A run joins at the end. It goes to the end when that event is published,
 * goes to the DLQ, is replayed, or could not be published once more.
 * docs/adr/0015-the-outbox-is-a-line-of-runs.md says why.
 */
import { aRowOf, count, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf, runsOf } from "../changes/index.ts";
import {
  COUNT_MAX_MS,
  COUNT_MIN_MS,
  type NewOutboxEventRow,
  RETRY_EXPONENT_MAX,
} from "../model/index.ts";
import type { QueryOf } from "../queries/index.ts";
import { holdTexts, LONG_TEXT_MIN } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import {
  column,
  columns,
  longTextSql,
  remembering,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
  toParam,
} from "./sql.ts";

const PROPERTIES = propertiesOf("outboxEvents");
const SELECT = `SELECT ${selectRow("outboxEvents", PROPERTIES)} FROM "outbox_events"`;
/** The columns that a caller gives; the database gives the others. */
const GIVEN = propertiesOf("outboxEvents", "sequence", "commits", "countAfter");
const WAITS = `"published_at" IS NULL AND "dlq_at" IS NULL`;
/** The turn of the next run that goes to the end of the line. */
const END_OF_LINE = `(SELECT ifnull(max("turn"), 0) + 1 FROM "outbox_events" INDEXED BY "outbox_events_turn_idx" WHERE "turn" IS NOT NULL)`;

/** The sequence of a run's first waiting event, or of the first one after a sequence. */
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
  return statement(`SELECT ${tailOf("?1")} AS "sequence"`, query.workflowRunId);
}

/** The SQL of a run's last sequence, also when its events are gone; 0: it has had none. */
export function tailOf(run: string): string {
  return (
    `max(ifnull((SELECT max("sequence") FROM "outbox_events" WHERE "workflow_run_id" = ${run}), 0), ` +
    `ifnull((SELECT "sequence" FROM "outbox_tails" WHERE "workflow_run_id" = ${run}), 0))`
  );
}

/**
 * A queue inside one recursive statement: each run is taken out by rank, then by turn, and put back
 * with its next event. So the statement looks at no more events than it answers, however many wait.
 */
export function selectUnpublishedEvents({
  limit,
  bytesMax,
}: QueryOf<"unpublishedEvents">): Statement {
  const heads = `SELECT "turn", "workflow_run_id", "sequence" FROM "outbox_events" INDEXED BY "outbox_events_turn_idx" WHERE "turn" IS NOT NULL ORDER BY "turn", "workflow_run_id" LIMIT CAST(?1 AS INTEGER)`;
  const next =
    `SELECT page."rank" + 1, page."turn", page."run", next."sequence" FROM page CROSS JOIN "outbox_events" AS next ` +
    `ON next."workflow_run_id" = page."run" AND next."sequence" = ${firstWaiting(`page."run"`, `page."sequence"`)}`;
  const page = `WITH RECURSIVE page("rank", "turn", "run", "sequence") AS (SELECT 1, * FROM (${heads}) AS head UNION ALL ${next} ORDER BY 1, 2, 3 LIMIT CAST(?1 AS INTEGER))`;
  const events = (of: string) =>
    `${of} CROSS JOIN "outbox_events" AS event ON event."workflow_run_id" = page."run" AND event."sequence" = page."sequence"`;
  const inOrder = `ORDER BY event."workflow_run_id", event."sequence"`;
  const select = `SELECT ${selectRow("outboxEvents", PROPERTIES, { alias: "event" })} FROM`;
  const bytes = longTextSql("outboxEvents", [], "event");
  if (bytesMax === undefined || bytes === null) {
    return statement(`${page} ${select} ${events("page")} ${inOrder}`, limit);
  }
  // The sizes are summed up first, so that only the texts of answered events are read.
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
    `SELECT count(*) AS "count" FROM (SELECT 1 FROM "outbox_events" INDEXED BY "outbox_events_waiting_idx" WHERE ${WAITS} LIMIT CAST(? AS INTEGER))`,
    limit,
  );
}

export function selectOutboxBacklog({ after, limit }: QueryOf<"outboxBacklog">): Statement {
  const place = after === null ? "" : ` AND ("workflow_run_id", "sequence") > (?, ?)`;
  return statement(
    `${SELECT} INDEXED BY "outbox_events_waiting_idx" WHERE ${WAITS}${place} ORDER BY "workflow_run_id", "sequence" LIMIT CAST(? AS INTEGER)`,
    ...(after === null ? [] : [after.workflowRunId, after.sequence]),
    limit,
  );
}

export function selectDeadLetters({ after = null, limit }: QueryOf<"deadLetters">): Statement {
  const place = after === null ? "" : ` AND ("dlq_at", "workflow_run_id", "sequence") > (?, ?, ?)`;
  return statement(
    `${SELECT} INDEXED BY "outbox_events_dlq_idx" WHERE "dlq_at" IS NOT NULL${place} ORDER BY "dlq_at", "workflow_run_id", "sequence" LIMIT CAST(? AS INTEGER)`,
    ...(after === null ? [] : [after.dlqAt, after.workflowRunId, after.sequence]),
    limit,
  );
}

/**
 * A chunk of rows is one INSERT. All of a run's events in it count on from the run's last stored
 * one.
 */
export function appendOutboxEvents(
  changes: readonly ChangeOf<"appendOutboxEvent">[],
  commitId: string,
) {
  const rows = changes.map(({ row }) => row);
  const [first] = rows;
  if (first !== undefined && isPlain(rows))
    return [appendToOneRun(first.workflowRunId, rows, commitId)];
  const last = (name: string) =>
    `(SELECT "${name}" FROM "outbox_events" AS tail WHERE tail."workflow_run_id" = src."workflow_run_id" ORDER BY "sequence" DESC LIMIT 1)`;
  const commits = remembering(commitId, `ifnull(${last("commits")}, '')`);
  const held = holdTexts("outboxEvents", withOffsets(rows), "before");
  const given = GIVEN.map((name) => held.stored(name, column(name))).join(", ");
  const inserts = sourcesOf(held.rows, [...GIVEN, "offset", "first"]).map((source) => {
    // Offsets count within all rows, and a later chunk finds the rows of the earlier ones already
    // stored.
    const seen = rows.slice(0, source.first);
    const before = `ifnull((SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = src."workflow_run_id"), 0)`;
    const joins = `"first" AND ${firstWaiting(`src."workflow_run_id"`)} IS NULL`;
    return {
      sql:
        `INSERT INTO "outbox_events" (${columns(GIVEN)}, "sequence", "commits", "turn") SELECT ${given}, ` +
        `${tailOf(`src."workflow_run_id"`)} + "offset" - ${before}, ${commits.sql}, CASE WHEN ${joins} THEN ${END_OF_LINE} + "position" END FROM ${source.sql}`,
      params: [JSON.stringify(countByRun(seen)), ...commits.params, ...source.params],
    };
  });
  return [...held.before, ...inserts];
}

/** Events of one run that were bound by their values: as many as D1 has parameters for. */
const PLAIN_MAX = 10;

/**
 * Few events of one run, none of which waits: they change nobody's place in the line. Most commits of
 * an engine have such.
 */
function isPlain(rows: readonly NewOutboxEventRow[]): boolean {
  return (
    rows.length <= PLAIN_MAX &&
    rows.every(
      (row) =>
        row.workflowRunId === rows[0]?.workflowRunId &&
        (row.publishedAt !== null || row.dlqAt !== null) &&
        row.payload.length < LONG_TEXT_MIN / 3,
    )
  );
}

/** The run's last event is looked up once for all of them. */
function appendToOneRun(
  workflowRunId: string,
  rows: readonly NewOutboxEventRow[],
  commitId: string,
): Statement {
  const given = [
    "eventType",
    "payload",
    "causationId",
    "occurredAt",
    "publishedAt",
    "retryCount",
    "dlqAt",
  ] as const;
  const events = rows.map((_, index) => {
    const values = given.map((__, place) => `?${3 + index * given.length + place}`);
    return `(${index + 1}, ${values.join(", ")})`;
  });
  const commits = remembering(commitId, `ifnull(tail."commits", '')`).sql.replaceAll("?", "?2");
  const last = `SELECT "sequence", "commits" FROM "outbox_events" WHERE "workflow_run_id" = ?1 ORDER BY "sequence" DESC LIMIT 1`;
  return {
    sql:
      `WITH event("offset", ${columns(given)}) AS (VALUES ${events.join(", ")}) ` +
      `INSERT INTO "outbox_events" ("workflow_run_id", "sequence", "commits", ${columns(given)}) ` +
      `SELECT ?1, max(ifnull(tail."sequence", 0), ifnull((SELECT "sequence" FROM "outbox_tails" WHERE "workflow_run_id" = ?1), 0)) + event."offset", ` +
      `${commits}, ${given.map((name) => `event.${column(name)}`).join(", ")} FROM event LEFT JOIN (${last}) AS tail`,
    params: [
      workflowRunId,
      commitId,
      ...rows.flatMap((row) => given.map((name) => toParam(row[name]))),
    ],
  };
}

/**
 * Each row with its place among the rows of its run (1, 2, ...), and whether it is the first of
 * these that waits.
 */
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

/** How many of these rows each run has. */
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
  // A NULL turn stays NULL: then the event is not its run's first waiting one.
  return updateEvents(
    changes,
    commitId,
    `"retry_count" = "retry_count" + 1, "turn" = CASE WHEN "turn" IS NOT NULL THEN ${END_OF_LINE} + src."position" END`,
  );
}

/** The same as in changes/outbox.ts, in SQL. */
const PAUSE = `min(${COUNT_MIN_MS} * (1 << min("retry_count", ${RETRY_EXPONENT_MAX})), ${COUNT_MAX_MS})`;
/** Whether the failure is the event's own: others were published beside it, now or earlier. */
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
  // The event that was its run's first waiting one may not be so any more.
  const leave = sourcesOfRuns(changes).map((source): Statement => ({
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
 * Ends a commit: runs whose first waiting event has changed get a place at the end of the line.
 * Readers of the event see no change, so its token stays.
 */
function lineUpRuns(changes: readonly OfRun[]): Statement[] {
  return sourcesOfRuns(changes).map((source) => ({
    sql:
      `UPDATE "outbox_events" SET "turn" = ${END_OF_LINE} FROM ${source.sql} WHERE "outbox_events"."workflow_run_id" = src."workflow_run_id" ` +
      `AND "outbox_events"."sequence" = ${firstWaiting(`src."workflow_run_id"`)} AND "outbox_events"."turn" IS NULL`,
    params: source.params,
  }));
}

interface OfRun {
  readonly workflowRunId: string;
}

function sourcesOfRuns(changes: readonly OfRun[]) {
  const rows = runsOf(changes).map((workflowRunId) => ({ workflowRunId }));
  return sourcesOf(rows, ["workflowRunId"]);
}

/** One UPDATE of events by their keys for each chunk of changes. */
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
  publishOutboxEvent: { write: publishOutboxEvents, finish: lineUpRuns },
  countOutboxRetry: { write: countOutboxRetries },
  putBackEvent: { write: putBackEvents },
  deadLetterOutboxEvent: { write: deadLetterOutboxEvents, finish: lineUpRuns },
  replayOutboxEvent: { write: replayOutboxEvents, finish: lineUpRuns },
};

export const outboxQuerySql: QuerySqlOf<
  | "outboxEvent"
  | "outboxTail"
  | "unpublishedEvents"
  | "outboxBacklog"
  | "deadLetters"
  | "waitingEvents"
> = {
  outboxEvent: { select: selectOutboxEvent, ...aRowOf("outboxEvents") },
  outboxTail: {
    select: selectOutboxTail,
    answer: (rows) => Number(rows[0]?.["sequence"]),
    size: "number",
  },
  unpublishedEvents: { select: selectUnpublishedEvents, ...rowsOf("outboxEvents") },
  outboxBacklog: { select: selectOutboxBacklog, ...rowsOf("outboxEvents") },
  deadLetters: { select: selectDeadLetters, ...rowsOf("outboxEvents") },
  waitingEvents: { select: countWaitingEvents, ...count },
};

/**
 * The `commits` of the run's last event. Each event continues those of the one before it, so the
 * last knows the commits that appended the earlier ones, too.
 */
function commitsOfLast({ workflowRunId }: { readonly workflowRunId: string }): Statement {
  return statement(
    `SELECT "commits" FROM "outbox_events" WHERE "workflow_run_id" = ? ORDER BY "sequence" DESC LIMIT 1`,
    workflowRunId,
  );
}
