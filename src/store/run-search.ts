/** The SQL that looks for runs. `changes/run-search.ts` tells what it answers, and what bounds its cost. */
import { allRows, type QuerySqlOf } from "./change-sql.ts";
import { longTextOfAll, type RunRow } from "../model/index.ts";
import {
  leadingFilter,
  type QueryOf,
  remainingFilters,
  type RunFilters,
  type RunPlace,
  RUNS_LOOKED_AT,
  type RunsPage,
  WORKFLOWS_MAX,
} from "../queries/index.ts";
import { runs } from "./schema.ts";
import { longTextSql, type Param, propertiesOf, selectRow, type Statement } from "./sql.ts";

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
  /** The far end of the range, for a walk that is under way. */
  readonly end: string;
  readonly order: string;
  readonly most: string;
}

export function selectRuns(query: RunsQuery): Statement {
  const { filters } = query;
  const params = new Params();
  const remaining = remainingFilters(filters);
  const leading = leadingFilter(filters);
  const most = params.add(remaining === null ? query.limit : RUNS_LOOKED_AT);
  const walk: Walk = { query, params, most, ...rangeAndOrder(query, params) };
  const columns = selectRow("runs", PROPERTIES, { omit: query.omit });
  switch (leading) {
    case "status":
    case "workflowId": {
      const along = alongRuns(walk, leading, params.add(filters[leading] ?? ""));
      if (remaining !== null) return judged(walk, along, remaining);
      if (bytesOf(query) !== null) return looked(walk, along);
      return { sql: `SELECT ${columns}, 1 AS "answered" ${along}`, params: params.values };
    }
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
  }
}

/**
 * A walk begins at one place: SQLite takes one lower and one upper bound into an index, and would read whatever is between a second one and
 * the first. So of the place after which a page begins and the instant at which the range does, only the later in the walk is asked for.
 */
function rangeAndOrder(query: RunsQuery, params: Params): Pick<Walk, "range" | "end" | "order"> {
  const { descending, filters } = query;
  const { createdFrom = -Infinity, createdBefore = Infinity } = filters;
  const isWithin = ({ createdAt }: RunPlace) =>
    descending ? createdAt < createdBefore : createdAt >= createdFrom;
  const after = query.after !== null && isWithin(query.after) ? query.after : null;
  const from = filters.createdFrom === undefined ? null : params.add(createdFrom);
  const before = filters.createdBefore === undefined ? null : params.add(createdBefore);
  const notBefore = from === null ? "" : ` AND "created_at" >= ${from}`;
  const notAfter = before === null ? "" : ` AND "created_at" < ${before}`;
  const end = descending ? notBefore : notAfter;
  let range = end;
  if (after === null) range += descending ? notAfter : notBefore;
  if (after !== null) {
    const place = `(${params.add(after.createdAt)}, ${params.add(after.ordinal)})`;
    range += ` AND ("created_at", "ordinal") ${descending ? "<" : ">"} ${place}`;
  }
  const direction = descending ? " DESC" : "";
  return { range, end, order: `"created_at"${direction}, "ordinal"${direction}, "id"${direction}` };
}

const INDEXES = {
  status: ["status", "runs_status_idx"],
  workflowId: ["workflow_id", "runs_workflow_idx"],
} as const;

/** FROM, with the runs whose column is `value`, a parameter or a column of what it is joined with. */
function alongRuns({ range, order, most }: Walk, by: keyof typeof INDEXES, value: string): string {
  const [column, index] = INDEXES[by];
  return `FROM "runs" INDEXED BY "${index}" WHERE "${column}" = ${value}${range} ORDER BY ${order} LIMIT ${most}`;
}

const PLACE = `"id", "created_at", "ordinal"`;

function alongAnnotated({ query, params, range, order, most }: Walk): string {
  const { key = "", value = "" } = query.filters.annotation ?? {};
  return `FROM (SELECT *, "workflow_run_id" AS "id" FROM "annotated_runs") WHERE "key" = ${params.add(key)} AND "value" = ${params.add(value)}${range} ORDER BY ${order} LIMIT ${most}`;
}

/**
 * The runs of several parts, merged. A queue of its own: each run that is taken out, in order, is followed by the next one of its part. So
 * no more is looked at than is answered, and the first run of each part.
 */
function merged(walk: Walk, parts: string, by: keyof typeof INDEXES, condition: string): string {
  const { query, end, most } = walk;
  // By number: a compound's order knows no other names.
  const order = [2, 3, 4].map((nth) => `${nth}${query.descending ? " DESC" : ""}`).join(", ");
  const place = ["created_at", "ordinal", "id"].map((name) => `page."${name}"`).join(", ");
  const behind = ` AND ("created_at", "ordinal", "id") ${query.descending ? "<" : ">"} (${place})${end}`;
  const runOf = (alias: string, part: string, range: string) =>
    `CROSS JOIN "runs" AS ${alias} ON ${alias}."id" = (SELECT "id" ${alongRuns({ ...walk, range, most: "1" }, by, part)})`;
  const first = `SELECT part."value", head."created_at", head."ordinal", head."id" FROM ${parts} AS part ${runOf("head", `part."value"`, walk.range)} WHERE ${condition}`;
  const next = `SELECT page."part", next."created_at", next."ordinal", next."id" FROM page ${runOf("next", `page."part"`, behind)}`;
  return (
    `FROM (WITH RECURSIVE page("part", "created_at", "ordinal", "id") AS (${first} UNION ALL ${next} ORDER BY ${order} LIMIT ${most}) ` +
    `SELECT ${PLACE} FROM page)`
  );
}

function alongAll(walk: Walk, condition = "true"): string {
  return merged(walk, `json_each('${STATUSES}')`, "status", condition);
}

const FEW = `(SELECT count(*) FROM kinds) <= ${WORKFLOWS_MAX}`;

/** The workflows that have had the type, and a name with the text; and how many of their runs are looked at. */
function kindsOf({ filters, limit }: RunsQuery, params: Params): string {
  const { status, workflowType, nameContains } = filters;
  const ofType =
    workflowType === undefined ? "" : ` WHERE "workflow_type" = ${params.add(workflowType)}`;
  const named =
    nameContains === undefined ? "1" : containsSql(`"workflow_name"`, nameContains, params);
  const most = params.add(status === undefined ? limit : RUNS_LOOKED_AT);
  return (
    `kinds("value", "named") AS (SELECT "workflow_id", ${named} FROM (SELECT * FROM "workflows"${ofType} LIMIT ${WORKFLOWS_MAX + 1})), ` +
    `found("value") AS (SELECT DISTINCT "value" FROM kinds WHERE "named" AND ${FEW}), ` +
    `share("most") AS (SELECT CASE WHEN ${FEW} THEN ${most} ELSE ${RUNS_LOOKED_AT} END), `
  );
}

/** The runs of few workflows; of many, all runs. */
function alongKinds(walk: Walk): string {
  return `FROM (SELECT * ${merged(walk, "found", "workflowId", "true")} UNION ALL SELECT * ${alongAll(walk, `NOT ${FEW}`)})`;
}

function containsSql(column: string, text: string, params: Params): string {
  return `instr(lower(${column}), lower(${params.add(text)})) > 0`;
}

/** The runs of the walk, all of them. */
function looked({ query, params, order }: Walk, along: string): Statement {
  const inOrder = order.replaceAll(/"\w+"/g, (column) => `looked.${column}`);
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

/** The SQL of what a run adds to a page's bytes; null where nobody counts them. */
function bytesOf({ bytesMax, omit }: RunsQuery): string | null {
  return bytesMax === undefined ? null : longTextSql("runs", omit, "runs");
}

function withinSql({ bytesMax = 0 }: RunsQuery, params: Params): string {
  return `"before" < ${params.add(bytesMax)}`;
}

/**
 * The runs of the walk that satisfy the conditions, the first `limit`; and the last run that was looked at if the walk went as far as it
 * may, so that a page can tell where to go on.
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
  const { status, workflowId, workflowType, nameContains } = filters;
  const conditions: string[] = [];
  const equal = (column: string, value: string | undefined) => {
    if (value !== undefined) conditions.push(`"runs"."${column}" = ${params.add(value)}`);
  };
  equal("status", status);
  equal("workflow_id", workflowId);
  equal("workflow_type", workflowType);
  if (nameContains !== undefined) {
    conditions.push(containsSql(`"runs"."workflow_name"`, nameContains, params));
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
