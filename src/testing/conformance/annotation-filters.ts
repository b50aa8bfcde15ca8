import { expect } from "vitest";
import type { AnnotationFilters } from "../../contract/index.ts";
import type { ConformanceBackend, Test } from "./harness.ts";
import { anAnnotation, at, forced, nap, seedRun, shifted } from "./support.ts";

async function keysBy(
  backend: ConformanceBackend,
  runId: string,
  filters: unknown,
): Promise<string[]> {
  const rows = await backend.persistence.listAnnotations(runId, forced<AnnotationFilters>(filters));
  return rows.map((annotation) => annotation.key);
}

/** The filters of listAnnotations. */
export function annotationFilters(test: Test): void {
  test("listAnnotations is empty for a run without annotations", async ({ a }) => {
    const run = await seedRun(a);

    expect(await a.persistence.listAnnotations(run.id)).toEqual([]);
    expect(await a.persistence.listAnnotations("nobody", { key: "x" })).toEqual([]);
  });

  test("listAnnotations filters by exact key", async ({ a }) => {
    const { id } = await seedRun(a);
    for (const key of ["cost", "Cost", "cost.total", "cos_", "c%"]) {
      await a.persistence.appendAnnotations([anAnnotation(id, { key })]);
    }

    expect(await keysBy(a, id, { key: "cost" })).toEqual(["cost"]);
    expect(await keysBy(a, id, { key: "cos_" })).toEqual(["cos_"]);
    expect(await keysBy(a, id, { key: "c%" })).toEqual(["c%"]);
    expect(await keysBy(a, id, { key: "" })).toEqual([]);
  });

  const KEYS = [
    "a_b.x",
    "aXb.x",
    "a%b",
    "a*b",
    "a?b",
    "a[b]c",
    "ab",
    "A_b.x",
    "żółw",
    "🙂.1",
    "🙃.1",
    "a\\b",
    "a'b",
  ];
  const PREFIXES: Readonly<Record<string, readonly string[]>> = {
    a_: ["a_b.x"],
    "a%": ["a%b"],
    "a*": ["a*b"],
    "a?": ["a?b"],
    "a[b]": ["a[b]c"],
    "a[": ["a[b]c"],
    A: ["A_b.x"],
    żó: ["żółw"],
    "🙂": ["🙂.1"],
    "a\\": ["a\\b"],
    "a'": ["a'b"],
    "%": [],
    "": KEYS,
  };

  test("listAnnotations takes a key prefix literally", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.appendAnnotations(KEYS.map((key) => anAnnotation(id, { key })));

    for (const [keyPrefix, expected] of Object.entries(PREFIXES)) {
      expect(await keysBy(a, id, { keyPrefix }), keyPrefix).toEqual(expected);
    }
  });

  test("a key prefix matches keys that go on with the highest characters", async ({ a }) => {
    const { id } = await seedRun(a);
    const keys = ["a", "a\u{10ffff}", "a\uffff", "a~", "b"];
    await a.persistence.appendAnnotations(keys.map((key) => anAnnotation(id, { key })));

    expect(await keysBy(a, id, { keyPrefix: "a" })).toEqual(keys.slice(0, 4));
    expect(await keysBy(a, id, { keyPrefix: "a\u{10ffff}" })).toEqual(["a\u{10ffff}"]);
  });

  test("an exact key wins over a key prefix", async ({ a }) => {
    const { id } = await seedRun(a);
    const rows = ["cost", "cost.total", "time"].map((key) => anAnnotation(id, { key }));
    await a.persistence.appendAnnotations(rows);

    expect(await keysBy(a, id, { key: "time", keyPrefix: "cost" })).toEqual(["time"]);
  });

  test("listAnnotations filters by scope and scope id", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.appendAnnotations([
      anAnnotation(id, { key: "1", scope: "run" }),
      anAnnotation(id, { key: "2", scope: "stage", scopeId: "s-1" }),
      anAnnotation(id, { key: "3", scope: "stage", scopeId: "s-2" }),
      anAnnotation(id, { key: "4", scope: "stage", scopeId: "" }),
    ]);

    expect(await keysBy(a, id, { scope: "stage" })).toEqual(["2", "3", "4"]);
    expect(await keysBy(a, id, { scopeId: "s-2" })).toEqual(["3"]);
    expect(await keysBy(a, id, { scopeId: "" })).toEqual(["4"]);
    expect(await keysBy(a, id, { scopeId: null })).toEqual(["1"]);
    expect(await keysBy(a, id, { scope: "stage", scopeId: null })).toEqual([]);
  });

  test("listAnnotations filters by actor and by attempt", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.appendAnnotations([
      anAnnotation(id, { key: "1" }),
      anAnnotation(id, { key: "2", actor: { kind: "agent", id: "x" } }),
      anAnnotation(id, { key: "3", actor: { kind: "user", id: "x" }, attempt: 1 }),
      anAnnotation(id, { key: "4", actor: { kind: "user", id: "y" }, attempt: 1 }),
    ]);

    expect(await keysBy(a, id, { actorId: "x" })).toEqual(["2", "3"]);
    expect(await keysBy(a, id, { actorKind: "user" })).toEqual(["3", "4"]);
    expect(await keysBy(a, id, { attempt: 0 })).toEqual(["1", "2"]);
    expect(await keysBy(a, id, { attempt: 1 })).toEqual(["3", "4"]);
    expect(await keysBy(a, id, { actorId: "x", actorKind: "user", attempt: 1 })).toEqual(["3"]);
  });

  test("listAnnotations includes both ends of a time range", async ({ a }) => {
    const { id } = await seedRun(a);
    for (const key of ["1", "2", "3"]) {
      await a.persistence.appendAnnotations([anAnnotation(id, { key })]);
      await nap();
    }
    const middle = at(await a.persistence.listAnnotations(id), 1).createdAt;

    expect(await keysBy(a, id, { since: middle })).toEqual(["2", "3"]);
    expect(await keysBy(a, id, { until: middle })).toEqual(["1", "2"]);
    expect(await keysBy(a, id, { since: middle, until: middle })).toEqual(["2"]);
    expect(await keysBy(a, id, { since: shifted(middle, 1) })).toEqual(["3"]);
    expect(await keysBy(a, id, { until: shifted(middle, -1) })).toEqual(["1"]);
    expect(await keysBy(a, id, { since: middle.toISOString() })).toEqual(["2", "3"]);
    expect(await keysBy(a, id, { until: middle.getTime() })).toEqual(["1", "2"]);
  });

  test("listAnnotations returns the oldest up to the limit", async ({ a }) => {
    const { id } = await seedRun(a);
    const rows = ["x", "y", "x2", "z", "x3"].map((key) => anAnnotation(id, { key }));
    await a.persistence.appendAnnotations(rows);

    expect(await keysBy(a, id, { limit: 2 })).toEqual(["x", "y"]);
    expect(await keysBy(a, id, { limit: 2, keyPrefix: "x" })).toEqual(["x", "x2"]);
    expect(await keysBy(a, id, { limit: 0 })).toEqual([]);
  });

  test("filters that are undefined do not filter", async ({ a }) => {
    const { id } = await seedRun(a);
    const rows = ["x", "y"].map((key) => anAnnotation(id, { key, scopeId: "s" }));
    await a.persistence.appendAnnotations(rows);

    const names = ["key", "keyPrefix", "scope", "scopeId", "actorId", "actorKind", "attempt"];
    const filters = Object.fromEntries(
      [...names, "since", "until", "limit"].map((name) => [name, undefined]),
    );

    expect(await keysBy(a, id, filters)).toEqual(["x", "y"]);
    expect(await keysBy(a, id, undefined)).toEqual(["x", "y"]);
  });
}
