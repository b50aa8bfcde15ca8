/**
 * Callers' inputs as changes: checked against every limit, with the field named, before anything is
 * sent.
 */
import type { Shape } from "../model/shape.ts";
import { type CallerChange, type Change, kindOfCallers, textLength } from "../changes/index.ts";
import type { ChangeKindOf } from "../changes/change-kind.ts";
import { COMMIT_UNITS_MAX, measureRow, ROW_BYTES_MAX, tooLarge } from "../model/index.ts";
import { type CarriedQuery, shapeOf } from "../queries/index.ts";
import { type ErrorDetails, ServiceError } from "../contract/index.ts";

/** An INVALID_ARGUMENT. `details` has the field, and the limit where there is one. */
export function invalid(message: string, details: ErrorDetails = {}): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", message, details);
}

/** An id that is taken apart before it is checked. */
export function requireText(method: string, id: unknown): string {
  if (typeof id === "string") return id;
  throw invalid(`${method}: id must be a string`, { field: "id" });
}

export function requireObject<T extends object>(method: string, value: T): T {
  if (typeof value === "object" && value !== null) return value;
  throw invalid(`${method}: expected an object`, { field: "data" });
}

export function requireList<T>(method: string, value: readonly T[]): readonly T[] {
  if (Array.isArray(value)) return value;
  throw invalid(`${method}: expected an array`, { field: "data" });
}

/** Names of our own structure. Callers do not know them, so messages leave them out. */
const STRUCTURE = new Set(["row", "set", "filters"]);

/** @throws INVALID_ARGUMENT with the method, the field and what is wrong with it. */
export function requireShape(shape: Shape<unknown>, value: unknown, method: string): void {
  const found = shape.check(value);
  if (found === null) return;
  const { path, message, limit, size } = found;
  const names = path.map(String).filter((name) => !STRUCTURE.has(name));
  const field = names.join(".");
  throw invalid(`${method}: ${field} ${message}`.replace("  ", " "), {
    field,
    ...(limit === undefined ? {} : { limit }),
    ...(size === undefined ? {} : { size }),
  });
}

/**
 * The changes of a method of the contract, checked as the service will check them.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE when a row does not fit.
 */
export function checkedChanges(
  method: string,
  changes: readonly CallerChange[],
): readonly CallerChange[] {
  return checkedBy(kindOfCallers, method, changes);
}

/** The changes, checked by what `kindOf` says of their kinds. */
export function checkedBy<C extends Change>(
  kindOf: (change: C) => Pick<ChangeKindOf<C>, "shape" | "texts">,
  method: string,
  changes: readonly C[],
): readonly C[] {
  for (const candidate of changes) {
    const { shape, texts } = kindOf(candidate);
    requireShape(shape, candidate, method);
    for (const { table, values } of texts(candidate)) {
      const { size, field } = measureRow(table, values);
      if (size > ROW_BYTES_MAX) throw tooLarge(field, size, ROW_BYTES_MAX);
    }
  }
  return changes;
}

/**
 * Checks how much one commit carries: `max` changes and COMMIT_UNITS_MAX of text.
 * @returns the text of these changes and of those so far.
 * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, both with the limit.
 */
export function requireRoom(
  changes: readonly Change[],
  max: number,
  soFar: { readonly count: number; readonly size: number } = { count: 0, size: 0 },
): number {
  if (soFar.count + changes.length > max) {
    throw invalid(`At most ${max} changes fit into one commit`, { field: "changes", limit: max });
  }
  const size = soFar.size + textLength(changes);
  if (size > COMMIT_UNITS_MAX) throw tooLarge("changes", size, COMMIT_UNITS_MAX);
  return size;
}

/**
 * The query, checked as the service will check it.
 * @throws INVALID_ARGUMENT with `field`.
 */
export function checkedQuery<const Q extends CarriedQuery>(method: string, candidate: Q): Q {
  requireShape(shapeOf(candidate), candidate, method);
  return candidate;
}
