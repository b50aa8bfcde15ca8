/** The values that operations are called with: few, so that they meet, and awkward, so that they bite. */
import fc from "fast-check";
import {
  CALL_TOKENS_MAX,
  COST_MAX,
  INSTANT_MAX,
  INSTANT_MIN,
  ROW_BYTES_MAX,
} from "../../src/model/index.ts";

/** A value that only the moment of the call can tell: see `resolve` in world.ts. `back` counts from the newest. */
export type Ref =
  | { readonly ref: "run" | "stage" | "job" | "event"; readonly back: number }
  | { readonly ref: "instant"; readonly plus: number }
  /** The version of the row that the call names, plus this. */
  | { readonly ref: "version"; readonly plus: number }
  | { readonly ref: "text"; readonly letter: string; readonly length: number }
  | { readonly ref: "nested"; readonly depth: number }
  | { readonly ref: "cycle" };

export type Value = fc.Arbitrary<unknown>;

export function of(...values: readonly unknown[]): Value {
  return fc.constantFrom(...values);
}

/** Mostly the first. */
export function mostly(usual: Value, rare: Value, weight = 6): Value {
  return fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: rare });
}

/** One parameter or member: what it may be, and what it must not be. */
export interface Field {
  readonly good: Value;
  readonly bad: Value | null;
  readonly optional: boolean;
}

export function must(good: Value, bad: Value | null = null): Field {
  return { good, bad, optional: false };
}

export function may(good: Value, bad: Value | null = null): Field {
  return { good, bad, optional: true };
}

/** Null, and once in a while not. */
export function seldom<T>(rare: fc.Arbitrary<T>, weight: number): fc.Arbitrary<T | null> {
  return fc.oneof({ weight, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: rare });
}

/** An object with these members; now and then, one of them is bad. */
export function shape(fields: Readonly<Record<string, Field>>, weight = 11): fc.Arbitrary<object> {
  const named = Object.entries(fields);
  const good = fc.record(Object.fromEntries(named.map(([name, field]) => [name, field.good])), {
    requiredKeys: named.filter(([, field]) => !field.optional).map(([name]) => name),
  });
  const spoilers = named.flatMap(([name, { bad }]) =>
    bad === null ? [] : [bad.map((value) => [name, value] as const)],
  );
  if (spoilers.length === 0) return good;
  return fc
    .tuple(good, seldom(fc.oneof(...spoilers), weight))
    .map(([members, spoiler]) =>
      spoiler === null ? members : { ...members, [spoiler[0]]: spoiler[1] },
    );
}

/** The arguments of a call; now and then, one of them is bad. */
export function parameters(...fields: readonly Field[]): fc.Arbitrary<unknown[]> {
  const names = Object.fromEntries(fields.map((field, index) => [String(index), field]));
  return shape(names, 6).map((members) => {
    const given = members as Record<string, unknown>;
    return fields.map((_, index) => given[String(index)]);
  });
}

export const NUL = "nul\0nul";
const LONE = "lone\ud800";
/** U+1F600 comes before U+FF5E in UTF-16, and after it in UTF-8. */
const SMILEY = "\u{1f600}";
const TILDE = "\uff5e";

/** An object that no literal can write: `__proto__` as an ordinary member. */
const PROTO: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":2}');

export const RUN_IDS = ["r", "s", "s/1", SMILEY, TILDE, "__proto__", "%_*['\";--"] as const;
export const STAGE_IDS = ["a", "1/a", SMILEY, TILDE, "A", "__proto__", "2.0'\""] as const;

export const storableBad = of("", NUL, LONE, "X".repeat(513), 5, null, {});
const nameBad = of(NUL, LONE, "X".repeat(1_025), 5, null);
const keyBad = of(NUL, LONE, `${SMILEY.repeat(512)}X`, 5, null);
export const idField = { good: of("w", `${SMILEY}/w`), bad: storableBad } as const;

export const runId = fc.oneof(
  { weight: 8, arbitrary: of("r") },
  { weight: 3, arbitrary: of("s", "s/1") },
  { weight: 2, arbitrary: of(...RUN_IDS) },
  { weight: 3, arbitrary: fc.nat(3).map((back) => ({ ref: "run", back })) },
  { weight: 1, arbitrary: of("nobody") },
);
export const aRun = must(runId, storableBad);
export const stageId = mostly(of("a", "a", "1/a", SMILEY), of(...STAGE_IDS), 2);
export const aStageId = must(stageId, storableBad);

function record(ref: "stage" | "job" | "event", ...bad: readonly unknown[]): Field {
  return must(
    mostly(
      fc.oneof(fc.nat(1), fc.nat(7)).map((back) => ({ ref, back })),
      of("nobody", "r/a/1.0", "s/7", ""),
      15,
    ),
    of(...bad),
  );
}
export const aStage = record("stage", 5, null, "X".repeat(600), `${NUL}/a/7.0`);
export const aJob = record("job", 5, null, "/0", "r/~", NUL);
export const anEvent = record(
  "event",
  5,
  null,
  "nobody/1",
  `${NUL}/1`,
  `${"X".repeat(513)}/1`,
  "r/01",
);

export const instant = fc.oneof(
  {
    weight: 8,
    arbitrary: of(0, 0, 1, -1, 1_000, -1_000, 60_000, -300_000).map((plus) => ({
      ref: "instant",
      plus,
    })),
  },
  {
    weight: 1,
    arbitrary: of(
      new Date(0),
      new Date(-1),
      new Date(INSTANT_MAX),
      new Date(INSTANT_MIN),
      "2023-11-14T22:13:20.001Z",
      "2023-11-15T00:13:20.0019+02:00",
      1_700_000_000_002,
    ),
  },
);
export const instantBad = of(
  new Date(Number.NaN),
  new Date(INSTANT_MAX + 1),
  new Date(INSTANT_MIN - 1),
  "soon",
  "2023-11-14",
  "2023-11-14T22:13:20",
  "2023-02-30T00:00:00Z",
  "9999-12-31T23:59:59-01:00",
  {},
  true,
  Number.NaN,
  INSTANT_MAX + 1,
);

export const name = of("n", "", SMILEY, 'name\'s "name"', "__proto__");
export const aName = must(name, nameBad);
export const mayName = may(name, nameBad);
/** Keys, and prefixes of them that SQL might take for patterns. */
export const KEYS = [
  "k",
  "kk",
  "K",
  "k%_*[",
  "",
  "%",
  SMILEY,
  `${SMILEY}k`,
  TILDE,
  "e\u0301",
] as const;
export const key = mostly(of("k"), of(...KEYS), 2);
export const keyPrefix = of("", "k", "K", "%", "_", "k%", "*", "[", SMILEY, TILDE, "e", "\u00e9");
export const aKey = must(key, keyBad);
export const mayKey = may(key, keyBad);
export const TOPICS = [
  "a",
  "a.b",
  "a%",
  "A",
  "",
  SMILEY,
  `${SMILEY}.b`,
  TILDE,
  "\ud7ff",
  "\u{10ffff}b",
] as const;
export const topic = of(...TOPICS);
export const topicPrefix = of("", "a", "a.", "A", "%", SMILEY, TILDE, "\u{10ffff}", "\ud7ff", "z");

const freeText = of(
  "",
  "text",
  "f".repeat(900),
  NUL,
  LONE,
  "\u0001marked",
  "\u0001",
  SMILEY,
  'it\'s "so" \\ \n',
);
export const textBad = of(5, null, {}, { ref: "text", letter: "\0", length: 400_000 });
export const aText = must(freeText, textBad);
export const text = freeText;

export const big = { ref: "text", letter: "X", length: ROW_BYTES_MAX / 2 + 1 } as const;
/** Two quotes are part of the JSON. */
export const fitting = { ref: "text", letter: "X", length: ROW_BYTES_MAX - 200 } as const;
const tooBig = { ref: "text", letter: "X", length: ROW_BYTES_MAX - 1 } as const;

export const json = mostly(
  of(
    null,
    true,
    0,
    -0,
    5e-324,
    1.7976931348623157e308,
    0.1 + 0.2,
    "",
    NUL,
    LONE,
    "it's",
    [],
    {},
    [undefined, [null]],
    { a: { b: [1, "2"] }, gone: undefined },
    { at: new Date(5), boxed: new String("s") },
    { toJSON: () => ({ made: true }) },
    { [SMILEY]: TILDE, "": "", [NUL]: 1 },
    PROTO,
    { ref: "text", letter: "m", length: 1_200 },
    { ref: "text", letter: "\u00e9", length: 600 },
    { ref: "nested", depth: 1_000 },
  ),
  of(big, fitting),
  60,
);
export const jsonBad = mostly(
  of(
    10n,
    Number.NaN,
    { deep: [Number.POSITIVE_INFINITY] },
    () => 1,
    Symbol("s"),
    new Map([[1, 2]]),
    { bytes: new Uint8Array(2) },
    { at: new Date(Number.NaN) },
    { ref: "cycle" },
    { ref: "nested", depth: 1_001 },
  ),
  of(tooBig),
  4,
);
export const object = of({}, { a: 1 }, { "it's": [null] }, PROTO, undefined);
export const objectBad = of({ a: 10n }, { a: { ref: "cycle" } });

export const status = of(
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "SUSPENDED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
);
export const statusBad = of("pending", "", null, 5, "DONE");
const MAX = Number.MAX_SAFE_INTEGER;
export const priority = mostly(of(5, 5, 0, 9), of(-1, MAX, -MAX, -0));
export const wholeBad = of(1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", null);
export const whole = mostly(of(0, 1, 1, 2), of(-1, -0, MAX, 2 ** 40));
export const number = of(0, -0, 1, 0.1, 0.2, -2.5, 1e16, 5e-324, 1.7976931348623157e308, -1e-7);
export const numberBad = of(Number.NaN, Number.POSITIVE_INFINITY, "5", {}, 10n);
export const count = mostly(of(0, 1, 1, 2), of(-0, MAX, 2 ** 40));
export const countBad = of(-1, 1.5, Number.NaN, 2 ** 53, "5", null);
export const tokens = mostly(of(0, 1, 2), of(-0, CALL_TOKENS_MAX));
export const tokensBad = of(-5, 1.5, Number.NaN, CALL_TOKENS_MAX + 1, "5", null);
export const cost = mostly(of(0.1, 0.2, 0.3, -0), of(COST_MAX, 5e-324, 1e-7));
export const costBad = of(-1e-7, Number.NaN, Infinity, 2 * COST_MAX, Number.MAX_VALUE, "5", 10n);
export const version = mostly(
  of(0, 0, 0, -1, 1).map((plus) => ({ ref: "version", plus })),
  of(undefined, null),
);
export const versionBad = of(1.5, "1", Number.NaN, 2 ** 53);

/** Members of updates: the value, `null` to clear it, or `undefined` to leave it. */
export function clearable(good: Value, bad: Value): Field {
  return may(
    fc.oneof({ weight: 4, arbitrary: good }, { weight: 2, arbitrary: of(null, undefined) }),
    bad,
  );
}
