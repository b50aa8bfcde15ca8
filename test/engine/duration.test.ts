import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationMs, inWords } from "../../src/engine/duration.ts";
import { DURATION_MS_MAX } from "../../src/engine/limits.ts";
import { refusalOf } from "./support.ts";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

describe("a duration", () => {
  it.each<[unknown, number]>([
    [0, 0],
    [1_500, 1_500],
    ["0s", 0],
    ["250ms", 250],
    ["2s", 2_000],
    ["5m", 300_000],
    ["1.5h", 5_400_000],
    ["3d", 259_200_000],
    ["0.1s", 100],
    // 1.1 * 3,600,000 is no whole number in doubles.
    ["1.1h", 3_960_000],
    ["3650d", DURATION_MS_MAX],
  ])("%j is %i ms", (value, ms) => {
    expect(durationMs(value, "within")).toBe(ms);
  });

  it.each<[string, unknown]>([
    ['""', ""],
    ['"5"', "5"],
    ['"1w"', "1w"],
    ['"-1s"', "-1s"],
    ['"1e3s"', "1e3s"],
    ['" 1s"', " 1s"],
    ['".5s"', ".5s"],
    ['"1 s"', "1 s"],
    ["-1", -1],
    ["0.5", 0.5],
    ["NaN", Number.NaN],
    ["Infinity", Infinity],
    ["9007199254740992", 2 ** 53],
    ["null", null],
    ["undefined", undefined],
    ["1s", ["1s"]],
    ["1", 1n],
  ])("is not %s, and the error names the field and repeats it", async (repeated, value) => {
    const error = await refusalOf(() => durationMs(value, "retry.backoff"));
    expect(error.code).toBe("INVALID_ARGUMENT");
    expect(error.message).toBe(
      `retry.backoff must be whole milliseconds from 0, or text such as "250ms", "2s", "5m", "12h" or "3d"; got ${repeated}`,
    );
    expect(error.details).toEqual({ field: "retry.backoff" });
  });

  it("keeps to the field's limits, which the error names", async () => {
    const range = { min: 1_000, max: 840_000 };
    expect(durationMs("1s", "timeout", range)).toBe(1_000);
    expect(durationMs("14m", "timeout", range)).toBe(840_000);
    const short = await refusalOf(() => durationMs("999ms", "timeout", range));
    expect(short.message).toBe('timeout must be at least 1s; got "999ms"');
    expect(short.details).toEqual({ field: "timeout", limit: 1_000 });
    const long = await refusalOf(() => durationMs(840_001, "timeout", range));
    expect(long.message).toBe("timeout must be at most 14m; got 840001");
    expect(long.details).toEqual({ field: "timeout", limit: 840_000 });
    const endless = await refusalOf(() => durationMs(`${"9".repeat(400)}d`, "within"));
    expect(endless.message).toMatch(/^within must be at most 3650d; got "9{59}\.\.\.$/);
  });

  it("of whole units is exact, up to the limit", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[])),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (unit, part) => {
          const count = Math.floor((part * DURATION_MS_MAX) / UNITS[unit]);
          expect(durationMs(`${count}${unit}`, "within")).toBe(count * UNITS[unit]);
        },
      ),
    );
  });

  it("of a fraction is the nearest millisecond", () => {
    fc.assert(
      fc.property(fc.nat({ max: 9_999_999 }), fc.nat({ max: 999 }), (whole, thousandths) => {
        const text = `${whole}.${String(thousandths).padStart(3, "0")}s`;
        expect(durationMs(text, "within")).toBe(whole * 1_000 + thousandths);
      }),
    );
  });

  it("reads back what it was written as", () => {
    fc.assert(
      fc.property(fc.nat({ max: DURATION_MS_MAX }), (ms) => {
        expect(durationMs(inWords(ms), "within")).toBe(ms);
      }),
    );
  });
});
