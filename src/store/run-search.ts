/** The SQL that looks for runs. `queries/run-search.ts` tells what it answers, and what bounds its cost. */
import { allRows, type QuerySqlOf } from "./change-sql.ts";
import { longTextOfAll, type RunRow } from "../model/index.ts";
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
const STATUSES = `["PENDING","RUNNING","SUSPENDED","COMPLETED","FAILED","CANCELLED","SKIPPED"]`;

type RunsQuery = QueryOf<"runs">;

/** Parameters by number, since some stand in a statement more than once. */
class Params {
  readonly values: Param[] = [];

  add(value: Param): string {
    this.values.push(value);
    return `?${this.values.length}`;
  }
}

/** A walk along an index: which rows, in which order, at most how many. */
interface Walk {
  readonly query: RunsQuery;
  readonly params: Params;
  /** Of created_at and ordinal, or of their copies beside an annotation. */
  readonly range: string;
  readonly order: string;
  readonly most: string;
}

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
 * A walk begins at one place: SQLite takes one lower and one upper bound into an index, and would read whatever is between a second one and
 * the first. So of the place after which a page begins and the instant at which the range does, only the later in the walk is asked for.
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

/** FROM, with the runs whose column is `value`, a parameter or a column of what it is joined with. */
function alongRuns({ range, order, most }: Walk, by: By, value: string): string {
  return `FROM "runs" INDEXED BY "${RUNS_BY[by]}" WHERE ${column(by)} = ${value}${range} ORDER BY ${order} LIMIT ${most}`;
}

const PLACE = `"id", "created_at", "ordinal"`;

function alongAnnotated({ query, params, range, order, most }: Walk): string {
  const { key = "", value = "" } = query.filters.annotation ?? {};
  return `FROM (SELECT *, "workflow_run_id" AS "id" FROM "annotated_runs") WHERE "key" = ${params.add(key)} AND "value" = ${params.add(value)}${range} ORDER BY ${order} LIMIT ${most}`;
}

/** The first of each part, merged: a function over the rows of a part is the one lateral join that SQLite has. */
function merged(walk: Walk, parts: string, by: By, condition: string): string {
  const { order, most } = walk;
  const ofPart = `SELECT json_group_array(json_array(${PLACE})) FROM (SELECT ${PLACE} ${alongRuns(walk, by, "part.value")})`;
  return (
    `FROM (SELECT item.value ->> 0 AS "id", item.value ->> 1 AS "created_at", item.value ->> 2 AS "ordinal" ` +
    `FROM ${parts} AS part JOIN json_each((${ofPart})) AS item WHERE ${condition} ORDER BY ${order} LIMIT ${most})`
  );
}

function alongAll(walk: Walk, condition = "true"): string {
  return merged(walk, `json_each('${STATUSES}')`, "status", condition);
}

const NEXT_NAME = `SELECT "workflow_name" FROM "runs" INDEXED BY "runs_name_idx"`;
/** The distinct names, one seek each; NULL behind the last. */
const NAMES =
  `names("value") AS (SELECT (${NEXT_NAME} ORDER BY "workflow_name" LIMIT 1) UNION ALL ` +
  `SELECT (${NEXT_NAME} WHERE "workflow_name" > names."value" ORDER BY "workflow_name" LIMIT 1) FROM names WHERE names."value" IS NOT NULL LIMIT ${RUN_NAMES_MAX + 2})`;
const FEW = `(SELECT count("value") FROM names) <= ${RUN_NAMES_MAX}`;

/** The runs of the walk, all of them. */
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

/** The SQL of what a run adds to a page's bytes; null where nobody counts them. */
function bytesOf({ bytesMax, omit }: RunsQuery): string | null {
  return bytesMax === undefined ? null : longTextSql("runs", omit, "runs");
}

function withinSql({ bytesMax = 0 }: RunsQuery, params: Params): string {
  return `"before" < ${params.add(bytesMax)}`;
}

/** Among few names those that contain the text, and how many runs are looked at: {@link runsOfNames}. */
function namesThatContain(text: string, limit: string): string {
  return (
    `found("value") AS (SELECT "value" FROM names WHERE "value" IS NOT NULL AND instr(lower("value"), lower(${text})) > 0 AND ${FEW}), ` +
    `share("most") AS (SELECT CASE WHEN ${FEW} THEN max(1, min(${limit}, ${RUNS_LOOKED_AT} / max(1, count(*)))) ELSE ${RUNS_LOOKED_AT} END FROM found)`
  );
}

/** The runs of few names; among many names the runs are walked, and each is asked for its name. */
function amongNames(walk: Walk): string {
  const ofNames = merged(walk, "found", "workflowName", "true");
  return `FROM (SELECT * ${ofNames} UNION ALL SELECT * ${alongAll(walk, `NOT ${FEW}`)})`;
}

/**
 * The runs of the walk that satisfy the conditions, the first `limit`; and the last run that was looked at if the walk went as far as it
 * may, so that a page can tell where to go on.
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
  /** 1, or 0 for the last run that was looked at. */
  readonly answered: number;
  /** 1 for the last run of a walk that went as far as it may; absent where all that are looked at are answered. */
  readonly stopped?: number;
}

/** The page: the runs that are answered; `next` from the last of them, or from the last that was looked at. */
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
