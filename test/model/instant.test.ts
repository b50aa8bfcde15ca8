import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INSTANT_MAX, INSTANT_MIN, instantOf, parseInstant } from "../../src/model/index.ts";

describe("an instant as text", () => {
  it.each([
    ["2026-07-01T12:00:00Z", "2026-07-01T12:00:00.000Z"],
    ["2026-07-01T12:00:00+02:00", "2026-07-01T10:00:00.000Z"],
    ["2026-07-01T12:00:00-00:00", "2026-07-01T12:00:00.000Z"],
    ["2026-07-01T12:00:00.1234567Z", "2026-07-01T12:00:00.123Z"],
    ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"],
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
    ["0001-01-01T01:00:00+01:00", "0001-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
    ["9999-12-31T22:59:59.999-01:00", "9999-12-31T23:59:59.999Z"],
  ])("is %s", (text, told) => {
    expect(new Date(parseInstant(text) ?? Number.NaN).toISOString()).toBe(told);
  });

  it.each([
    "",
    "now",
    "2026-07-01",
    "2026-07-01T12:00:00",
    "2026-07-01T12:00Z",
    "2026-07-01 12:00:00Z",
    "2026-07-01t12:00:00z",
    " 2026-07-01T12:00:00Z",
    "2026-07-01T12:00:00Z\n",
    "2026-07-01T12:00:00 Z",
    "2026-07-01T12:00:00+0200",
    "2026-07-01T12:00:00+02",
    "2026-07-01T12:00:00+24:00",
    "2026-07-01T12:00:00.Z",
    "2026-07-01T12:00:00,5Z",
    "2026-07-01T24:00:00Z",
    "2026-07-01T12:60:00Z",
    "2026-07-01T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-06-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "0000-06-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-01:00",
    "+010000-01-01T00:00:00Z",
    "-000001-01-01T00:00:00Z",
    "\u0662026-07-01T12:00:00Z",
  ])("is not %j", (text) => {
    expect(parseInstant(text)).toBeNull();
  });

  it("is read back as it was written, of every instant that there is", () => {
    fc.assert(
      fc.property(fc.integer({ min: INSTANT_MIN, max: INSTANT_MAX }), (time) => {
        const text = new Date(time).toISOString();
        expect(text).toHaveLength(24);
        expect(parseInstant(text)).toBe(time);
      }),
    );
  });
});

describe("an instant", () => {
  it.each([new Date(5), 5, 5.9, "1970-01-01T00:00:00.005Z"])("is %j", (value) => {
    expect(instantOf(value)).toBe(5);
  });

  it.each([
    null,
    undefined,
    true,
    {},
    "5",
    new Date(Number.NaN),
    new Date(INSTANT_MAX + 1),
    new Date(INSTANT_MIN - 1),
    Number.NaN,
    Infinity,
    INSTANT_MAX + 1,
    INSTANT_MIN - 1,
  ])("is not %j", (value) => {
    expect(instantOf(value)).toBeNull();
  });
});
