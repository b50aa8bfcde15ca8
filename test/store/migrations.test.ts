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
