/**
 * The SQL that looks for runs. `queries/run-search.ts` says what it answers, and what bounds its
 * cost.
 */
import { allRows, type QuerySqlOf } from "./change-sql.ts";
import { longTextOfAll, type RunRow } from "../model/index.ts";
import { STATUSES } from "../model/status.ts";
import {
  FOUND_BY,
  leadingFilter,
  type QueryOf,
  remainingFilters,
  RUN_NAMES_MAX,
  type RunFilters,
  type RunPlace,
  RUNS_LOOKED_AT,
  type RunsPage,
} from "../queries/index.ts";
import { runs, RUNS_BY } from "./schema.ts";
import {
  column,
  longTextSql,
  type Param,
  propertiesOf,
  selectList,
  type Statement,
} from "./sql.ts";

const PROPERTIES = propertiesOf(runs);

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
  const columns = selectList(PROPERTIES, "runs", query.omit);
  switch (leading) {
    case "annotation": {
      const along = alongAnnotated(walk);
      return remaining === null ? looked(walk, along) : judged(walk, along, remaining);
    }
    case "nameContains": {
      const text = params.add(filters.nameContains ?? "");
      const names = namesThatContain(text, most);
      const byName = { ...walk, most: `(SELECT "most" FROM share)` };
      const { nameContains } = filters;
      return judged(byName, amongNames(byName), { nameContains }, `${NAMES}, ${names}, `);
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
function rangeAndOrder(query: RunsQuery, params: Params): Pick<Walk, "range" | "order"> {
  const { descending, filters } = query;
  const { createdFrom = -Infinity, createdBefore = Infinity } = filters;
  const isWithin = ({ createdAt }: RunPlace) =>
    descending ? createdAt < createdBefore : createdAt >= createdFrom;
  const after = query.after !== null && isWithin(query.after) ? query.after : null;
  let range = "";
  if (filters.createdFrom !== undefined && (after === null || descending)) {
    range += ` AND "created_at" >= ${params.add(createdFrom)}`;
  }
  if (filters.createdBefore !== undefined && (after === null || !descending)) {
    range += ` AND "created_at" < ${params.add(createdBefore)}`;
  }
  if (after !== null) {
    const place = `(${params.add(after.createdAt)}, ${params.add(after.ordinal)})`;
    range += ` AND ("created_at", "ordinal") ${descending ? "<" : ">"} ${place}`;
  }
  const direction = descending ? " DESC" : "";
  return { range, order: `"created_at"${direction}, "ordinal"${direction}, "id"${direction}` };
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
 * The first of each part, merged. A table-valued function over the rows of a part is the only
 * lateral join that SQLite has.
 */
function merged(walk: Walk, parts: string, by: By, condition: string): string {
  const { order, most } = walk;
  const ofPart = `SELECT json_group_array(json_array(${PLACE})) FROM (SELECT ${PLACE} ${alongRuns(walk, by, "part.value")})`;
  return (
    `FROM (SELECT item.value ->> 0 AS "id", item.value ->> 1 AS "created_at", item.value ->> 2 AS "ordinal" ` +
    `FROM ${parts} AS part JOIN json_each((${ofPart})) AS item WHERE ${condition} ORDER BY ${order} LIMIT ${most})`
  );
}

/** FROM, with all runs by age: the index of statuses gives those of each status. */
function alongAll(walk: Walk, condition = "true"): string {
  return merged(walk, `json_each('${JSON.stringify(STATUSES)}')`, "status", condition);
}

const NEXT_NAME = `SELECT "workflow_name" FROM "runs" INDEXED BY "runs_name_idx"`;
/** The distinct names of runs, found by one seek each; NULL after the last. */
const NAMES =
  `names("value") AS (SELECT (${NEXT_NAME} ORDER BY "workflow_name" LIMIT 1) UNION ALL ` +
  `SELECT (${NEXT_NAME} WHERE "workflow_name" > names."value" ORDER BY "workflow_name" LIMIT 1) FROM names WHERE names."value" IS NOT NULL LIMIT ${RUN_NAMES_MAX + 2})`;
/** Whether there are few names. */
const FEW = `(SELECT count("value") FROM names) <= ${RUN_NAMES_MAX}`;

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
      `SELECT ${selectList(PROPERTIES, "runs", query.omit)}, 1 AS "answered" FROM (${rows}) AS looked ` +
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
 * If names are few: those that contain the text, and how many runs of each are looked at ({@link
 * runsOfNames}).
 */
function namesThatContain(text: string, limit: string): string {
  return (
    `found("value") AS (SELECT "value" FROM names WHERE "value" IS NOT NULL AND instr(lower("value"), lower(${text})) > 0 AND ${FEW}), ` +
    `share("most") AS (SELECT CASE WHEN ${FEW} THEN max(1, min(${limit}, ${RUNS_LOOKED_AT} / max(1, count(*)))) ELSE ${RUNS_LOOKED_AT} END FROM found)`
  );
}

/**
 * If names are few, the runs of those found; otherwise all runs, each of which is asked for its
 * name.
 */
function amongNames(walk: Walk): string {
  const ofNames = merged(walk, "found", "workflowName", "true");
  return `FROM (SELECT * ${ofNames} UNION ALL SELECT * ${alongAll(walk, `NOT ${FEW}`)})`;
}

/**
 * The runs of the walk that pass the conditions, the first `limit`; and if the walk went as far as
 * it may, the last run that was looked at, by which a page says where to go on.
 */
function judged(
  { query, params, order, most }: Walk,
  along: string,
  conditions: RunFilters,
  names = "",
): Statement {
  const limit = params.add(query.limit);
  const bytes = bytesOf(query);
  const within = bytes === null ? "" : ` AND ${withinSql(query, params)}`;
  return {
    sql:
      `WITH RECURSIVE ${names}` +
      `looked AS (SELECT *, row_number() OVER (ORDER BY ${order}) AS "n" FROM (SELECT ${PLACE} ${along})), ` +
      `judged AS (SELECT looked."id", looked."n", ${conditionsOf(conditions, params)} AS "fits", ${bytes ?? "0"} AS "bytes" FROM looked CROSS JOIN "runs" ON "runs"."id" = looked."id"), ` +
      `counted AS (SELECT *, sum("fits") OVER (ORDER BY "n") AS "nth", sum("fits" * "bytes") OVER (ORDER BY "n") - "fits" * "bytes" AS "before" FROM judged), ` +
      `chosen AS (SELECT *, "fits" AND "nth" <= ${limit}${within} AS "answered" FROM counted) ` +
      `SELECT ${selectList(PROPERTIES, "runs", query.omit)}, "answered", "n" = ${most} AS "stopped" FROM chosen CROSS JOIN "runs" ON "runs"."id" = chosen."id" ` +
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
    conditions.push(`instr(lower("runs"."workflow_name"), lower(${params.add(nameContains)})) > 0`);
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
    answer: (rows, query) => toRunsPage(query, allRows(rows)),
    size: { rows: runs },
  },
};
