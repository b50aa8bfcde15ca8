/** The faulty database itself, as others may use it. */
import { beforeEach, describe, expect, it } from "vitest";
import { D1_FAULTS, D1_MESSAGES, type D1Fault, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { env } from "../support/env.ts";

const INSERT = `INSERT INTO "commits" ("id", "outcome") VALUES (?, 'applied')`;
const SELECT = `SELECT "id" FROM "commits" ORDER BY "id"`;

beforeEach(async () => {
  await env.DB.prepare(`DELETE FROM "commits"`).run();
});

async function stored(): Promise<unknown[]> {
  return (await env.DB.prepare(SELECT).raw()).flat();
}

function insert(db: Pick<D1Database, "prepare">, id: string): D1PreparedStatement {
  return db.prepare(INSERT).bind(id);
}

describe("a faulty D1", () => {
  it("passes every kind of call on when nothing is to fail", async () => {
    const { db, calls } = faultyD1(env.DB);
    await insert(db, "a").run();
    await db.batch([insert(db, "b"), insert(db, "c")]);
    await db.exec(`DELETE FROM "commits" WHERE "id" = 'c'`);
    const select = db.prepare(SELECT);
    expect((await select.all()).results).toEqual([{ id: "a" }, { id: "b" }]);
    expect(await select.first()).toEqual({ id: "a" });
    expect(await select.first("id")).toBe("a");
    expect(await select.raw()).toEqual([["a"], ["b"]]);
    expect(await select.raw({ columnNames: true })).toEqual([["id"], ["a"], ["b"]]);
    const session = db.withSession("first-primary");
    expect((await session.batch([session.prepare(SELECT)]))[0]?.results.length).toBe(2);
    expect((await session.prepare(SELECT).run()).results.length).toBe(2);
    expect(session.getBookmark()).toEqual(expect.anything());
    expect(calls.length).toBe(10);
    expect(
      calls.every(({ fault, ran, refusal }) => fault === null && ran && refusal === null),
    ).toBe(true);
  });

  it("numbers the calls from 0, a batch being one, and keeps their statements and their cost", async () => {
    const faulty = faultyD1(env.DB);
    await insert(faulty.db, "a").run();
    await faulty.db.batch([insert(faulty.db, "b"), faulty.db.prepare(SELECT)]);
    expect(faulty.calls).toMatchObject([
      { index: 0, statements: [INSERT], rowsWritten: 1 },
      { index: 1, statements: [INSERT, SELECT], rowsRead: 3, rowsWritten: 1 },
    ]);
  });

  it("keeps what D1 itself refuses", async () => {
    const { db, calls } = faultyD1(env.DB);
    await insert(db, "a").run();
    await expect(insert(db, "a").run()).rejects.toThrow(/UNIQUE/);
    expect(calls[1]).toMatchObject({ ran: true, refusal: expect.stringMatching(/UNIQUE/) });
  });

  it.each([
    ["before", D1_FAULTS.before, false, D1_MESSAGES.connectionLost],
    ["lost", D1_FAULTS.lost, true, D1_MESSAGES.connectionLost],
    ["late", D1_FAULTS.late, false, D1_MESSAGES.connectionLost],
    ["overloaded", D1_FAULTS.overloaded, false, D1_MESSAGES.queuedTooLong],
    ["reset", { kind: "lost", message: D1_MESSAGES.codeUpdated }, true, D1_MESSAGES.codeUpdated],
  ] satisfies [string, D1Fault, boolean, string][])(
    "throws D1's message for the fault %s, and runs the call or not",
    async (_name, fault, runs, message) => {
      const { db, calls } = faultyD1(env.DB, ({ index }) => (index === 1 ? fault : null));
      await insert(db, "a").run();
      await expect(insert(db, "b").run()).rejects.toThrow(message);
      await insert(db, "c").run();
      expect(await stored()).toEqual(runs ? ["a", "b", "c"] : ["a", "c"]);
      expect(calls.map(({ fault: injected }) => injected)).toEqual([null, fault, null]);
      expect(calls[1]?.ran).toBe(runs);
    },
  );

  it("lets late calls land when they are released, in their order", async () => {
    const faulty = faultyD1(env.DB, () => D1_FAULTS.late);
    await expect(insert(faulty.db, "a").run()).rejects.toThrow(D1_MESSAGES.connectionLost);
    await expect(insert(faulty.db, "a").run()).rejects.toThrow(D1_MESSAGES.connectionLost);
    expect(await stored()).toEqual([]);
    expect(await faulty.release()).toMatchObject([
      { index: 0, ran: true, refusal: null },
      { index: 1, ran: true, refusal: expect.stringMatching(/UNIQUE/) },
    ]);
    expect(await stored()).toEqual(["a"]);
    expect(await faulty.release()).toEqual([]);
  });

  it("holds back the call, or only its answer, until it is released", async () => {
    for (const [kind, rows] of [
      ["stall", []],
      ["hang", ["a"]],
    ] as const) {
      await env.DB.prepare(`DELETE FROM "commits"`).run();
      const faulty = faultyD1(env.DB, () => ({ kind }));
      let answered = false;
      const call = insert(faulty.db, "a")
        .run()
        .then(() => {
          answered = true;
        });
      await env.DB.prepare(SELECT).all();
      expect(await stored()).toEqual(rows);
      expect(answered).toBe(false);
      await faulty.release();
      await call;
      expect(await stored()).toEqual(["a"]);
    }
  });

  it("answers a call that stalls for a time by itself", async () => {
    const faulty = faultyD1(env.DB, () => ({ kind: "stall", afterMs: 20 }));
    const started = performance.now();
    await insert(faulty.db, "a").run();
    expect(performance.now() - started).toBeGreaterThan(15);
  });

  it("follows another plan from the next call on, which is call 0 again", async () => {
    const faulty = faultyD1(env.DB, () => D1_FAULTS.before);
    await expect(insert(faulty.db, "a").run()).rejects.toThrow(D1_MESSAGES.connectionLost);
    faulty.restart(({ index }) => (index === 1 ? D1_FAULTS.lost : null));
    expect(faulty.calls).toEqual([]);
    await insert(faulty.db, "b").run();
    await expect(insert(faulty.db, "c").run()).rejects.toThrow(D1_MESSAGES.connectionLost);
    faulty.restart();
    await insert(faulty.db, "d").run();
    expect(await stored()).toEqual(["b", "c", "d"]);
    expect(faulty.calls.map(({ index }) => index)).toEqual([0]);
  });
});
