import { describe, expect, it } from "vitest";
import { blank, decoderOf, encoded, holdsOf, longNames, someOf } from "../../src/model/columns.ts";
import {
  countField,
  freeTextField,
  instantField,
  jobErrorField,
  jsonField,
  numberField,
} from "../../src/model/fields.ts";
import { nullable, object } from "../../src/model/shape.ts";

const columns = object({
  count: countField,
  ratio: nullable(numberField),
  at: instantField,
  endedAt: nullable(instantField),
  input: jsonField,
  output: nullable(jsonField),
  note: freeTextField,
  error: nullable(jobErrorField),
});
const set = someOf(columns, ["count", "ratio", "endedAt", "input", "output", "note", "error"]);

const ROW = {
  count: 2,
  ratio: null,
  at: 1_000,
  endedAt: 2_000,
  input: "null",
  output: null,
  note: '\u0001"a\\u0000b"',
  error: null,
};

describe("decoderOf()", () => {
  it("tells instants as Dates, JSON as values and free text as it was, and leaves null null", () => {
    expect(decoderOf(columns)(ROW)).toEqual({
      count: 2,
      ratio: null,
      at: new Date(1_000),
      endedAt: new Date(2_000),
      input: null,
      output: null,
      note: "a\u0000b",
      error: null,
    });
  });

  it("tells the columns alone, whatever else the row has", () => {
    const row = { ...ROW, commits: "c" };
    expect(Object.keys(decoderOf(columns)(row))).toEqual(Object.keys(columns.members));
  });

  it("makes every value anew", () => {
    const row = { ...ROW, output: '{"a":1}' };
    expect(decoderOf(columns)(row).output).not.toBe(decoderOf(columns)(row).output);
  });
});

describe("encoded()", () => {
  it("stores what decoderOf() tells", () => {
    const { at: _, ...told } = decoderOf(columns)({ ...ROW, output: '{"a":[1]}' });
    const { at: __, ...stored } = { ...ROW, output: '{"a":[1]}' };
    expect(encoded(set, told)).toEqual(stored);
  });

  it("leaves out what is undefined, and what is no column of the update", () => {
    const given = { count: undefined, ratio: 1, at: new Date(0), expectedVersion: 3 };
    expect(encoded(set, given)).toEqual({ ratio: 1 });
  });

  it("stores null as null where it may be, and as JSON where it may not", () => {
    expect(encoded(set, { output: null, endedAt: null, input: null })).toEqual({
      output: null,
      endedAt: null,
      input: "null",
    });
  });

  it("knows one zero", () => {
    expect(encoded(set, { ratio: -0 })).toEqual({ ratio: 0 });
  });

  it.each([
    ["INVALID_ARGUMENT", "endedAt", "soon"],
    ["INVALID_ARGUMENT", "input", 1n],
    ["INVALID_ARGUMENT", "note", 1],
    ["INVALID_ARGUMENT", "note", null],
    ["PAYLOAD_TOO_LARGE", "error", "x".repeat(65_537)],
  ])("refuses with %s what %s cannot hold, and names it", (code, field, value) => {
    const details: unknown = expect.objectContaining({ field });
    const refused = () => encoded(set, { [field]: value });
    expect(refused).toThrow(expect.objectContaining({ code, details }));
  });

  it("leaves to the shape what the shape says", () => {
    const stored = encoded(set, { count: -1 });
    expect(stored).toEqual({ count: -1 });
    expect(set.check(stored)).toMatchObject({ path: ["count"], limit: 0 });
  });
});

describe("someOf()", () => {
  it("takes any of the columns, and none of the others", () => {
    expect(set.check({})).toBeNull();
    expect(set.check({ ratio: null, note: "a" })).toBeNull();
    expect(set.check({ count: null })).toMatchObject({ path: ["count"] });
    expect(set.check({ at: 1 })?.message).toContain('"at" too many');
  });
});

describe("what follows from the columns", () => {
  it("is null for those that may be", () => {
    expect(blank(columns)).toEqual({ ratio: null, endedAt: null, output: null, error: null });
  });

  it("names those of any length, in their order", () => {
    expect(longNames(columns)).toEqual(["input", "output", "note"]);
  });

  it("says what each holds", () => {
    const names = [...Object.keys(columns.members), "no column"];
    const held = names.map((name) => holdsOf(columns, name));
    expect(held).toEqual([null, null, "instant", "instant", "json", "json", "text", "text", null]);
  });
});
