/**
 * Which generated id of one side is which of the other. Each side makes its own ids, so answers and rows are the
 * same when they differ in nothing but ids, and always in the same ones.
 */
import { COMMIT_ID_CHARS } from "../../src/model/index.ts";

/**
 * An ordinal, wherever it occurs: alone, or in the id of a record, or in a message that quotes one. The log of a late result has
 * that of its job, with the attempt and the outcome behind it.
 */
const ORDINAL = /(?<![0-9a-z])[0-9a-z]{22}(?=(?:\d+[csf])?(?![0-9a-z]))/g;
const COMMIT = new RegExp(`[0-9a-z]{${COMMIT_ID_CHARS}}`, "g");
/** What comes after so much is our own filling, without ids in it. */
const LENGTH_WITH_IDS = 8_000;

/** The ids in a text, and what is around them. `commits` columns hold nothing but ids. */
function taken(text: string, column: string): { ids: readonly string[]; rest: string } {
  const pattern = column === "commits" ? COMMIT : ORDINAL;
  const start = text.slice(0, LENGTH_WITH_IDS);
  const rest = start.replaceAll(pattern, "\0") + text.slice(LENGTH_WITH_IDS);
  return { ids: start.match(pattern) ?? [], rest };
}

export class Pairs {
  readonly #left: Map<string, string>;
  readonly #right: Map<string, string>;

  constructor(left = new Map<string, string>(), right = new Map<string, string>()) {
    this.#left = left;
    this.#right = right;
  }

  copy(): Pairs {
    return new Pairs(new Map(this.#left), new Map(this.#right));
  }

  /** False when one of the two is already paired with another. */
  pair(left: string, right: string): boolean {
    const known = this.#left.get(left);
    if (known === undefined && !this.#right.has(right)) {
      this.#left.set(left, right);
      this.#right.set(right, left);
      return true;
    }
    return known === right;
  }

  /** Where, and in what, two values differ other than in ids; null when nowhere. New ids become pairs. */
  difference(left: unknown, right: unknown, path = ""): string | null {
    if (typeof left === "string" && typeof right === "string") {
      return this.#ofTexts(left, right, path) ? null : told(path, left, right);
    }
    if (left instanceof Date && right instanceof Date) {
      return Object.is(left.getTime(), right.getTime()) ? null : told(path, left, right);
    }
    if (!isObject(left) || !isObject(right)) {
      return Object.is(left, right) ? null : told(path, left, right);
    }
    if (Array.isArray(left) !== Array.isArray(right)) return told(path, left, right);
    const names = Object.keys(left).toSorted();
    if (names.join("\0") !== Object.keys(right).toSorted().join("\0")) {
      return told(path, left, right);
    }
    for (const name of names) {
      const found = this.difference(left[name], right[name], `${path}.${name}`);
      if (found !== null) return found;
    }
    return null;
  }

  #ofTexts(left: string, right: string, path: string): boolean {
    const column = path.slice(path.lastIndexOf(".") + 1);
    const a = taken(left, column);
    const b = taken(right, column);
    if (a.rest !== b.rest || a.ids.length !== b.ids.length) return false;
    return a.ids.every((id, index) => this.pair(id, b.ids[index] ?? ""));
  }

  /**
   * The value as text, in which known ids have their name on the left side and all others are the same. Lists are
   * sorted: whose ids sort how is left open.
   */
  masked(value: unknown, side: "left" | "right", column = ""): string {
    if (typeof value === "string") {
      const { ids, rest } = taken(value, column);
      return [JSON.stringify(rest), ...ids.map((id) => this.#nameOf(id, side))].join("+");
    }
    if (value instanceof Date) return `Date ${value.getTime()}`;
    if (!isObject(value)) return String(value);
    const members = Object.keys(value)
      .toSorted()
      .map((name) => {
        const member = this.masked(value[name], side, name);
        return Array.isArray(value) ? member : `${JSON.stringify(name)}: ${member}`;
      });
    return Array.isArray(value) ? `[${members.toSorted().join()}]` : `{${members.join()}}`;
  }

  #nameOf(id: string, side: "left" | "right"): string {
    if (side === "left") return this.#left.has(id) ? id : "?";
    return this.#right.get(id) ?? "?";
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function told(path: string, left: unknown, right: unknown): string {
  return `${path}: D1 has ${shown(left)}, memory has ${shown(right)}`;
}

/** A value, short enough to be read. */
export function shown(value: unknown): string {
  const text =
    value === undefined
      ? "undefined"
      : typeof value === "number"
        ? String(value)
        : JSON.stringify(value);
  return text.length > 600 ? `${text.slice(0, 600)}... (${text.length} characters)` : text;
}
