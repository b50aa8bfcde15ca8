import * as z from "zod";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stage, workflow } from "../../src/engine/index.ts";
import { Chain } from "../../src/engine/chain.ts";
import { fnv1a64 } from "../../src/engine/shape.ts";

const input = z.null();
const payload = z.null();

describe("the digest", () => {
  // The vectors of the algorithm's authors: http://www.isthe.com/chongo/tech/comp/fnv/
  it.each([
    ["", "cbf29ce484222325"],
    ["a", "af63dc4c8601ec8c"],
    ["foobar", "85944171f73967e8"],
  ])("of %j is that of FNV-1a", (text, digest) => {
    expect(fnv1a64(text)).toBe(digest);
  });

  it("is of the text's UTF-8, and always 16 digits", () => {
    expect(fnv1a64("ä")).not.toBe(fnv1a64("\u00e4".normalize("NFD")));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(fnv1a64(text)).toMatch(/^[0-9a-f]{16}$/);
      }),
    );
  });
});

describe("a workflow's shape", () => {
  const base = workflow("w", { input });

  it("is the same text in every release: running runs have it stored", () => {
    const built = base
      .stage("extract", () => 1)
      .parallel({ links: () => 1, words: () => 2 })
      .stageIf(
        "ocr",
        () => true,
        () => 3,
      )
      .waitFor("approval", { payload, within: "1d" })
      .sleep("night", "8h")
      .build();
    expect(built.shape).toBe("8d8708f306013168");
  });

  it("does not change with names, functions, schemas, retries, timeouts, versions or times", () => {
    const one = base
      .stage("a", () => 1)
      .waitFor("b", { payload, within: "1d" })
      .sleep("c", "1s");
    const other = workflow("another", { input: z.string(), version: 7, name: "Another" })
      .stage(
        "a",
        stage({ input: z.string(), run: ({ input: text }) => text.length, retry: { attempts: 9 } }),
        { name: "A", timeout: "1m" },
      )
      .waitFor("b", { payload: z.string(), within: "9d" })
      .sleep("c", () => 5);
    expect(other.build().shape).toBe(one.build().shape);
  });

  it("changes with an id, a kind, the order, the groups, and another stage", () => {
    const shapes = [
      base.stage("a", () => 1).stage("b", () => 2),
      base.stage("b", () => 1).stage("a", () => 2),
      base.stage("a", () => 1).stage("c", () => 2),
      base.parallel({ a: () => 1, b: () => 2 }),
      base.parallel({ b: () => 1, a: () => 2 }),
      base
        .stage("a", () => 1)
        .parallel({ b: () => 2 })
        .stage("c", () => 3),
      base
        .stage("a", () => 1)
        .stageIf(
          "b",
          () => true,
          () => 2,
        ),
      base.stage("a", () => 1).sleep("b", "1s"),
      base.stage("a", () => 1).waitFor("b", { payload, within: "1s" }),
      base.stage("a", () => 1),
      base.stage("ab", () => 1),
      base.stage('a"],["stage","b', () => 1),
    ].map((chain) => chain.build().shape);
    expect(new Set(shapes).size).toBe(shapes.length);
  });

  it("tells any two plans apart that differ in ids or groups", () => {
    const ids = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,3}$/), { minLength: 1 });
    /** Cuts the ids into groups. */
    const plans = fc.tuple(ids, fc.array(fc.nat({ max: 3 }))).map(([all, sizes]) => {
      const rest = [...all];
      const groups = sizes.map((size) => rest.splice(0, size)).concat([rest]);
      return groups.filter((group) => group.length > 0);
    });
    const shapeOf = (groups: readonly (readonly string[])[]) =>
      groups
        .reduce(
          (chain, group) => chain.parallel(Object.fromEntries(group.map((id) => [id, () => 1]))),
          Chain.of("w", { input }),
        )
        .build().shape;
    fc.assert(
      fc.property(plans, plans, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other);
        expect(shapeOf(one) === shapeOf(other)).toBe(same);
        expect(shapeOf(one)).toBe(shapeOf(one));
      }),
    );
  });
});
