import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson } from "../../src/changes/index.ts";
import { isServiceError } from "../../src/contract/index.ts";

/** The path that a text is refused with; null when it is taken. */
function refused(text: string, root = ""): string | null {
  try {
    expect(parseJson(text, root)).toEqual(JSON.parse(text));
    return null;
  } catch (error) {
    if (!isServiceError(error)) throw error;
    expect(error.code).toBe("INVALID_ARGUMENT");
    return String(error.details["field"]);
  }
}

describe("a number in JSON text", () => {
  it.each([
    "1e400",
    "-1e400",
    "1E+309",
    "1.8e308",
    `1${"0".repeat(309)}`,
    "1e99999999999999999999",
    "1e-400",
    "-0.0000001e-330",
    `0.${"0".repeat(400)}1`,
    "9007199254740993",
    "-9007199254740993",
    "9007199254740993.0",
    "9007199254740993e0",
    "900719925474099.3e1",
    "90071992547409930e-1",
    "12345678901234567890",
    "590295810358705651711",
    "18446744073709551615",
    "1234567890".repeat(30),
  ])("is refused when a double cannot hold it: %s", (literal) => {
    expect(refused(literal)).toBe("body");
    expect(refused(`{"a":[0,${literal} ]}`)).toBe("a[1]");
  });

  it.each([
    "0",
    "-0",
    "0.0e999999",
    "0e-999",
    "9007199254740991",
    "9007199254740992",
    "9007199254740994",
    "-9223372036854775808",
    "18446744073709551616",
    "590295810358705651712",
    "590295810358705700000",
    "1e23",
    "100000000000000000000000",
    "1.7976931348623157e308",
    "5e-324",
    "2.2250738585072014e-308",
    "1.0000000000000000000000",
    "123.4500000000000000000",
  ])("is taken when a double holds it, or writes it so: %s", (literal) => {
    expect(refused(`[${literal}]`)).toBeNull();
  });

  it.each(["0.1", "3.14159265358979323846", "9007199254740992.5", "0.1234567890123456789e-7"])(
    "that is a decimal is rounded to the nearest double: %s",
    (literal) => {
      expect(parseJson(literal, "")).toBe(Number(literal));
    },
  );

  it.each([
    ['{"input":{"limit":1e400}}', "input.limit"],
    ['[[],[{"a b":[1,2,1e400]}]]', '[1][0]["a b"][2]'],
    ['{"a":"b","c":{"d":"1e400","e":1e400}}', "c.e"],
    ['{"a":["x","y",{"z":"w"},9007199254740993]}', "a[3]"],
    ['{"a\\"}":{"\\\\":1e400}}', '["a\\"}"]["\\\\"]'],
    ['{ "a" \n:\t[ { } , [ ] , 1e400 ] }', "a[2]"],
    ['{"":1e400}', '[""]'],
    ['{"__proto__":{"x":1e400}}', "__proto__.x"],
    ["1e400", "body"],
  ])("is named by its path: %s", (text, path) => {
    expect(refused(text)).toBe(path);
  });

  it("is named behind the value that it is part of", () => {
    expect(refused('{"limit":1e400}', "input")).toBe("input.limit");
    expect(refused("[1e400]", "input")).toBe("input[0]");
  });

  it("does not repeat more of the text than can be read", () => {
    const text = `{"${"k".repeat(100_000)}":${"9".repeat(100_000)}}`;
    expect(() => parseJson(text, "")).toThrow(/^.{400,700}$/);
  });

  it("is no number within a text", () => {
    expect(refused('"1e400 9007199254740993"')).toBeNull();
    expect(refused('{"1e400":"\\"1e400","\\\\":"9007199254740993"}')).toBeNull();
  });

  it("is never refused when a program has written it", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (json, number) => {
          expect(refused(JSON.stringify([json, number]))).toBeNull();
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is held or refused, as a whole number, exactly as BigInt tells", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), (whole) => {
        const held = Number(whole);
        const kept =
          BigInt(held) === whole ||
          BigInt(String(held).includes("e") ? held : String(held)) === whole;
        expect(refused(`{"n":${whole}}`)).toBe(kept ? null : "n");
      }),
      { numRuns: 500 },
    );
  });
});

it("What is not JSON is a SyntaxError", () => {
  expect(() => parseJson('{"a":1e400', "")).toThrow(SyntaxError);
});
