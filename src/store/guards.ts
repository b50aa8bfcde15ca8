/**
 * Guards in SQL. A guard that does not hold makes its SELECT fail, and D1 rolls the whole batch
 * back; one that holds writes nothing. The guard fails through an invalid JSON path: we choose its
 * text, and the error repeats it (`bad JSON path: '...'`). A constraint would not do so, and would
 * need a table or a trigger.
 */
import {
  type Guard,
  guardedRow,
  isRowGuard,
  type GuardedTable,
  type RowGuard,
  type Violation,
} from "../changes/index.ts";
import { signalPrefix } from "../model/index.ts";
import { KEYS } from "../model/state.ts";
import { tailOf } from "./outbox.ts";
import { snakeCase } from "./names.ts";
import { untakenSignal } from "./signals.ts";
import { column, IS_LIVE, type Param, sourcesOf, type Statement, tokenSql } from "./sql.ts";

/**
 * The table of each kind of guarded row, and the column that a violation tells; null: only whether
 * the row exists.
 */
const ROWS: Record<RowGuard["on"], { table: GuardedTable; actual: string | null }> = {
  run: { table: "runs", actual: "version" },
  stage: { table: "stages", actual: "version" },
  artifact: { table: "artifacts", actual: null },
  outboxEvent: { table: "outboxEvents", actual: null },
  idempotencyKey: { table: "idempotencyKeys", actual: null },
  job: { table: "jobs", actual: "attempt" },
};

/** The table of each list, and the order of its tokens. */
const LISTS = {
  stages: { table: "stages", order: "stage_id" },
  artifacts: { table: "artifacts", order: "key" },
  annotations: { table: "annotations", order: "ordinal" },
  jobs: { table: "jobs", order: "ordinal" },
} as const;

/** One statement for each stretch of guards on the same kind of thing. */
export function guardStatements(guards: readonly Guard[]): Statement[] {
  const statements: Statement[] = [];
  let start = 0;
  while (start < guards.length) {
    const first = guards[start];
    if (first === undefined) break;
    let end = start + 1;
    while (end < guards.length && sameStatement(first, guards[end])) end += 1;
    statements.push(...guardsOn(first, guards.slice(start, end), start));
    start = end;
  }
  return statements;
}

function sameStatement(a: Guard, b: Guard | undefined): boolean {
  if (b === undefined || a.on !== b.on) return false;
  return a.on !== "list" || b.on !== "list" || a.list === b.list;
}

/** A guard that is alone looks its row up by parameters: less to send, and less to compile. */
function guardAlone(guard: RowGuard, place: number): Statement {
  const { table, actual } = ROWS[guard.on];
  const { a, b, is, value } = flat(guard, place);
  const name = `"${snakeCase(table)}"`;
  const key = KEYS[table].map(column);
  const keys = [a, b].slice(0, key.length);
  const rows = `FROM ${name} WHERE ${key.map((each) => `${each} = ?`).join(" AND ")}`;
  const found = `SELECT ${actual === null ? "0" : `"${actual}"`} ${rows}`;
  const refuses = (violated: string, ...params: Param[]): Statement => ({
    sql: `SELECT json_extract('{}', 'wfe:guard:' || CAST(? AS INTEGER) || ':' || ifnull((${found}), -1)) WHERE ${violated}`,
    params: [place, ...keys, ...keys, ...params],
  });
  if (is === "absent") return refuses(`EXISTS (SELECT 1 ${rows})`);
  if (is === "present") return refuses(`NOT EXISTS (SELECT 1 ${rows})`);
  const holding = arm(guard.expect.is, name, `${name}.${key[0]}`).replace(`src."value"`, "?");
  return refuses(`NOT EXISTS (SELECT 1 ${rows} AND ${holding})`, value);
}

function guardsOn(first: Guard, guards: readonly Guard[], start: number): Statement[] {
  if (guards.length === 1 && isRowGuard(first)) return [guardAlone(first, start)];
  const rows = guards.map((guard, index) => flat(guard, start + index));
  switch (first.on) {
    case "list": {
      const { table, order } = LISTS[first.list];
      const tokens = `SELECT ifnull(group_concat(${tokenSql(`"commits"`)}, ',' ORDER BY "${order}"), '') FROM "${table}" WHERE "workflow_run_id" = src."a"${
        first.list === "stages" ? ` AND (src."b" IS NULL OR "status" = src."b")` : ""
      }`;
      return refusing(rows, "", `(${tokens}) = src."value"`, "0");
    }
    case "outboxTail":
      return refusing(rows, "", `${tailOf(`src."a"`)} = src."value"`, "0");
    case "noSignal":
      return refusing(
        rows,
        "",
        `NOT EXISTS (${untakenSignal(`src."a"`, `src."b"`, `src."value"`)})`,
        "0",
      );
    case "dedupeKey":
      return refusing(
        rows,
        "",
        `NOT EXISTS (SELECT 1 FROM "jobs" INDEXED BY "jobs_dedupe_idx" WHERE "dedupe_key" = src."a" AND "dedupe_key" IS NOT NULL AND "status" ${IS_LIVE})`,
        "0",
      );
    default: {
      const { table, actual } = ROWS[first.on];
      const key = KEYS[table].map(column);
      const name = `"${snakeCase(table)}"`;
      const on = key.map((each, index) => `${name}.${each} = src."${"ab"[index]}"`);
      const there = `${name}.${key[0]}`;
      return refusing(
        rows,
        `LEFT JOIN ${name} ON ${on.join(" AND ")}`,
        holds(guards, name, there),
        actual === null ? `iif(${there} IS NULL, -1, 0)` : `ifnull(${name}."${actual}", -1)`,
      );
    }
  }
}

type Expected = RowGuard["expect"]["is"];

/** The condition, with the arms that these guards need: SQLite has less to compile. */
function holds(guards: readonly Guard[], table: string, there: string): string {
  const expectations = new Set(
    guards.flatMap((guard) => ("expect" in guard ? guard.expect.is : [])),
  );
  const [only] = expectations;
  if (only !== undefined && expectations.size === 1) return arm(only, table, there);
  const arms = [...expectations].map((is) => `WHEN '${is}' THEN ${arm(is, table, there)}`);
  return `CASE src."is" ${arms.join(" ")} ELSE 0 END`;
}

function arm(is: Expected, table: string, there: string): string {
  switch (is) {
    case "present":
      return `${there} IS NOT NULL`;
    case "absent":
      return `${there} IS NULL`;
    case "unchanged":
      return `${tokenSql(`${table}."commits"`)} IS src."value"`;
    case "version":
    case "status":
    case "attempt":
      return `${table}."${is}" IS src."value"`;
    case "record":
      return `${table}."id" IS src."value"`;
    case "recordIn":
      return `(${table}."status" || ' ' || ${table}."id" IS src."value")`;
    case "leased":
      return `(${table}."attempt" || ' ' || ${table}."stage_id" IS src."value" AND +${table}."status" IS 'RUNNING')`;
  }
}
/**
 * A guard as a row of a statement: its place in the commit, the two parts of its key, and what is
 * expected.
 */
interface FlatGuard {
  readonly place: number;
  readonly a: Param;
  readonly b: Param;
  readonly is: string;
  readonly value: Param;
}

function flat(guard: Guard, place: number): FlatGuard {
  switch (guard.on) {
    case "list":
      return { place, a: guard.workflowRunId, b: guard.status, is: "tokens", value: guard.tokens };
    case "dedupeKey":
      return { place, a: guard.dedupeKey, b: null, is: "absent", value: null };
    case "noSignal": {
      const { workflowRunId: a, name: b } = guard;
      return { place, a, b, is: "absent", value: signalPrefix(b) };
    }
    case "outboxTail":
      return { place, a: guard.workflowRunId, b: null, is: "sequence", value: guard.sequence };
    default: {
      const { table, part, key } = guardedRow(guard);
      // The maps have a text as the key, the column a number.
      const b = table === "outboxEvents" ? Number(key) : key;
      return { place, a: part, b: table === "runs" ? null : b, ...expected(guard.expect) };
    }
  }
}

function expected(expect: RowGuard["expect"]): { is: string; value: Param } {
  switch (expect.is) {
    case "present":
    case "absent":
      return { is: expect.is, value: null };
    case "unchanged":
      return { is: expect.is, value: expect.token };
    case "version":
      return { is: expect.is, value: expect.version };
    case "status":
      return { is: expect.is, value: expect.status };
    case "record":
      return { is: expect.is, value: expect.id };
    case "recordIn":
      return { is: expect.is, value: `${expect.status} ${expect.id}` };
    case "attempt":
      return { is: expect.is, value: expect.attempt };
    case "leased":
      return { is: expect.is, value: `${expect.attempt} ${expect.stageId}` };
  }
}

const VIOLATION = /wfe:guard:(\d+):(-?\d+)/;

/**
 * A SELECT that fails, with the guard's place and what was found, for the first row whose condition
 * does not hold.
 */
function refusing(
  rows: readonly FlatGuard[],
  join: string,
  condition: string,
  actual: string,
): Statement[] {
  return sourcesOf(rows, ["place", "a", "b", "is", "value"]).map((source) => ({
    sql:
      `SELECT json_extract('{}', 'wfe:guard:' || CAST(src."place" AS INTEGER) || ':' || CAST(${actual} AS INTEGER)) ` +
      `FROM ${source.sql} ${join} WHERE NOT (${condition})`,
    params: source.params,
  }));
}

/** The violation that the message of a failed batch tells, or null. */
export function violationIn(message: string): Violation | null {
  const match = VIOLATION.exec(message);
  return match === null ? null : { guard: Number(match[1]), actual: Number(match[2]) };
}
