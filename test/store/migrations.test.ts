import { applyD1Migrations, reset } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { aRun } from "../../src/testing/conformance/support.ts";
import { env } from "../support/env.ts";

interface Entity {
  type: string;
  name: string;
  sql: string | null;
}

async function schema(): Promise<Entity[]> {
  const { results } = await env.DB.prepare(
    `SELECT "type", "name", "sql" FROM sqlite_master WHERE "name" NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY "type", "name"`,
  ).run<Entity>();
  return results;
}

async function applied(): Promise<string[]> {
  const { results } = await env.DB.prepare(`SELECT "name" FROM "d1_migrations" ORDER BY "id"`).run<{
    name: string;
  }>();
  return results.map(({ name }) => name);
}

function migrate(): Promise<void> {
  return applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
}

describe("the migrations", () => {
  beforeEach(async () => {
    await reset();
  });

  it("make the tables in an empty database", async () => {
    expect(await schema()).toEqual([]);
    await migrate();
    expect((await schema()).map(({ name }) => name)).toContain("runs");
    expect(await applied()).toEqual(env.TEST_MIGRATIONS.map(({ name }) => name));
  });

  it("applied twice change nothing", async () => {
    await migrate();
    const before = await schema();
    const { id } = await embed(env).persistence.createRun(aRun());

    await migrate();

    expect(await schema()).toEqual(before);
    expect(await applied()).toHaveLength(env.TEST_MIGRATIONS.length);
    expect(await embed(env).persistence.getRun(id)).not.toBeNull();
  });

  it("are applied one after the other as well as together", async () => {
    await migrate();
    const together = await schema();
    await reset();
    for (let count = 1; count <= env.TEST_MIGRATIONS.length; count += 1) {
      await applyD1Migrations(env.DB, env.TEST_MIGRATIONS.slice(0, count));
    }
    expect(await schema()).toEqual(together);
  });
});

/** A database as 0004 left it, with work that is open: what the sweep found by status then, it finds by lines of its own now. */
describe("what was open before there were lines of open work", () => {
  const AT = 1_700_000_000_000;
  const DAY_MS = 86_400_000;

  /** A row, with 0 or "" in every column that needs a value and is not given one. */
  async function insert(table: string, row: Record<string, string | number>): Promise<void> {
    const { results } = await env.DB.prepare(`PRAGMA table_info("${table}")`).run<{
      name: string;
      type: string;
      notnull: number;
    }>();
    const needed = results.filter(({ notnull }) => notnull === 1);
    const values: Record<string, string | number> = {
      ...Object.fromEntries(needed.map(({ name, type }) => [name, type === "TEXT" ? "" : 0])),
      ...row,
    };
    const names = Object.keys(values).map((name) => `"${name}"`);
    await env.DB.prepare(
      `INSERT INTO "${table}" (${names.join()}) VALUES (${names.map(() => "?").join()})`,
    )
      .bind(...Object.values(values))
      .run();
  }

  async function told(sql: string): Promise<unknown[]> {
    return (await env.DB.prepare(sql).run()).results;
  }

  it("is in them, and what is over is not", async () => {
    await reset();
    const before = env.TEST_MIGRATIONS.findIndex(({ name }) => name.startsWith("0005"));
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS.slice(0, before));
    for (const [id, status] of [
      ["live", "RUNNING"],
      ["over", "CANCELLED"],
    ] as const) {
      await insert("runs", { id, status });
      const row = { workflow_run_id: id, updated_at: AT };
      await insert("stages", { ...row, stage_id: "s", status: "SUSPENDED", next_poll_at: AT });
      await insert("jobs", { ...row, ordinal: "1", status: "SUSPENDED", next_poll_at: AT });
      await insert("jobs", { ...row, ordinal: "2", status: "FAILED", completed_at: AT });
      await insert("jobs", { ...row, ordinal: "3", status: "COMPLETED", completed_at: AT });
    }

    await migrate();

    expect(await told(`SELECT "workflow_run_id", "attend_at" FROM "stages" ORDER BY 1`)).toEqual([
      { workflow_run_id: "live", attend_at: AT + DAY_MS },
      { workflow_run_id: "over", attend_at: null },
    ]);
    expect(
      await told(
        `SELECT "workflow_run_id" || "ordinal" AS "job", "resume_at", "hand_over_at" FROM "jobs" ORDER BY 1`,
      ),
    ).toEqual([
      { job: "live1", resume_at: AT, hand_over_at: null },
      { job: "live2", resume_at: null, hand_over_at: AT },
      { job: "live3", resume_at: null, hand_over_at: null },
      { job: "over1", resume_at: AT, hand_over_at: null },
      { job: "over2", resume_at: null, hand_over_at: null },
      { job: "over3", resume_at: null, hand_over_at: null },
    ]);
  });
});

describe("the names of the migrations", () => {
  it("begin with consecutive numbers, each once, from 0000", () => {
    const numbers = env.TEST_MIGRATIONS.map(({ name }) => name.slice(0, 5));
    expect(numbers).toEqual(numbers.map((_, index) => `${String(index).padStart(4, "0")}_`));
  });

  it("tell what they do", () => {
    for (const { name } of env.TEST_MIGRATIONS)
      expect(name).toMatch(/^\d{4}_[a-z]+(_[a-z]+)+\.sql$/);
  });
});

describe("a migration", () => {
  it("makes no trigger: D1 cuts their bodies apart when it applies them remotely", () => {
    const queries = env.TEST_MIGRATIONS.flatMap((migration) => migration.queries);
    expect(queries.filter((query) => /\btrigger\b/i.test(query))).toEqual([]);
  });
});
