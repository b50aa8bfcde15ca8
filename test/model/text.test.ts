import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeText, encodeText, isStorable, utf8Length } from "../../src/model/index.ts";

/** Any text that JavaScript knows: NUL and lone surrogates are as likely as anything else that is special. */
const unit = fc.oneof(
  fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  fc.constantFrom("\0", "\u0001", "\ud83d", "\ude00", "\u{1f600}", "a", '"', "\\", "\u2028"),
);
const anyText = fc.string({ unit, maxLength: 30 });

describe("free text", () => {
  it("is read back as it was, whatever it is", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(decodeText(encodeText(text))).toBe(text);
      }),
      { numRuns: 5_000 },
    );
  });

  it("is stored as what a column holds", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(isStorable(encodeText(text))).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it("is stored as different text when it is different", () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(encodeText(a) === encodeText(b)).toBe(a === b);
      }),
    );
  });

  it.each([
    ["plain", "plain"],
    ["", ""],
    ["\u{1f600}", "\u{1f600}"],
    ["a\u0001", "a\u0001"],
    ['{"json":1}', '{"json":1}'],
    ["a\0b", '\u0001"a\\u0000b"'],
    ["\ud83d", '\u0001"\\ud83d"'],
    ["\ude00\ud83d", '\u0001"\\ude00\\ud83d"'],
    ["\u0001", '\u0001"\\u0001"'],
    ['\u0001"a"', '\u0001"\\u0001\\"a\\""'],
  ])("%j is stored as %j", (text, stored) => {
    expect(encodeText(text)).toBe(stored);
    expect(decodeText(stored)).toBe(text);
  });
});

describe("text that a column holds", () => {
  it.each([
    ["", true],
    ["a", true],
    ["\u{10ffff}", true],
    ["\u0001", true],
    ["\ufffd", true],
    ["\0", false],
    ["a\0", false],
    ["\ud800", false],
    ["\udfff", false],
    ["\ude00\ud83d", false],
  ])("%j: %s", (text, storable) => {
    expect(isStorable(text)).toBe(storable);
  });
});

describe("the length of text", () => {
  it.each([
    ["", 0],
    ["a", 1],
    ["\u00e9", 2],
    ["\u20ac", 3],
    ["\u{1f600}", 4],
    ["\ud83d", 3],
  ])("of %j is %i bytes of UTF-8", (text, bytes) => {
    expect(utf8Length(text)).toBe(bytes);
  });

  it("is at least that of its UTF-16 units, and at most three times that", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(utf8Length(text)).toBeGreaterThanOrEqual(text.length);
        expect(utf8Length(text)).toBeLessThanOrEqual(3 * text.length);
      }),
    );
  });
});
