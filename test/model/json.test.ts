import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeJson,
  decodeNullableJson,
  encodeJson,
  encodeNullableJson,
  JSON_DEPTH_MAX,
  ROW_BYTES_MAX,
  tooLarge,
} from "../../src/model/index.ts";
import { ServiceError } from "../../src/contract/index.ts";

/** The fault that the value is refused with. */
function refusalOf(value: unknown, field = "input"): ServiceError {
  try {
    encodeJson(value, field);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error("It was taken.");
}

function nested(depth: number, inner: unknown): unknown {
  let value = inner;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

/** A value of two to this power in text, in few objects. */
function doubled(times: number): unknown {
  let value: unknown = 1;
  for (let round = 0; round < times; round += 1) value = [value, value];
  return value;
}

function* generated() {
  yield 1;
}

const cycle: Record<string, unknown> = { a: { b: [] } };
cycle["self"] = cycle;
const deepCycle: { list: unknown[] } = { list: [] };
deepCycle.list.push({ up: deepCycle.list });

const REFUSED: readonly [what: string, value: unknown, says: string][] = [
  ["a bigint", 5n, "a bigint"],
  ["a function", () => 1, "a function"],
  ["a class", Error, "a function"],
  ["a symbol", Symbol("s"), "a symbol"],
  ["NaN", Number.NaN, "NaN"],
  ["Infinity", Infinity, "Infinity"],
  ["minus Infinity", -Infinity, "-Infinity"],
  ["a boxed NaN", Object(Number.NaN), "NaN"],
  ["a boxed bigint", Object(5n), "a bigint"],
  ["a boxed symbol", Object(Symbol("s")), "a symbol"],
  ["an invalid Date", new Date(Number.NaN), "an invalid Date"],
  ["a Map", new Map([["a", 1]]), "a Map"],
  ["a Set", new Set([1]), "a Set"],
  ["a WeakMap", new WeakMap(), "a WeakMap"],
  ["a WeakSet", new WeakSet(), "a WeakSet"],
  ["a Promise", Promise.resolve(1), "a Promise"],
  ["a RegExp", /a/, "a RegExp"],
  ["an ArrayBuffer", new ArrayBuffer(2), "a ArrayBuffer"],
  ["a DataView", new DataView(new ArrayBuffer(2)), "a DataView"],
  ["bytes", new Uint8Array(2), "a Uint8Array"],
  ["floats", new Float64Array(2), "a Float64Array"],
  ["large integers", new BigInt64Array(2), "a BigInt64Array"],
  ["an answer of fetch", new Response("x"), "a Response"],
  ["a stream", new ReadableStream(), "a ReadableStream"],
  ["what a generator gives", generated(), "a Generator"],
];

describe("a value that JSON cannot keep", () => {
  it.each(REFUSED)("is %s", (_, value, says) => {
    const error = refusalOf(value);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field: "input" } });
    expect(error.message).toBe(`input holds ${says}, which JSON cannot keep`);
  });

  it.each<[string, unknown]>([
    ["input.a", { a: 1n }],
    ["input.a.b", { x: 1, a: { b: Number.NaN } }],
    ["input[0]", [new Set()]],
    ["input[2].c", [1, 2, { c: () => 1 }]],
    ["input.list[1][0]", { list: [0, [Symbol("s")]] }],
    ['input["a b"]', { "a b": 1n }],
    ['input["0"]', { 0: 1n }],
    ['input[""]', { "": 1n }],
    ['input["a.b"].c', { "a.b": { c: 1n } }],
    ["input.$_1", { $_1: 1n }],
    ["input.__proto__", JSON.parse('{"__proto__": 1}', (_, value) => (value === 1 ? 1n : value))],
    ["input.self", cycle],
    ["input.list[0].up", deepCycle],
    ["input.a.toJSON", { a: { toJSON: () => ({ toJSON: 1n }) } }],
    ["input", { toJSON: () => undefined }],
  ])("is named by its path: %s", (path, value) => {
    const error = refusalOf(value);
    expect(error.details).toEqual({ field: path });
    expect(error.message).toContain(`${path} holds `);
  });

  it("is nesting deeper than 1,000", () => {
    expect(encodeJson(nested(JSON_DEPTH_MAX, 1), "input")).toHaveLength(2 * JSON_DEPTH_MAX + 1);
    const error = refusalOf(nested(JSON_DEPTH_MAX + 1, 1));
    expect(error.code).toBe("INVALID_ARGUMENT");
    expect(error.message).toContain("nesting deeper than 1000");
  });

  it("is nesting without an end", () => {
    const endless = { toJSON: (): unknown => ({ ...endless }) };
    expect(refusalOf(endless).message).toContain("nesting deeper than 1000");
  });
});

describe("a value that JSON keeps", () => {
  it.each<[string, unknown, string]>([
    ["null", null, "null"],
    ["undefined, as null", undefined, "null"],
    ["true", true, "true"],
    ["a number", 1.5e-7, "1.5e-7"],
    ["an empty text", "", '""'],
    ["text", 'a "b" \n \u2028', '"a \\"b\\" \\n \u2028"'],
    ["a lone surrogate, escaped", "\ud83d", '"\\ud83d"'],
    ["a NUL, escaped", "\0", '"\\u0000"'],
    ["a Date, as its ISO string", new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ["an object without its undefined members", { a: undefined, b: 1 }, '{"b":1}'],
    ["a list with null for undefined", [undefined, 1], "[null,1]"],
    ["a list with null for a hole", Array.from({ length: 2 }), "[null,null]"],
    ["what toJSON answers", { toJSON: () => ({ a: 1 }) }, '{"a":1}'],
    ["boxed values as what they hold", [Object(1), Object("a"), Object(false)], '[1,"a",false]'],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ["a member named __proto__", JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
    ["one object in two places", [cycle["a"], cycle["a"]], '[{"b":[]},{"b":[]}]'],
  ])("is %s", (_, value, text) => {
    expect(encodeJson(value, "input")).toBe(text);
  });

  it("may have as many values as a row holds bytes for, whatever makes them", () => {
    const ones = Array.from({ length: ROW_BYTES_MAX / 2 - 1 }, () => ({ toJSON: () => 1 }));
    expect(encodeJson(ones, "input")).toHaveLength(ROW_BYTES_MAX - 1);
  });

  it("tells toJSON the key under which it stands", () => {
    const keys: string[] = [];
    const spy = { toJSON: (key: string) => keys.push(key) };
    encodeJson([spy, { a: spy }], "input");
    expect(keys).toEqual(["0", "a"]);
  });

  it("is encoded just as JSON.stringify does it", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(encodeJson(value, "input")).toBe(JSON.stringify(value));
      }),
    );
  });

  it("is read back as it was", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = encodeJson(value, "input");
        expect(JSON.stringify(decodeJson(text))).toBe(text);
        expect(encodeJson(decodeJson(text), "input")).toBe(text);
      }),
    );
  });

  it("is not changed", () => {
    const value = { list: [1, { at: new Date(0) }], none: undefined };
    const before = structuredClone(value);
    encodeJson(value, "input");
    expect(value).toEqual(before);
  });
});

describe("a nullable value", () => {
  it("is NULL when it is null or undefined", () => {
    expect(encodeNullableJson(null, "output")).toBeNull();
    expect(encodeNullableJson(undefined, "output")).toBeNull();
    expect(decodeNullableJson(null)).toBeNull();
  });

  it.each([0, "", false, [], {}])("is JSON when it is %j", (value) => {
    const text = encodeNullableJson(value, "output");
    expect(text).toBe(JSON.stringify(value));
    expect(decodeNullableJson(text)).toEqual(value);
  });
});

describe("a value that is too large", () => {
  it("is refused with its size in bytes of UTF-8 and the limit", () => {
    const text = "\u00e9".repeat(ROW_BYTES_MAX / 2 - 1);
    expect(encodeJson(text, "output")).toHaveLength(text.length + 2);
    expect(refusalOf(`${text}a`, "output")).toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "output", size: ROW_BYTES_MAX + 1, limit: ROW_BYTES_MAX },
    });
  });

  it.each<[string, () => unknown]>([
    ["holes without number", () => Object.assign([], { length: 4_294_967_295 })],
    ["one list in places without number", () => doubled(40)],
    ["one text in places without number", () => Array(10_000).fill("x".repeat(1_000_000))],
    ["one list of numbers in many places", () => Array(1_000).fill(Array(500_000).fill(1))],
    ["toJSON that doubles", () => ({ toJSON: () => doubled(40) })],
  ])("is refused before it takes all memory: %s", (_, make) => {
    expect(refusalOf(make())).toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "input", limit: ROW_BYTES_MAX },
    });
  });

  it("has an error that says so", () => {
    expect(tooLarge("data", 3, 2).message).toBe("data does not fit: 3 bytes, the limit is 2 bytes");
  });
});
