/** Runs: the SQL of their queries and changes. */
import type { Status } from "../contract/index.ts";
import { aRowOf, count, oneRow, rowsOf, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import type { ChangeOf } from "../changes/index.ts";
import { INSTANT_MAX, type NewRunRow, UNPOLLED_MS } from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { QueryOf } from "../queries/index.ts";
import { dropTexts, holdTexts, insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import {
  column,
  columns,
  groupBy,
  type Param,
  selectRow,
  sourcesOf,
  type Statement,
  statement,
  updateRows,
} from "./sql.ts";

const PROPERTIES = propertiesOf("runs");
const SELECT = `SELECT ${selectRow("runs", PROPERTIES)} FROM "runs"`;
const NEW_ROW = propertiesOf("runs", "commits");

export function selectRun(query: QueryOf<"run">): Statement {
  return statement(`${SELECT} WHERE "id" = ?`, query.id);
}

export function selectRunStatus(query: QueryOf<"runStatus">): Statement {
  return statement(`SELECT "status" FROM "runs" WHERE "id" = ?`, query.id);
}

export function selectPendingRuns(query: QueryOf<"pendingRuns">): Statement {
  return statement(
    `${SELECT} INDEXED BY "runs_pending_idx" WHERE "status" = 'PENDING' ORDER BY "priority" DESC, "ordinal" LIMIT CAST(? AS INTEGER)`,
    query.limit,
  );
}

export function countWaitingRuns({ before, limit }: QueryOf<"waitingRuns">): Statement {
  return statement(
    `SELECT count(*) AS "count" FROM (SELECT 1 FROM "runs" INDEXED BY "runs_status_idx" WHERE "status" = 'PENDING' AND "created_at" <= ? LIMIT CAST(? AS INTEGER))`,
    before,
    limit,
  );
}

export function selectStuckRuns(query: QueryOf<"stuckRuns">): Statement {
  const { since, now, after, limit } = query;
  // Written as one condition per table with OR inside, D1 can only search by the run. Separate
  // conditions would let it use an index of all live rows, as it does once it has statistics from a
  // quiet hour.
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

const KIND = ["workflowType", "workflowId", "workflowName"] as const;

function noteWorkflows(rows: readonly NewRunRow[]): Statement[] {
  const kinds = groupBy(rows, (row) => JSON.stringify(KIND.map((name) => row[name])));
  const first = [...kinds.values()].flatMap((alike) => alike.slice(0, 1));
  return sourcesOf(first, KIND).map(({ sql, params }) => ({
    sql: `INSERT INTO "workflows" (${columns(KIND)}) SELECT ${columns(KIND)} FROM ${sql} WHERE true ON CONFLICT DO NOTHING`,
    params,
  }));
}

/**
 * Updates that set the same columns share a statement. Columns that are not set stay out of it, so
 * that their indexes cost nothing.
 */
export function updateRuns(changes: readonly ChangeOf<"updateRun">[], commitId: string) {
  return [...updateBySet("runs", ["id"], changes, commitId), ...attendAnew(changes)];
}

/**
 * Stages of a run that was finished and is live again. The unary plus makes D1 look up this run's
 * stages, not all that are suspended.
 */
function attendAnew(changes: readonly ChangeOf<"updateRun">[]): Statement[] {
  const live = changes.filter(({ set: { status } }) => status !== undefined && isLive({ status }));
  const rows = live.map(({ id }) => ({ workflowRunId: id }));
  const ofRuns = { key: ["workflowRunId"], rows, names: [] } as const;
  return updateRows("stages", ofRuns, null, () => ({
    set: `"attend_at" = ${attendAtSql(`"stages"."status"`, `"stages"."next_poll_at"`)}`,
    where: `+"stages"."attend_at" IS NULL AND +"stages"."status" = 'SUSPENDED' AND +"stages"."next_poll_at" IS NOT NULL`,
  }));
}

/** The properties that decide when the sweep looks at a stage. */
export const ATTENDED_BY = ["status", "nextPollAt"] as const;

/**
 * The assignment of a stage's `attend_at`; empty if none of the properties that are set decides it.
 * `given` is the SQL of a property's new value.
 */
export function attendance(set: readonly string[], given: (name: string) => string): string {
  if (!ATTENDED_BY.some((name) => set.includes(name))) return "";
  const [status, nextPollAt] = ATTENDED_BY.map((name) =>
    set.includes(name) ? given(name) : `"stages".${column(name)}`,
  );
  return `"attend_at" = ${attendAtSql(status, nextPollAt)}, `;
}

function attendAtSql(status: string | undefined, nextPollAt: string | undefined): string {
  return `CASE WHEN ${status} = 'SUSPENDED' THEN min(${nextPollAt} + ${UNPOLLED_MS}, ${INSTANT_MAX}) END`;
}

/**
 * UPDATE of runs or stages with the columns of each change's `set`. Changes that set the same
 * columns share a statement.
 */
export function updateBySet<
  C extends { readonly set: object; readonly at: number; readonly bump: number },
>(
  table: "runs" | "stages",
  key: readonly (keyof C & string)[],
  changes: readonly C[],
  commitId: string,
): Statement[] {
  return [...groupBy(changes, (change) => setColumns(change).join()).values()].flatMap((group) => {
    const set = group[0] === undefined ? [] : setColumns(group[0]);
    const rows: Record<string, unknown>[] = group.map((change) => ({ ...change, ...change.set }));
    const names = ["at", "bump", ...set];
    const held = holdTexts(table, rows, "after");
    const all = { key, rows: held.rows, names };
    const updates = updateRows<Record<string, unknown>>(table, all, commitId, (given) => ({
      set:
        set.map((name) => `${column(name)} = ${held.stored(name, given(name))}, `).join("") +
        (table === "stages" ? attendance(set, given) : "") +
        `"updated_at" = ${given("at")}, "version" = "version" + ${given("bump")}`,
    }));
    const replacing = group.filter((change) => !("first" in change) || change.first !== true);
    const older = replacing.length === 0 ? [] : dropTexts(table, rows, set);
    return [...older, ...updates, ...held.after];
  });
}

function setColumns(change: { readonly set: object }): string[] {
  return Object.entries(change.set)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name)
    .toSorted();
}

export function chargeRuns(changes: readonly ChangeOf<"chargeRun">[], commitId: string) {
  const charges = changes.map(({ calls, ...change }) => ({
    ...change,
    calls: calls === undefined ? null : JSON.stringify(calls),
  }));
  const rows = { key: ["id"], rows: charges, names: ["cost", "tokens", "calls", "at"] } as const;
  return updateRows("runs", rows, commitId, (given) => {
    const fresh = (name: string) =>
      `(SELECT coalesce(sum(item.value ->> '${name}'), 0) FROM json_each(${given("calls")}) AS item ` +
      `WHERE NOT EXISTS (SELECT 1 FROM "ai_calls" AS known WHERE known."batch_id" = item.value ->> 'batchId' AND known."ordinal" = item.value ->> 'ordinal'))`;
    const added = (name: "cost" | "tokens") =>
      `"total_${name}" + (${given(name)} + ${fresh(name)})`;
    return {
      set: `"total_cost" = ${added("cost")}, "total_tokens" = ${added("tokens")}, "updated_at" = ${given("at")}`,
    };
  });
}

export const runChangeSql: ChangeSqlOf<"createRun" | "updateRun" | "chargeRun"> = {
  chargeRun: { write: chargeRuns },
  createRun: { write: createRuns },
  updateRun: { write: updateRuns },
};

export const runQuerySql: QuerySqlOf<
  "run" | "runStatus" | "pendingRuns" | "stuckRuns" | "waitingRuns"
> = {
  run: { select: selectRun, ...aRowOf("runs") },
  runStatus: {
    select: selectRunStatus,
    answer: (rows) => oneRow<{ status: Status }>(rows)?.status ?? null,
    size: "number",
  },
  pendingRuns: { select: selectPendingRuns, ...rowsOf("runs") },
  stuckRuns: { select: selectStuckRuns, ...rowsOf("runs") },
  waitingRuns: { select: countWaitingRuns, ...count },
};
