import { describe, expect, it } from "vitest";
import * as z from "zod";
import { type ErrorCode, ServiceError } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { runsOf, workflow } from "../../src/engine.ts";
import { overfullTable, toServiceError } from "../../src/store/d1.ts";
import { rejection } from "../../src/testing/conformance/support.ts";
import { env } from "../support/env.ts";

/** What D1 says, and whether that tells for certain that nothing was written. */
const MESSAGES: readonly [message: string, code: ErrorCode][] = [
  ["D1_ERROR: D1 DB reset because its code was updated.", "UNAVAILABLE"],
  [
    "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.",
    "UNAVAILABLE",
  ],
  ["D1_ERROR: Network connection lost.", "UNAVAILABLE"],
  ["D1_ERROR: Internal error in D1 DB storage caused object to be reset.", "UNAVAILABLE"],
  ["D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.", "UNAVAILABLE"],
  ["D1_ERROR: Can't read from request stream because client disconnected.", "UNAVAILABLE"],
  [
    "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
    "UNAVAILABLE",
  ],
  ["D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset.", "UNAVAILABLE"],
  ["D1_ERROR: D1 DB exceeded its CPU time limit and was reset.", "UNAVAILABLE"],
  ["D1_ERROR: internal error; reference = 0123456789abcdef", "UNAVAILABLE"],
  ["The operation was aborted due to timeout", "UNAVAILABLE"],
  ["", "UNAVAILABLE"],
  ["D1_ERROR: D1 DB is overloaded. Requests queued for too long.", "OVERLOADED"],
  ["D1_ERROR: D1 DB is overloaded. Too many requests queued.", "OVERLOADED"],
  ["D1_ERROR: no such table: nowhere: SQLITE_ERROR", "INTERNAL"],
  ["D1_ERROR: bad JSON path: 'x': SQLITE_ERROR", "INTERNAL"],
  ["D1_ERROR: datatype mismatch: SQLITE_MISMATCH", "INTERNAL"],
  ["D1_ERROR: too many SQL variables at offset 207: SQLITE_ERROR", "INTERNAL"],
  ["D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT", "INTERNAL"],
  [
    "D1_ERROR: UNIQUE constraint failed: runs.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)",
    "INTERNAL",
  ],
  ["D1_TYPE_ERROR: Type 'bigint' not supported for value '1'", "INTERNAL"],
  ["D1_ERROR: statement too long: SQLITE_TOOBIG", "PAYLOAD_TOO_LARGE"],
  ["D1_ERROR: string or blob too big: SQLITE_TOOBIG", "PAYLOAD_TOO_LARGE"],
];

describe("a failure of D1", () => {
  it.each(MESSAGES)("%j is %s", (message, code) => {
    const cause = new Error(message);
    const error = toServiceError(cause);
    expect(error).toMatchObject({ name: "ServiceError", code, cause });
  });

  it("that is no Error at all is UNAVAILABLE", () => {
    expect(toServiceError("gone")).toMatchObject({ code: "UNAVAILABLE" });
    expect(toServiceError(undefined)).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("that is ours already stays as it is", () => {
    const error = new ServiceError("OVERLOADED", "Too much");
    expect(toServiceError(error)).toBe(error);
  });
});

/** Messages as this D1 really words them. */
describe("what D1 says", () => {
  async function told(sql: string, ...params: unknown[]): Promise<ServiceError> {
    const batch = env.DB.batch([env.DB.prepare(sql).bind(...params)]);
    return toServiceError(await rejection(batch));
  }
  async function failing(sql: string, ...params: unknown[]): Promise<ErrorCode> {
    return (await told(sql, ...params)).code;
  }

  it.each([
    ["a syntax error", "SELEC 1"],
    ["an unknown table", `SELECT * FROM "nowhere"`],
    ["a broken constraint", `INSERT INTO "commits" VALUES ('a', 'never heard of')`],
    ["a missing value", `INSERT INTO "commits" VALUES ('a', NULL)`],
    [
      "a row without its parent",
      `INSERT INTO "artifacts" VALUES ('r', 'k', 'o', 0, 0, NULL, 't', 'd', 0, NULL, '')`,
    ],
    ["too many variables", `SELECT ${Array.from({ length: 101 }, () => "?").join(", ")}`],
  ])("of %s is INTERNAL", async (_, sql) => {
    const count = sql.split("?").length - 1;
    expect(await failing(sql, ...Array.from({ length: count }, () => 1))).toBe("INTERNAL");
  });

  it.each([
    ["a table", "SELECT 1 FROM nowhere", /no such table: nowhere/],
    ["a column that is read", "SELECT later FROM runs", /no such column: later/],
    ["a column that is written", "INSERT INTO runs (later) VALUES (1)", /no column named later/],
    ["an index", "SELECT 1 FROM runs INDEXED BY later", /no such index: later/],
  ])("of %s that is not there yet names the command that makes it", async (_, sql, words) => {
    const { code, message } = await told(sql);
    expect(code).toBe("INTERNAL");
    expect(message).toContain("npx wrangler d1 migrations apply DB (--local or --remote)");
    expect(message).toMatch(words);
  });

  it("of a start before the migrations names the command, too", async () => {
    const DB = {
      prepare: (sql: string) => env.DB.prepare(sql.replaceAll('"watched_runs"', '"later_runs"')),
      batch: (statements: D1PreparedStatement[]) => env.DB.batch(statements),
    } as unknown as D1Database;
    const hello = workflow("hello", { input: z.null() })
      .stage("greet", () => "hi")
      .build();
    const starting = runsOf(embed({ DB, RUNS: env.RUNS })).start(hello, null);
    await expect(starting).rejects.toThrow(/apply the migrations, npx wrangler d1 migrations/);
  });

  it("of a statement that is too long is PAYLOAD_TOO_LARGE", async () => {
    expect(await failing(`SELECT '${"x".repeat(100_000)}'`)).toBe("PAYLOAD_TOO_LARGE");
  });
});

describe("the table whose row does not fit", () => {
  it.each([
    ["CHECK constraint failed: runs_row_fits: SQLITE_CONSTRAINT", "runs"],
    [
      "D1_ERROR: CHECK constraint failed: outbox_events_row_fits: SQLITE_CONSTRAINT",
      "outbox_events",
    ],
    ["D1_ERROR: CHECK constraint failed: runs_status_known: SQLITE_CONSTRAINT", null],
    ["D1_ERROR: Network connection lost.", null],
  ])("in %j is %j", (message, table) => {
    expect(overfullTable(message)).toBe(table);
  });
});
