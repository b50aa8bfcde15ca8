/** Runs: the SQL of their queries and changes. */
import type { Status } from "../contract/index.ts";
import { aRowOf, count, oneRow, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { INSTANT_MAX, type NewRunRow, UNPOLLED_MS } from "../model/index.ts";
import type { QueryOf } from "../queries/index.ts";
import {
  chunksOf,
  dropCleared,
  heldRow,
  insertRows,
  placed,
  placesOf,
  putSet,
} from "./long-texts.ts";
import { runs } from "./schema.ts";
import {
  column,
  columns,
  groupBy,
  type Param,
  propertiesOf,
  remembering,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
} from "./sql.ts";

const PROPERTIES = propertiesOf(runs);
const SELECT = `SELECT ${selectRow("runs", PROPERTIES)} FROM "runs"`;
const NEW_ROW = propertiesOf(runs, "commits");

export function selectRun(query: QueryOf<"run">): Statement {
  return statement(`${SELECT} WHERE "id" = ?`, query.id);
}

export function selectRunStatus(query: QueryOf<"runStatus">): Statement {
  return statement(`SELECT "status" FROM "runs" WHERE "id" = ?`, query.id);
}

export function selectPendingRuns(query: QueryOf<"pendingRuns">): Statement {
  return statement(
    `${SELECT} INDEXED BY "runs_pending_idx" WHERE "status" = 'PENDING' ORDER BY "priority" DESC, "ordinal" LIMIT ?`,
    query.limit,
  );
}

export function countWaitingRuns({ before, limit }: QueryOf<"waitingRuns">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM (SELECT "updated_at" FROM "runs" INDEXED BY "runs_pending_idx" WHERE "status" = 'PENDING' ORDER BY "priority" DESC, "ordinal" LIMIT ?) WHERE "updated_at" <= ?`,
    limit,
    before,
  );
}

export function selectStuckRuns(query: QueryOf<"stuckRuns">): Statement {
  const { since, now, after, limit } = query;
  // One condition per table, with OR inside: D1 then has no way to it but by the run. Alone, each could be looked up in an
  // index of all live rows, which is what D1 does once it has statistics from a quiet hour.
  const stage =
    `"stages"."updated_at" > ?1 ` +
    `OR ("stages"."status" = 'SUSPENDED' AND "stages"."next_poll_at" > ?2)`;
  const backlog = `EXISTS (SELECT 1 FROM "jobs" AS leased INDEXED BY "jobs_leased_idx" WHERE leased."status" = 'RUNNING' AND leased."locked_at" > ?1)`;
  const job =
    `("jobs"."status" = 'RUNNING' AND "jobs"."locked_at" > ?1) ` +
    `OR ("jobs"."status" = 'PENDING' AND ("jobs"."next_poll_at" > ?2 OR ${backlog}))`;
  const params: Param[] = [since, now];
  let place = "";
  if (after !== undefined && after !== null) {
    place = ` AND ("updated_at", "ordinal") > (?3, ?4)`;
    params.push(after.updatedAt, after.ordinal);
  }
  return statement(
    `${SELECT} WHERE "status" = 'RUNNING' AND "updated_at" <= ?1${place} ` +
      `AND NOT EXISTS (SELECT 1 FROM "stages" WHERE "stages"."workflow_run_id" = "runs"."id" AND (${stage})) ` +
      `AND NOT EXISTS (SELECT 1 FROM "jobs" WHERE "jobs"."workflow_run_id" = "runs"."id" AND (${job})) ` +
      `ORDER BY "updated_at", "ordinal"${limit === undefined ? "" : ` LIMIT ${limit}`}`,
    ...params,
  );
}

export function createRuns(changes: readonly ChangeOf<"createRun">[], commitId: string) {
  const rows = changes.map((change) => change.row);
  return [...insertRows("runs", rows, NEW_ROW, commitId), ...noteWorkflows(rows)];
}

function noteWorkflows(rows: readonly NewRunRow[]): Statement[] {
  const names = ["workflowType", "workflowId", "workflowName"] as const;
  const groups = groupBy(rows, (row) => JSON.stringify(names.map((name) => row[name])));
  const first = [...groups.values()].flatMap((group) => group.slice(0, 1));
  return sourcesOf(first, names).map((source) => ({
    sql: `INSERT INTO "workflows" (${columns(names)}) SELECT ${columns(names)} FROM ${source.sql} WHERE true ON CONFLICT DO NOTHING`,
    params: source.params,
  }));
}

/** Updates that set the same columns share a statement; unset columns stay out of it, and out of the indexes' cost. */
export function updateRuns(changes: readonly ChangeOf<"updateRun">[], commitId: string) {
  return [...updateBySet("runs", ["id"], changes, commitId), ...attendAnew(changes)];
}

/** Stages of a run that was finished, and is live again. The unary plus: of this run, not of all that are suspended. */
function attendAnew(changes: readonly ChangeOf<"updateRun">[]): Statement[] {
  const live = changes.filter(({ set: { status } }) => status !== undefined && isLive(status));
  return sourcesOf(live, ["id"]).map((source) => ({
    sql:
      `UPDATE "stages" SET "attend_at" = ${attendAtSql(`"stages"."status"`, `"stages"."next_poll_at"`)} FROM ${source.sql} ` +
      `WHERE "stages"."workflow_run_id" = src."id" AND +"stages"."attend_at" IS NULL AND +"stages"."status" = 'SUSPENDED' AND +"stages"."next_poll_at" IS NOT NULL`,
    params: source.params,
  }));
}

function isLive(status: Status): boolean {
  return status === "PENDING" || status === "RUNNING" || status === "SUSPENDED";
}

/** What decides when a stage is attended to. */
export const ATTENDED_BY = ["status", "nextPollAt"] as const;

/** Sets a stage's `attend_at` anew, where one of the columns that are set decides it; `given` is the SQL of the value that one is given. */
export function attendance(set: readonly string[], given: (column: string) => string): string {
  if (!ATTENDED_BY.some((name) => set.includes(name))) return "";
  const [status, nextPollAt] = ATTENDED_BY.map((name) =>
    set.includes(name) ? given(column(name)) : `"stages".${column(name)}`,
  );
  return `"attend_at" = ${attendAtSql(status, nextPollAt)}, `;
}

function attendAtSql(status: string | undefined, nextPollAt: string | undefined): string {
  return `CASE WHEN ${status} = 'SUSPENDED' THEN min(${nextPollAt} + ${UNPOLLED_MS}, ${INSTANT_MAX}) END`;
}

/** UPDATE of runs or stages with the columns of each change's `set`, grouped by which columns those are. */
export function updateBySet<
  C extends { readonly set: object; readonly at: number; readonly bump: number },
>(
  table: "runs" | "stages",
  key: readonly (keyof C & string)[],
  changes: readonly C[],
  commitId: string,
): Statement[] {
  const statements: Statement[] = [];
  for (const group of groupBy(changes, (change) => setColumns(change).join()).values()) {
    const set = group[0] === undefined ? [] : setColumns(group[0]);
    const names = [...key, "at", "bump", ...set];
    const rows = group.map((change) => ({ ...change, ...change.set }));
    const held = rows.map((row) => heldRow(table, row));
    const places = placesOf(held);
    const commits = remembering(commitId, `"${table}"."commits"`);
    for (const { source, first, end } of chunksOf(held, [...names, ...places])) {
      statements.push({
        sql:
          `UPDATE "${table}" SET ${set.map((name) => `${column(name)} = src.${column(name)}, `).join("")}${placed(table, places)}` +
          `${table === "stages" ? attendance(set, (name) => `src.${name}`) : ""}"updated_at" = src."at", "version" = "version" + src."bump", "commits" = ${commits.sql} ` +
          `FROM ${source.sql} WHERE ${key.map((name) => `"${table}".${column(name)} = src.${column(name)}`).join(" AND ")}`,
        params: [...commits.params, ...source.params],
      });
      const written = rows.slice(first, end);
      statements.push(...putSet(table, written, set), ...dropCleared(table, written, set));
    }
  }
  return statements;
}

function setColumns(change: { readonly set: object }): string[] {
  return Object.entries(change.set)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name)
    .toSorted();
}

export const runChangeSql: ChangeSqlOf<"createRun" | "updateRun"> = {
  createRun: { write: createRuns },
  updateRun: { write: updateRuns },
};

export const runQuerySql: QuerySqlOf<
  "run" | "runStatus" | "pendingRuns" | "stuckRuns" | "waitingRuns"
> = {
  run: { select: selectRun, ...aRowOf(runs) },
  runStatus: {
    select: selectRunStatus,
    answer: (rows) => oneRow<{ status: Status }>(rows)?.status ?? null,
    size: "number",
  },
  pendingRuns: { select: selectPendingRuns, ...rowsOf(runs) },
  stuckRuns: { select: selectStuckRuns, ...rowsOf(runs) },
  waitingRuns: { select: countWaitingRuns, ...count },
};
