/** Orders as SQLite sorts, for the maps and for pages that are merged. Pure. */

/** Negative: `a` comes before `b`; positive: after it; 0: the order does not tell them apart. */
export type Compare<T> = (a: T, b: T) => number;

/**
 * SQLite's BINARY order: by the bytes of UTF-8, which is by code points. JavaScript's `<` compares
 * UTF-16 units, and so puts U+1F600 before U+FFFD. Only for well-formed strings.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/**
 * The unit's place by code points: surrogates, which stand for U+10000 and up, come after U+E000 to
 * U+FFFF.
 */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

export function byText<T>(textOf: (row: T) => string): Compare<T> {
  return (a, b) => compareUtf8(textOf(a), textOf(b));
}

export function byNumber<T>(numberOf: (row: T) => number): Compare<T> {
  return (a, b) => numberOf(a) - numberOf(b);
}

export function descending<T>(compare: Compare<T>): Compare<T> {
  return (a, b) => compare(b, a);
}

/** By the first of these orders that tells two rows apart. */
export function inTurn<T>(...compares: readonly Compare<T>[]): Compare<T> {
  return (a, b) => {
    for (const compare of compares) {
      const result = compare(a, b);
      if (result !== 0) return result;
    }
    return 0;
  };
}

/** The first row by this order, or null when there is none. */
export function firstBy<T>(rows: Iterable<T>, compare: Compare<T>): T | null {
  let first: T | null = null;
  for (const row of rows) {
    if (first === null || compare(row, first) < 0) first = row;
  }
  return first;
}
