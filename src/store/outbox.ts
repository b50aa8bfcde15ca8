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
import { isWaiting } from "../model/state.ts";
import { holdTexts } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import {
  column,
  columns,
  longTextSql,
  remembering,
  rememberingAs,
  type RowUpdate,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
  toParam,
  updateRows,
} from "./sql.ts";

const PROPERTIES = propertiesOf("outboxEvents");
const SELECT = `SELECT ${selectRow("outboxEvents", PROPERTIES)} FROM "outbox_events"`;
/** The columns that a caller gives; the database gives the others. */
const GIVEN = propertiesOf("outboxEvents", "sequence", "commits", "countAfter");
const WAITS = `"published_at" IS NULL AND "dlq_at" IS NULL`;
/** The turn of the next run that goes to the end of the line. */
const END_OF_LINE = `(SELECT ifnull(max("turn"), 0) + 1 FROM "outbox_events" INDEXED BY "outbox_events_turn_idx" WHERE "turn" IS NOT NULL)`;

/** Takes the run to the end of the line, if the event holds its place. */
function toEndOfLine(position: string): string {
  return `"turn" = CASE WHEN "turn" IS NOT NULL THEN ${END_OF_LINE} + ${position} END`;
}

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

export function appendOutboxEvents(
  changes: readonly ChangeOf<"appendOutboxEvent">[],
  commitId: string,
) {
  const rows = changes.map(({ row }) => row);
  const [first] = rows;
  const ofOneRun = rows.every((row) => row.workflowRunId === first?.workflowRunId);
  return first !== undefined && ofOneRun && rows.length <= BOUND_MAX
    ? appendToOneRun(first.workflowRunId, rows, commitId)
    : appendToRuns(rows, commitId);
}

/** The columns that some row sets. */
function setIn(rows: readonly NewOutboxEventRow[]) {
  return GIVEN.filter((name) => rows.some((row) => row[name] !== null));
}

/**
 * A chunk of rows is one INSERT. All of a run's events in it count on from the run's last stored
 * one.
 */
function appendToRuns(rows: readonly NewOutboxEventRow[], commitId: string): Statement[] {
  const last = (name: string) =>
    `(SELECT "${name}" FROM "outbox_events" AS tail WHERE tail."workflow_run_id" = src."workflow_run_id" ORDER BY "sequence" DESC LIMIT 1)`;
  const commits = remembering(commitId, `ifnull(${last("commits")}, '')`);
  const held = holdTexts("outboxEvents", withOffsets(rows), "before");
  const set = setIn(rows);
  const given = set.map((name) => held.stored(name, column(name))).join(", ");
  const inserts = sourcesOf(held.rows, [...set, "offset", "first"]).map((source) => {
    // Offsets count within all rows, and a later chunk finds the rows of the earlier ones already
    // stored.
    const seen = rows.slice(0, source.first);
    const before = `ifnull((SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = src."workflow_run_id"), 0)`;
    const joins = `"first" AND ${firstWaiting(`src."workflow_run_id"`)} IS NULL`;
    return {
      sql:
        `INSERT INTO "outbox_events" (${columns(set)}, "sequence", "commits", "turn") SELECT ${given}, ` +
        `${tailOf(`src."workflow_run_id"`)} + "offset" - ${before}, ${commits.sql}, CASE WHEN ${joins} THEN ${END_OF_LINE} + "position" END FROM ${source.sql}`,
      params: [JSON.stringify(countByRun(seen)), ...commits.params, ...source.params],
    };
  });
  return [...held.before, ...inserts];
}

/** Events of one run that are bound by their values, seven parameters each. D1 binds 100. */
const BOUND_MAX = 10;

/** The run's last event is looked up once for all of them, and its first waiting one if one waits. */
function appendToOneRun(
  workflowRunId: string,
  rows: readonly NewOutboxEventRow[],
  commitId: string,
): Statement[] {
  const given = setIn(rows).filter((name) => name !== "workflowRunId");
  const held = holdTexts("outboxEvents", rows, "before");
  const events = held.rows.map((_, index) => {
    const values = given.map((name, place) =>
      held.stored(name, `?${3 + index * given.length + place}`),
    );
    return `(${index + 1}, ${values.join(", ")})`;
  });
  const commits = rememberingAs("?2", `ifnull(tail."commits", '')`);
  const last = `SELECT "sequence", "commits" FROM "outbox_events" WHERE "workflow_run_id" = ?1 ORDER BY "sequence" DESC LIMIT 1`;
  const waits = rows.findIndex(isWaiting) + 1;
  const turn =
    waits === 0
      ? "NULL"
      : `CASE WHEN event."offset" = ${waits} AND ${firstWaiting("?1")} IS NULL THEN ${END_OF_LINE} END`;
  const insert = {
    sql:
      `WITH event("offset", ${columns(given)}) AS (VALUES ${events.join(", ")}) ` +
      `INSERT INTO "outbox_events" ("workflow_run_id", "sequence", "commits", "turn", ${columns(given)}) ` +
      `SELECT ?1, max(ifnull(tail."sequence", 0), ifnull((SELECT "sequence" FROM "outbox_tails" WHERE "workflow_run_id" = ?1), 0)) + event."offset", ` +
      `${commits}, ${turn}, ${given.map((name) => `event.${column(name)}`).join(", ")} FROM event LEFT JOIN (${last}) AS tail`,
    params: [
      workflowRunId,
      commitId,
      ...held.rows.flatMap((row) => given.map((name) => toParam(row[name]))),
    ],
  };
  return [...held.before, insert];
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
    const first = isWaiting(row) && !waiting.has(row.workflowRunId);
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
  return updateEvents(changes, ["at"], commitId, (given) => ({
    set: `"published_at" = ifnull("published_at", ${given("at")}), "dlq_at" = NULL, "turn" = NULL`,
  }));
}

export function countOutboxRetries(
  changes: readonly ChangeOf<"countOutboxRetry">[],
  commitId: string,
) {
  // A NULL turn stays NULL: then the event is not its run's first waiting one.
  return updateEvents(changes, ["position"], commitId, (given) => ({
    set: `"retry_count" = "retry_count" + 1, ${toEndOfLine(given("position"))}`,
  }));
}

/** The same as in changes/outbox.ts, in SQL. */
const PAUSE = `min(${COUNT_MIN_MS} * (1 << min("retry_count", ${RETRY_EXPONENT_MAX})), ${COUNT_MAX_MS})`;

export function putBackEvents(
  changes: readonly ChangeOf<"putBackEvent">[],
  commitId: string,
): Statement[] {
  const where = (seen: string) =>
    `+"published_at" IS NULL AND +"dlq_at" IS NULL AND "retry_count" = ${seen}`;
  const [spared = [], blamed = []] = [true, false].map((isSpared) =>
    changes.filter(({ blame }) => (blame === "none") === isSpared),
  );
  return [
    ...updateEvents(spared, ["seen", "at", "position"], null, (given) => ({
      set: `${toEndOfLine(given("position"))}, "count_after" = CASE WHEN "retry_count" = 0 THEN ifnull("count_after", ${given("at")}) ELSE "count_after" END`,
      where: where(given("seen")),
    })),
    ...updateEvents(blamed, ["seen", "blame", "at", "position"], commitId, (given) => {
      const at = given("at");
      // The failure is the event's own: others were published beside it, now or earlier.
      const convicted = `(${given("blame")} = 'certain' OR ("retry_count" > 0 AND "count_after" IS NULL))`;
      const counts = `(${convicted} OR ifnull("count_after" <= ${at}, 1))`;
      return {
        set: `${toEndOfLine(given("position"))}, "retry_count" = "retry_count" + ${counts}, "count_after" = CASE WHEN ${convicted} THEN NULL WHEN ${counts} THEN ${at} + ${PAUSE} ELSE "count_after" END`,
        where: where(given("seen")),
      };
    }),
  ];
}

export function deadLetterOutboxEvents(
  changes: readonly ChangeOf<"deadLetterOutboxEvent">[],
  commitId: string,
) {
  return updateEvents(changes, ["at"], commitId, (given) => ({
    set: `"dlq_at" = ${given("at")}, "turn" = NULL`,
    where: `"outbox_events"."published_at" IS NULL`,
  }));
}

export function replayOutboxEvents(
  changes: readonly ChangeOf<"replayOutboxEvent">[],
  commitId: string,
) {
  // The event that was its run's first waiting one may not be so any more.
  const leave = updateFirstWaiting(changes, `"turn" = NULL`);
  return [
    ...leave,
    ...updateEvents(changes, [], commitId, () => ({
      set: `"dlq_at" = NULL, "retry_count" = 0, "count_after" = NULL`,
    })),
  ];
}

/**
 * Ends a commit: runs whose first waiting event has changed get a place at the end of the line.
 * Readers of the event see no change, so its token stays.
 */
function lineUpRuns(changes: readonly OfRun[]): Statement[] {
  return updateFirstWaiting(changes, `"turn" = ${END_OF_LINE}`, `"outbox_events"."turn" IS NULL`);
}

interface OfRun {
  readonly workflowRunId: string;
}

/** Updates the first waiting event of each run. */
function updateFirstWaiting(changes: readonly OfRun[], set: string, only = "true"): Statement[] {
  const rows = runsOf(changes).map((workflowRunId) => ({ workflowRunId }));
  return updateRows(
    "outbox_events",
    { key: ["workflowRunId"], rows, names: [] },
    null,
    (given) => ({
      set,
      where: `"outbox_events"."sequence" = ${firstWaiting(given("workflowRunId"))} AND ${only}`,
    }),
  );
}

interface Event extends OfRun {
  readonly sequence: number;
}

/**
 * One UPDATE of events by their keys for each chunk of changes. `position`: a change's place among
 * them. `commitId`: null where readers of the events see no change.
 */
function updateEvents<C extends Event>(
  changes: readonly C[],
  names: readonly ((keyof C & string) | "position")[],
  commitId: string | null,
  update: (given: (name: (keyof C & string) | "position") => string) => RowUpdate,
): Statement[] {
  const rows = changes.map((change, position) => ({ ...change, position }));
  const key = ["workflowRunId", "sequence"] as const;
  return updateRows<C & { position: number }>(
    "outbox_events",
    { key, rows, names },
    commitId,
    update,
  );
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
