/**
 * The SQL that looks for runs. `queries/run-search.ts` says what it answers, and what bounds its
 * cost.
 */
import { allRows, type QuerySqlOf } from "./change-sql.ts";
import { LONG_TEXT, longTextOfAll, type RunRow } from "../model/index.ts";
import { STATUSES } from "../model/status.ts";
import {
  FOUND_BY,
  leadingFilter,
  type QueryOf,
  remainingFilters,
  type RunFilters,
  type RunPlace,
  RUNS_LOOKED_AT,
  type RunsPage,
  WORKFLOWS_MAX,
} from "../queries/index.ts";
import { withTexts } from "./long-texts.ts";
import { propertiesOf, RUNS_BY } from "./names.ts";
import { column, longTextSql, type Param, selectRow, type Statement } from "./sql.ts";

const PROPERTIES = propertiesOf("runs");

type RunsQuery = QueryOf<"runs">;

/** Parameters by number, since some stand in a statement more than once. */
class Params {
  readonly values: Param[] = [];

  add(value: Param): string {
    this.values.push(value);
    return `?${this.values.length}`;
  }
}

/** A walk along an index: which rows, in which order, how many at most. */
interface Walk {
  readonly query: RunsQuery;
  readonly params: Params;
  /** Conditions on created_at and ordinal, or on their copies beside an annotation. */
  readonly range: string;
  /** The condition at the far end of the range, for a walk that is under way. */
  readonly end: string;
  readonly order: string;
  readonly most: string;
}

/** One statement for each leading filter; its plan never depends on D1's statistics. */
export function selectRuns(query: RunsQuery): Statement {
  const { filters } = query;
  const params = new Params();
  const remaining = remainingFilters(filters);
  const leading = leadingFilter(filters);
  const most = `CAST(${params.add(remaining === null ? query.limit : RUNS_LOOKED_AT)} AS INTEGER)`;
  const walk: Walk = { query, params, most, ...rangeAndOrder(query, params) };
  const columns = selectRow("runs", PROPERTIES, { omit: query.omit });
  switch (leading) {
    case "annotation": {
      const along = alongAnnotated(walk);
      return remaining === null ? looked(walk, along) : judged(walk, along, remaining);
    }
    case "kind": {
      const kinds = kindsOf(query, params);
      const amongKinds = { ...walk, most: `(SELECT "most" FROM share)` };
      return judged(amongKinds, alongKinds(amongKinds), remaining ?? {}, kinds);
    }
    case "none":
      return looked(walk, alongAll(walk));
    default: {
      const along = alongRuns(walk, leading, params.add(filters[leading] ?? ""));
      if (remaining !== null) return judged(walk, along, remaining);
      if (bytesOf(query) !== null) return looked(walk, along);
      return { sql: `SELECT ${columns}, 1 AS "answered" ${along}`, params: params.values };
    }
  }
}

/**
 * Where the walk begins and ends. SQLite takes one lower and one upper bound into an index; with a
 * second one it would read all that lies between. So of the place after which a page begins and the
 * instant at which the range begins, only the one that is later in the walk becomes a condition.
 */
function rangeAndOrder(query: RunsQuery, params: Params): Pick<Walk, "range" | "end" | "order"> {
  const { descending, filters } = query;
  const { createdFrom = -Infinity, createdBefore = Infinity } = filters;
  const isWithin = ({ createdAt }: RunPlace) =>
    descending ? createdAt < createdBefore : createdAt >= createdFrom;
  const after = query.after !== null && isWithin(query.after) ? query.after : null;
  const from =
    filters.createdFrom === undefined ? "" : ` AND "created_at" >= ${params.add(createdFrom)}`;
  const before =
    filters.createdBefore === undefined ? "" : ` AND "created_at" < ${params.add(createdBefore)}`;
  const end = descending ? from : before;
  let range = end;
  if (after === null) range += descending ? before : from;
  else {
    const place = `(${params.add(after.createdAt)}, ${params.add(after.ordinal)})`;
    range += ` AND ("created_at", "ordinal") ${descending ? "<" : ">"} ${place}`;
  }
  const direction = descending ? " DESC" : "";
  return { range, end, order: `"created_at"${direction}, "ordinal"${direction}, "id"${direction}` };
}

type By = keyof typeof RUNS_BY;

/**
 * FROM, with the runs whose column is `value`: a parameter, or a column of a table that it is
 * joined with.
 */
function alongRuns({ range, order, most }: Walk, by: By, value: string): string {
  return `FROM "runs" INDEXED BY "${RUNS_BY[by]}" WHERE ${column(by)} = ${value}${range} ORDER BY ${order} LIMIT ${most}`;
}

const PLACE = `"id", "created_at", "ordinal"`;

/** FROM, with the runs that have the annotation. */
function alongAnnotated({ query, params, range, order, most }: Walk): string {
  const { key = "", value = "" } = query.filters.annotation ?? {};
  return `FROM (SELECT *, "workflow_run_id" AS "id" FROM "annotated_runs") WHERE "key" = ${params.add(key)} AND "value" = ${params.add(value)}${range} ORDER BY ${order} LIMIT ${most}`;
}

/**
 * The runs of several parts, merged. A queue inside one recursive statement: each run is taken out
 * in the order of the walk, and the next run of its part is put in. So the statement looks at no
 * more runs than it answers, and the first of each part.
 */
function merged(walk: Walk, parts: string, by: By, condition: string): string {
  const { query, end, most } = walk;
  const direction = query.descending ? " DESC" : "";
  // By number: the order of a compound SELECT knows no other names.
  const order = [2, 3, 4].map((nth) => `${nth}${direction}`).join(", ");
  const place = `page."created_at", page."ordinal", page."id"`;
  const behind = ` AND ("created_at", "ordinal", "id") ${query.descending ? "<" : ">"} (${place})${end}`;
  const runOf = (alias: string, part: string, range: string) =>
    `CROSS JOIN "runs" AS ${alias} ON ${alias}."id" = (SELECT "id" ${alongRuns({ ...walk, range, most: "1" }, by, part)})`;
  const head = `SELECT part."value", head."created_at", head."ordinal", head."id" FROM ${parts} AS part ${runOf("head", `part."value"`, walk.range)} WHERE ${condition}`;
  const next = `SELECT page."part", next."created_at", next."ordinal", next."id" FROM page ${runOf("next", `page."part"`, behind)}`;
  return (
    `FROM (WITH RECURSIVE page("part", "created_at", "ordinal", "id") AS (${head} UNION ALL ${next} ORDER BY ${order} LIMIT ${most}) ` +
    `SELECT ${PLACE} FROM page)`
  );
}

/** FROM, with all runs by age: the index of statuses gives those of each status. */
function alongAll(walk: Walk, condition = "true"): string {
  return merged(walk, `json_each('${JSON.stringify(STATUSES)}')`, "status", condition);
}

/** Whether there are few kinds of runs: workflows with their types and names. */
const FEW = `(SELECT count(*) FROM kinds) <= ${WORKFLOWS_MAX}`;

/**
 * The kinds of the type; if they are few, the workflows whose name contains the text; and how many
 * runs are looked at.
 */
function kindsOf({ filters, limit }: RunsQuery, params: Params): string {
  const { status, workflowType, nameContains } = filters;
  const ofType =
    workflowType === undefined ? "" : ` WHERE "workflow_type" = ${params.add(workflowType)}`;
  const named =
    nameContains === undefined ? "1" : containsSql(`"workflow_name"`, nameContains, params);
  const most = `CAST(${params.add(status === undefined ? limit : RUNS_LOOKED_AT)} AS INTEGER)`;
  return (
    `kinds("value", "named") AS (SELECT "workflow_id", ${named} FROM (SELECT * FROM "workflows"${ofType} LIMIT ${WORKFLOWS_MAX + 1})), ` +
    `found("value") AS (SELECT DISTINCT "value" FROM kinds WHERE "named" AND ${FEW}), ` +
    `share("most") AS (SELECT CASE WHEN ${FEW} THEN ${most} ELSE ${RUNS_LOOKED_AT} END), `
  );
}

/**
 * If the kinds are few, the runs of the workflows found; otherwise all runs, each of which is asked
 * for its type and name.
 */
function alongKinds(walk: Walk): string {
  return `FROM (SELECT * ${merged(walk, "found", "workflowId", "true")} UNION ALL SELECT * ${alongAll(walk, `NOT ${FEW}`)})`;
}

function containsSql(name: string, text: string, params: Params): string {
  return `instr(lower(${name}), lower(${params.add(text)})) > 0`;
}

/** All runs of the walk. */
function looked({ query, params, order }: Walk, along: string): Statement {
  const inOrder = order.replaceAll(/"\w+"/g, (name) => `looked.${name}`);
  const bytes = bytesOf(query);
  const sized = `SELECT looked.*, ${bytes ?? "0"} AS "bytes" FROM (SELECT ${PLACE} ${along}) AS looked CROSS JOIN "runs" ON "runs"."id" = looked."id"`;
  const rows =
    bytes === null
      ? `SELECT ${PLACE} ${along}`
      : `SELECT * FROM (SELECT *, sum("bytes") OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - "bytes" AS "before" FROM (${sized})) WHERE ${withinSql(query, params)}`;
  return {
    sql:
      `SELECT ${selectRow("runs", PROPERTIES, { omit: query.omit })}, 1 AS "answered" FROM (${rows}) AS looked ` +
      `CROSS JOIN "runs" ON "runs"."id" = looked."id" ORDER BY ${inOrder}`,
    params: params.values,
  };
}

/** The SQL of the bytes that a run adds to a page; null when they are not counted. */
function bytesOf({ bytesMax, omit }: RunsQuery): string | null {
  return bytesMax === undefined ? null : longTextSql("runs", omit, "runs");
}

function withinSql({ bytesMax = 0 }: RunsQuery, params: Params): string {
  return `"before" < ${params.add(bytesMax)}`;
}

/**
 * The runs of the walk that pass the conditions, the first `limit`; and if the walk went as far as
 * it may, the last run that was looked at, by which a page says where to go on.
 */
function judged(
  { query, params, order, most }: Walk,
  along: string,
  conditions: RunFilters,
  kinds = "",
): Statement {
  const limit = params.add(query.limit);
  const bytes = bytesOf(query);
  const within = bytes === null ? "" : ` AND ${withinSql(query, params)}`;
  return {
    sql:
      `WITH RECURSIVE ${kinds}` +
      `looked AS (SELECT *, row_number() OVER (ORDER BY ${order}) AS "n" FROM (SELECT ${PLACE} ${along})), ` +
      `judged AS (SELECT looked."id", looked."n", ${conditionsOf(conditions, params)} AS "fits", ${bytes ?? "0"} AS "bytes" FROM looked CROSS JOIN "runs" ON "runs"."id" = looked."id"), ` +
      `counted AS (SELECT *, sum("fits") OVER (ORDER BY "n") AS "nth", sum("fits" * "bytes") OVER (ORDER BY "n") - "fits" * "bytes" AS "before" FROM judged), ` +
      `chosen AS (SELECT *, "fits" AND "nth" <= ${limit}${within} AS "answered" FROM counted) ` +
      `SELECT ${selectRow("runs", PROPERTIES, { omit: query.omit })}, "answered", "n" = ${most} AS "stopped" FROM chosen CROSS JOIN "runs" ON "runs"."id" = chosen."id" ` +
      `WHERE "answered" OR "n" = ${most} ORDER BY "n"`,
    params: params.values,
  };
}

function conditionsOf(filters: RunFilters, params: Params): string {
  const { nameContains } = filters;
  const conditions: string[] = [];
  for (const name of FOUND_BY) {
    const value = filters[name];
    if (value !== undefined) conditions.push(`"runs".${column(name)} = ${params.add(value)}`);
  }
  if (nameContains !== undefined) {
    conditions.push(containsSql(`"runs"."workflow_name"`, nameContains, params));
  }
  return conditions.length === 0 ? "1" : `(${conditions.join(" AND ")})`;
}

/** A row of {@link selectRuns}. */
export interface FoundRun extends RunRow {
  /** 1; 0 for the last run that was looked at and does not pass. */
  readonly answered: number;
  /**
   * 1 for the last run of a walk that went as far as it may. Absent where every run that is looked
   * at is answered.
   */
  readonly stopped?: number;
}

/**
 * The runs that are answered. `next` is the last of them if the page is full, or the last run that
 * was looked at.
 */
export function toRunsPage(query: RunsQuery, found: readonly FoundRun[]): RunsPage {
  const { limit, omit, bytesMax = Infinity } = query;
  const rows = found
    .filter(({ answered }) => answered === 1)
    .map(({ answered: _answered, stopped: _stopped, ...row }): RunRow => row);
  const stopped = found.find((row) => row.stopped === 1);
  const bytes = longTextOfAll("runs", rows, omit);
  const full = rows.length === limit || (rows.length > 0 && bytes >= bytesMax);
  const last = full ? rows.at(-1) : stopped;
  return {
    rows,
    next: last === undefined ? null : { createdAt: last.createdAt, ordinal: last.ordinal },
  };
}

export const runSearchQuerySql: QuerySqlOf<"runs"> = {
  runs: {
    select: selectRuns,
    answer: (rows, query) => toRunsPage(query, allRows(withTexts(LONG_TEXT.runs, rows))),
    size: { rows: "runs" },
  },
};
