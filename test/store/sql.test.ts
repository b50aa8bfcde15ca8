import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  COMMIT_ID_CHARS,
  COMMITS_REMEMBERED,
  newCommitId,
  ROW_BYTES_MAX,
  utf8Length,
} from "../../src/model/index.ts";
import { compareUtf8 } from "../../src/model/order.ts";
import { prefixEnd } from "../../src/store/ai-calls.ts";
import { groupBy, remembering, type Source, sourcesOf, tokenSql } from "../../src/store/sql.ts";
import { upTo } from "../../src/testing/conformance/support.ts";
import { env } from "../support/env.ts";

const NAMES = ["id", "value"] as const;
type Row = { id: number; value: string | number | boolean | null | undefined };

function textOf(bytes: number): string {
  return "x".repeat(bytes);
}

/** How many rows each chunk holds. */
function lengthsOf(sources: readonly Source[], rows: number): number[] {
  return sources.map(({ first }, index) => (sources[index + 1]?.first ?? rows) - first);
}

/** The rows as D1 sees them, chunk after chunk. */
async function throughD1(sources: readonly Source[]): Promise<unknown[]> {
  const results = await env.DB.batch(
    sources.map(({ sql, params }) => env.DB.prepare(`SELECT * FROM ${sql}`).bind(...params)),
  );
  return results.flatMap(({ results: rows }) => rows);
}

describe("rows on their way into a statement", () => {
  it("need none when there are none", () => {
    expect(sourcesOf<Row>([], NAMES)).toEqual([]);
  });

  it("are a thousand in one statement with one parameter", async () => {
    const rows = upTo(1_000).map((id) => ({ id, value: `value ${id}` }));
    const sources = sourcesOf(rows, NAMES);
    expect(sources).toHaveLength(1);
    expect(sources[0]?.params).toHaveLength(1);
    const seen = await throughD1(sources);
    expect(seen).toEqual(rows.map((row, position) => ({ ...row, position })));
  });

  it("go alone, value by value, if there is one", async () => {
    const [source, ...others] = sourcesOf([{ id: 7, value: 'a "quoted" \n text' }], NAMES);
    expect(others).toEqual([]);
    expect(source?.params).toEqual([7, 'a "quoted" \n text']);
    expect(await throughD1(source === undefined ? [] : [source])).toEqual([
      { id: 7, value: 'a "quoted" \n text', position: 0 },
    ]);
  });

  it("of nearly 1 MB each go one by one", () => {
    const rows = upTo(3).map((id) => ({ id, value: textOf(990_000) }));
    const sources = sourcesOf(rows, NAMES);
    expect(lengthsOf(sources, 3)).toEqual([1, 1, 1]);
    expect(sources.map(({ first }) => first)).toEqual([0, 1, 2]);
  });

  it("share a statement as long as they take a megabyte together", () => {
    const rows = upTo(10).map((id) => ({ id, value: textOf(240_000) }));
    expect(lengthsOf(sourcesOf(rows, NAMES), 10)).toEqual([4, 4, 2]);
  });

  it("keep their order and their places when they are cut", async () => {
    const rows = upTo(9).map((id) => ({ id, value: textOf(id % 3 === 0 ? 900_000 : 10) }));
    const sources = sourcesOf(rows, NAMES);
    expect(sources.length).toBeGreaterThan(2);
    const seen = (await throughD1(sources)) as { id: number }[];
    expect(seen.map(({ id }) => id)).toEqual(upTo(9));
  });

  it("may hold a value that fills a row", async () => {
    const rows = upTo(2).map((id) => ({ id, value: textOf(ROW_BYTES_MAX) }));
    const sources = sourcesOf(rows, NAMES);
    expect(lengthsOf(sources, 2)).toEqual([1, 1]);
    const seen = (await throughD1(sources)) as { value: string }[];
    expect(seen.map(({ value }) => value.length)).toEqual([ROW_BYTES_MAX, ROW_BYTES_MAX]);
  });

  it("are measured in bytes of their JSON", () => {
    // Each quote takes two bytes there, each of the others three.
    const quotes = upTo(2).map((id) => ({ id, value: '"'.repeat(300_000) }));
    const wide = upTo(2).map((id) => ({ id, value: "\u20ac".repeat(200_000) }));
    expect(lengthsOf(sourcesOf(quotes, NAMES), 2)).toEqual([1, 1]);
    expect(lengthsOf(sourcesOf(wide, NAMES), 2)).toEqual([1, 1]);
  });

  it("never make a parameter of 2 MB", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 1_200_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, (lengths) => {
        const rows = lengths.map((length, id) => ({ id, value: textOf(length) }));
        const sources = sourcesOf(rows, NAMES);
        expect(lengthsOf(sources, rows.length).reduce((a, b) => a + b, 0)).toBe(rows.length);
        for (const { params } of sources) {
          for (const param of params) expect(utf8Length(String(param))).toBeLessThan(2_000_000);
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each<[string, Row["value"], string | number | null]>([
    ["true", true, 1],
    ["false", false, 0],
    ["undefined", undefined, null],
    ["null", null, null],
    ["a whole number", 2 ** 53 - 1, 2 ** 53 - 1],
    ["a negative one", -8.64e15, -8.64e15],
    ["a fraction", 0.1, 0.1],
    ["a large number", 1e300, 1e300],
    ["text that looks like a number", "5", "5"],
    ["text that looks like JSON", '{"a":[null]}', '{"a":[null]}'],
    ["an empty text", "", ""],
    ["control characters", "\u0001\t\n\u001f\u007f", "\u0001\t\n\u001f\u007f"],
    ["text beyond the first plane", "\u{10ffff}\u{1f600}", "\u{10ffff}\u{1f600}"],
  ])("bring %s, alone and with others", async (_, value, expected) => {
    const alone = await throughD1(sourcesOf<Row>([{ id: 1, value }], NAMES));
    const rows: Row[] = upTo(2).map((id) => ({ id, value }));
    const together = await throughD1(sourcesOf(rows, NAMES));
    expect(alone).toEqual([{ id: 1, value: expected, position: 0 }]);
    expect(together).toEqual(rows.map(({ id }, position) => ({ id, value: expected, position })));
  });

  it("bring every finite number to the last bit", async () => {
    const doubles = fc.double({ noNaN: true, noDefaultInfinity: true });
    const values = fc.sample(doubles, 1_000);
    const seen = (await throughD1(
      sourcesOf(
        values.map((value, id) => ({ id, value })),
        NAMES,
      ),
    )) as { value: number }[];
    // There is no negative zero in JSON.
    expect(seen.map(({ value }) => value)).toEqual(values.map((value) => value + 0));
  });

  it("bring any text that a column holds", async () => {
    const text = fc.string({ unit: "binary" }).filter((value) => !value.includes("\0"));
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 2, maxLength: 20 }), async (values) => {
        const rows = values.map((value, id) => ({ id, value }));
        const seen = (await throughD1(sourcesOf(rows, NAMES))) as { value: string }[];
        expect(seen.map(({ value }) => value)).toEqual(values);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the end of a prefix", () => {
  it.each<[string, string | null]>([
    ["", null],
    ["a", "b"],
    ["run.1", "run.2"],
    ["a\u007f", "a\u0080"],
    ["\ud7ff", "\ue000"],
    ["\uffff", "\u{10000}"],
    ["\u{1f600}", "\u{1f601}"],
    ["a\u{10ffff}", "b"],
    ["a\u{10ffff}\u{10ffff}", "b"],
    ["\u{10ffff}", null],
  ])("%j is %j", (prefix, end) => {
    expect(prefixEnd(prefix)).toBe(end);
  });

  it("lies behind every text with the prefix, and before every other text behind those", () => {
    const text = fc.string({ unit: "binary" }).filter((value) => value.isWellFormed());
    fc.assert(
      fc.property(text, text, (prefix, other) => {
        const end = prefixEnd(prefix);
        if (end !== null) expect(compareUtf8(prefix + other, end)).toBeLessThan(0);
        const inRange =
          compareUtf8(other, prefix) >= 0 && (end === null || compareUtf8(other, end) < 0);
        expect(inRange).toBe(other.startsWith(prefix));
      }),
    );
  });
});

describe("a row's memory of its commits", () => {
  async function after(old: string, commitId: string): Promise<string> {
    const commits = remembering(commitId, `src."old"`);
    const row = await env.DB.prepare(
      `SELECT ${commits.sql} AS "commits" FROM (SELECT ? AS "old") AS src`,
    )
      .bind(...commits.params, old)
      .first<{ commits: string }>();
    return row?.commits ?? "";
  }

  it("begins with the commit that wrote last", async () => {
    const [a, b] = [newCommitId(1), newCommitId(2)];
    expect(await after("", a)).toBe(a);
    expect(await after(a, b)).toBe(b + a);
  });

  it("holds a commit once that writes the row several times", async () => {
    const [a, b] = [newCommitId(1), newCommitId(2)];
    expect(await after(b + a, b)).toBe(b + a);
  });

  it("holds the last eight", async () => {
    const ids = upTo(12).map((n) => newCommitId(n));
    let commits = "";
    for (const id of ids) commits = await after(commits, id);
    expect(commits).toBe(ids.toReversed().slice(0, COMMITS_REMEMBERED).join(""));
    expect(COMMITS_REMEMBERED).toBe(8);
  });

  it("has the last one as its token", async () => {
    const [a, b] = [newCommitId(1), newCommitId(2)];
    const row = await env.DB.prepare(
      `SELECT ${tokenSql("src.commits")} AS "token" FROM (SELECT ? AS commits) AS src`,
    )
      .bind(b + a)
      .first<{ token: string }>();
    expect(row?.token).toBe(b);
    expect(b).toHaveLength(COMMIT_ID_CHARS);
  });
});

describe("groups", () => {
  it("and their members come in the order of their appearance", () => {
    const groups = groupBy(["b1", "a1", "b2", "c1", "a2"], (item) => item.slice(0, 1));
    expect([...groups]).toEqual([
      ["b", ["b1", "b2"]],
      ["a", ["a1", "a2"]],
      ["c", ["c1"]],
    ]);
  });
});
