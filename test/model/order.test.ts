import { describe, expect, it } from "vitest";
import {
  byNumber,
  byText,
  compareUtf8,
  descending,
  firstBy,
  inTurn,
} from "../../src/model/order.ts";

const encoder = new TextEncoder();

/** The definition, byte by byte. */
function compareBytes(a: string, b: string): number {
  const left = encoder.encode(a);
  const right = encoder.encode(b);
  for (const [index, byte] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    if (byte !== other) return byte - other;
  }
  return left.length - right.length;
}

describe("compareUtf8()", () => {
  it("puts characters beyond U+FFFF after U+E000 to U+FFFD, unlike UTF-16", () => {
    expect(["\ufffd", "\u{1f600}"].toSorted()).toEqual(["\u{1f600}", "\ufffd"]);
    expect(compareUtf8("\u{1f600}", "\ufffd")).toBeGreaterThan(0);
    expect(compareUtf8("\ufffd", "\u{1f600}")).toBeLessThan(0);
    expect(compareUtf8("\ue000", "\u{10000}")).toBeLessThan(0);
  });

  it("puts a prefix before what it begins", () => {
    expect(compareUtf8("", "a")).toBeLessThan(0);
    expect(compareUtf8("ab", "a")).toBeGreaterThan(0);
    expect(compareUtf8("ab", "ab")).toBe(0);
  });

  it("tells case apart and knows no language", () => {
    expect(["b", "a", "B", "é", "z"].toSorted(compareUtf8)).toEqual(["B", "a", "b", "z", "é"]);
  });

  it("agrees with the order of the bytes on every pair of characters from the edges", () => {
    const points = [
      0x1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x103ff, 0x10400,
      0x1f600, 0x10ffff,
    ];
    const texts = ["", ...points.map((point) => String.fromCodePoint(point))];
    const longer = [...texts, ...texts.map((text) => `x${text}y`), ...texts.map((t) => `${t}é`)];
    for (const a of longer) {
      for (const b of longer) {
        expect([a, b, Math.sign(compareUtf8(a, b))]).toEqual([a, b, Math.sign(compareBytes(a, b))]);
      }
    }
  });
});

interface Row {
  readonly n: number;
  readonly t: string;
}
const order = inTurn<Row>(
  descending(byNumber((row) => row.n)),
  byText((row) => row.t),
);

describe("inTurn()", () => {
  it("asks the next order only where the one before sees no difference", () => {
    const rows = [
      { n: 1, t: "a" },
      { n: 2, t: "b" },
      { n: 2, t: "a" },
    ];
    expect(rows.toSorted(order)).toEqual([
      { n: 2, t: "a" },
      { n: 2, t: "b" },
      { n: 1, t: "a" },
    ]);
  });
});

describe("firstBy()", () => {
  it("finds the first", () => {
    expect(firstBy([3, 1, 2], (a, b) => a - b)).toBe(1);
  });

  it("is null when there are none", () => {
    expect(firstBy<number>([], (a, b) => a - b)).toBeNull();
  });
});
