import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromWire, textLength, toWire } from "../../src/changes/index.ts";
import { expectCode, rejection, upTo } from "../../src/testing/conformance/support.ts";

/** As much text as surely fits into one message. */
const FITTING = 7 * 1_024 * 1_024;

describe("the length of a value's text", () => {
  it.each<[unknown, number]>([
    [null, 0],
    [undefined, 0],
    [7, 0],
    [true, 0],
    ["", 0],
    ["text", 4],
    ["\u{1f600}\u20ac", 3],
    [["a", 1, ["bc"]], 3],
    [{ name: "a", list: [{ b: "cd" }, null] }, 3],
  ])("of %j is %i units", (value, units) => {
    expect(textLength(value)).toBe(units);
  });
});

describe("a value on its way over RPC", () => {
  it("goes as it is when it fits", () => {
    const value = { text: "x".repeat(FITTING - 1), list: ["y"] };
    expect(toWire(value)).toBe(value);
  });

  it("goes as a stream when it may not", () => {
    const value = { text: "x".repeat(FITTING), list: ["y"] };
    expect(toWire(value)).toBeInstanceOf(ReadableStream);
  });

  it("goes as a stream when its parts together may not", () => {
    const half = "x".repeat(FITTING / 2);
    expect(toWire([half, half])).not.toBeInstanceOf(ReadableStream);
    expect(toWire([half, half, "y"])).toBeInstanceOf(ReadableStream);
  });

  it("arrives as it was, either way", async () => {
    const padding = upTo(8).map((n) => String(n).repeat(1_024 * 1_024));
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ noUnicodeString: false }), async (value) => {
        expect(await fromWire(toWire({ value }))).toEqual({ value });
        const json = JSON.stringify(value);
        const { value: arrived } = await fromWire<{ value: unknown; padding: readonly string[] }>(
          toWire({ value, padding }),
        );
        expect(JSON.stringify(arrived)).toBe(json);
      }),
      { numRuns: 3 },
    );
  });

  it("arrives with text that UTF-8 does not know", async () => {
    const value = ["\ud83d", "\0", "\ufeff", "x".repeat(FITTING)];
    const sent = toWire(value);
    expect(sent).toBeInstanceOf(ReadableStream);
    expect(await fromWire(sent)).toEqual(value);
  });

  it("does not arrive when its stream breaks off", async () => {
    const breaking = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"a":'));
        controller.error(new Error("Network connection lost."));
      },
    });
    await expectCode(fromWire(breaking), "UNAVAILABLE");
  });

  it("does not arrive when it ends early", async () => {
    const short = new Blob(['{"a":']).stream();
    expect(await rejection(fromWire(short))).toBeInstanceOf(SyntaxError);
  });
});
