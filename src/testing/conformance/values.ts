import { expect } from "vitest";
import { COLUMNS } from "./columns.ts";
import type { Test } from "./harness.ts";
import {
  anArtifact,
  anEvent,
  at,
  expectCode,
  forced,
  INSTANT,
  LONE_SURROGATE,
  NUL,
  seedRun,
} from "./support.ts";

/** Every kind of JSON value that reads back as it was written. */
const SHAPES: readonly unknown[] = [
  false,
  0,
  "",
  "text",
  [],
  {},
  {
    nothing: null,
    yes: true,
    numbers: [0, -1.5, 0.1, 1e21, 1e308, 5e-324, Number.MAX_SAFE_INTEGER, -2_147_483_649],
    nested: [[], [[null]], { deep: [{ er: {} }] }],
    text: ["żółć", "🙂", "שלום", "\u2028\u2029", "tab\there", '"quoted"', "back\\slash", "it's"],
    odd: [`a${NUL}b`, `${LONE_SURROGATE}x`, "\ud800", "\\u0000"],
    "": "empty key",
    "key with.dots/and:more": 1,
    $ref: "x",
    constructor: 1,
    toString: 2,
    10: "b",
    9: "a",
  },
];

/** What JSON cannot say, each put where a path leads to it. */
function culprits(): Readonly<Record<string, unknown>> {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  return {
    "a BigInt": 1n,
    "a function": () => 1,
    "a symbol": Symbol("s"),
    "a cycle": cycle,
    NaN: Number.NaN,
    Infinity,
    "negative infinity": -Infinity,
    "an invalid Date": new Date(Number.NaN),
    "a Map": new Map([["a", 1]]),
    "a Set": new Set([1]),
    "a byte array": new Uint8Array([1, 2]),
    "an ArrayBuffer": new ArrayBuffer(2),
    "a DataView": new DataView(new ArrayBuffer(2)),
  };
}

/** `levels` arrays, each the only element of the one around it. */
function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level += 1) value = [value];
  return value;
}

/** What JSON values come back as, and which are refused. */
export function values(test: Test): void {
  for (const column of COLUMNS) {
    test(`${column.name} keeps JSON of every shape`, async ({ a, b }) => {
      const shapes = column.objectsOnly
        ? SHAPES.filter((shape) => typeof shape === "object" && !Array.isArray(shape))
        : [...SHAPES, null];

      for (const shape of shapes) expect(await column.roundTrip(a, b, shape)).toEqual(shape);
    });
  }

  test("every JSON column refuses what is not JSON and names the culprit", async ({ a, b }) => {
    for (const { name, roundTrip } of COLUMNS) {
      const value = { list: [1, { culprit: 1n }] };
      const error = await expectCode(roundTrip(a, b, value), "INVALID_ARGUMENT", name);
      expect(`${error.message} ${JSON.stringify(error.details)}`, name).toContain("culprit");
    }
  });

  test("JSON is refused with the path of what is not JSON in it", async ({ a }) => {
    for (const [name, culprit] of Object.entries(culprits())) {
      const run = { id: "run-1", input: { outer: { culprit } } };
      const error = await expectCode(seedRun(a, run), "INVALID_ARGUMENT", name);
      const text = `${error.message} ${JSON.stringify(error.details)}`;
      expect(text, name).toContain("outer");
      expect(text, name).toContain("culprit");
    }

    expect(await a.persistence.getRun("run-1")).toBeNull();
  });

  test("a value that is itself not JSON is refused", async ({ a }) => {
    for (const [name, input] of Object.entries(culprits())) {
      await expectCode(seedRun(a, { id: "run-1", input }), "INVALID_ARGUMENT", name);
    }

    expect(await a.persistence.getRun("run-1")).toBeNull();
  });

  test("an object that appears twice is no cycle", async ({ a }) => {
    const shared = { x: 1 };

    const { input } = await seedRun(a, { input: { one: shared, two: [shared, shared] } });

    expect(input).toEqual({ one: { x: 1 }, two: [{ x: 1 }, { x: 1 }] });
  });

  test("undefined members vanish", async ({ a }) => {
    const input = { kept: 1, gone: undefined, inner: { gone: undefined } };

    const { id } = await seedRun(a, { input });

    const stored = (await a.persistence.getRun(id))?.input;
    expect(JSON.stringify(stored)).toBe('{"kept":1,"inner":{}}');
    expect(stored).not.toHaveProperty("gone");
  });

  test("undefined in an array becomes null, as in JSON", async ({ a }) => {
    expect((await seedRun(a, { input: [1, undefined, 3] })).input).toEqual([1, null, 3]);
  });

  test("Dates inside JSON become ISO strings", async ({ a, b }) => {
    const { id } = await seedRun(a, { input: { at: INSTANT, list: [INSTANT] } });
    await a.persistence.updateRun(id, { output: INSTANT });

    const text = "2025-03-04T05:06:07.089Z";
    expect(await b.persistence.getRun(id)).toMatchObject({
      input: { at: text, list: [text] },
      output: text,
    });
  });

  test("an undefined input, annotation value and outbox payload is null", async ({ a, b }) => {
    const { persistence } = b;
    const run = await seedRun(a, { input: undefined });
    const annotation = { workflowRunId: run.id, scope: "run", key: "k", value: undefined };
    await a.persistence.appendAnnotations([annotation]);
    await a.persistence.appendOutboxEvents([anEvent(run.id, { payload: undefined })]);

    expect(run.input).toBeNull();
    expect(await persistence.getRun(run.id)).toMatchObject({ input: null });
    expect(at(await persistence.listAnnotations(run.id), 0).value).toBeNull();
    expect(at(await persistence.getUnpublishedOutboxEvents(), 0).payload).toBeNull();
  });

  test("undefined where JSON is optional gives the default", async ({ a }) => {
    const run = await seedRun(a, forced({ config: undefined, metadata: undefined }));
    const id = await a.jobs.enqueue(
      forced({ workflowRunId: run.id, workflowId: "w", stageId: "s", payload: undefined }),
    );

    expect(run).toMatchObject({ config: {}, metadata: null });
    const stored = await a.jobs.getJobsByWorkflowRun(run.id);
    expect(stored).toMatchObject([{ id, payload: {} }]);
  });

  test("a member called __proto__ is a member like any other", async ({ a, b }) => {
    const text = '{"__proto__":{"polluted":true},"a":{"__proto__":null},"constructor":{"x":1}}';

    const { id } = await seedRun(a, { input: JSON.parse(text) });
    await a.persistence.saveArtifact(anArtifact(id, { data: JSON.parse(text) }));

    const stored = await b.persistence.getRun(id);
    expect(JSON.stringify(stored?.input)).toBe(text);
    expect(JSON.stringify(await b.persistence.loadArtifact(id, "report.json"))).toBe(text);
    expect(forced<{ polluted?: boolean }>({}).polluted).toBeUndefined();
    expect(forced<{ polluted?: boolean }>(stored?.input).polluted).toBeUndefined();
  });

  test("JSON may be nested 1,000 deep", async ({ a, b }) => {
    const { id } = await seedRun(a, { input: nested(1_000) });

    const stored = (await b.persistence.getRun(id))?.input;
    expect(JSON.stringify(stored)).toBe("[".repeat(1_000) + "]".repeat(1_000));
  });

  test("JSON that is nested deeper is refused, however deep", async ({ a }) => {
    for (const levels of [1_002, 100_000]) {
      const input = nested(levels);
      await expectCode(seedRun(a, { id: "run-1", input }), "INVALID_ARGUMENT");
    }

    expect(await a.persistence.getRun("run-1")).toBeNull();
  });

  test("a value is refused where it is written, and the row stays as it was", async ({ a }) => {
    const before = await seedRun(a);
    const bad = { status: "FAILED", output: { culprit: 1n } } as const;

    await expectCode(a.persistence.updateRun(before.id, bad), "INVALID_ARGUMENT");

    expect(await a.persistence.getRun(before.id)).toEqual(before);
  });
}
