/**
 * Callers' inputs as changes: checked against every limit, with the field named, before anything is sent.
 */
import {
  type Change,
  textLength,
  COMMIT_UNITS_MAX,
  encodeText,
  INSTANT_RULE,
  instantOf,
  type LongTextTable,
  measureRow,
  ROW_BYTES_MAX,
  tooLarge,
  TRANSACTION_CHANGES_MAX,
  utf8Length,
} from "../changes/index.ts";
import { type ErrorDetails, ServiceError } from "../contract/index.ts";
import { type CheckedQuery, problemOf } from "./checks.ts";

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

/** Throws INVALID_ARGUMENT that names the method, the field and what is wrong with it. */
function requireSound(method: string, made: Change | CheckedQuery): void {
  const problem = problemOf(made);
  if (problem === null) return;
  const { field, message, limit, size } = problem;
  throw invalid(`${method}: ${field} ${message}`, { field, ...defined({ limit, size }) });
}

/**
 * Checks changes as the service will.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE when a new row does not fit.
 */
export function checkedChanges(method: string, changes: readonly Change[]): readonly Change[] {
  for (const candidate of changes) {
    requireSound(method, candidate);
    const table = insertedInto(candidate);
    if (table !== null && "row" in candidate) {
      const { size, field } = measureRow(table, candidate.row);
      if (size > ROW_BYTES_MAX) throw tooLarge(field, size, ROW_BYTES_MAX);
    }
  }
  return changes;
}

/**
 * How much a commit carries: at most TRANSACTION_CHANGES_MAX changes and COMMIT_UNITS_MAX of text.
 * @returns the text so far and that of the changes together.
 * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, both with the limit.
 */
export function requireRoom(
  changes: readonly Change[],
  soFar: { readonly count: number; readonly size: number } = { count: 0, size: 0 },
): number {
  if (soFar.count + changes.length > TRANSACTION_CHANGES_MAX) {
    throw invalid(`At most ${TRANSACTION_CHANGES_MAX} changes fit into one commit`, {
      field: "changes",
      limit: TRANSACTION_CHANGES_MAX,
    });
  }
  const size = soFar.size + textLength(changes);
  if (size > COMMIT_UNITS_MAX) throw tooLarge("changes", size, COMMIT_UNITS_MAX);
  return size;
}

export function checkedQuery<const Q extends CheckedQuery>(method: string, candidate: Q): Q {
  requireSound(method, candidate);
  return candidate;
}

function insertedInto(candidate: Change): LongTextTable | null {
  switch (candidate.kind) {
    case "createRun":
      return "runs";
    case "createStage":
    case "upsertStage":
      return "stages";
    case "createLog":
      return "logs";
    case "saveArtifact":
      return "artifacts";
    case "appendAnnotation":
      return "annotations";
    case "appendOutboxEvent":
      return "outboxEvents";
    case "enqueueJob":
      return "jobs";
    case "recordAiCall":
      return "aiCalls";
    default:
      return null;
  }
}

/** Free text of any content for a column. Throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE. */
export function freeText(value: unknown, field: string, limit: number = ROW_BYTES_MAX): string {
  if (typeof value !== "string") throw invalid(`${field} must be a string`, { field });
  const text = encodeText(value);
  const size = utf8Length(text);
  if (size > limit) throw tooLarge(field, size, limit);
  return text;
}

export function nullableFreeText(value: unknown, field: string): string | null {
  return value === null || value === undefined ? null : freeText(value, field);
}

/**
 * Milliseconds of a Date. A date-time of RFC 3339 and milliseconds are taken too, since a Date that went through a
 * JSON store (a replayed idempotent result, say) comes back as a string.
 */
export function instant(value: unknown, field: string): number {
  const time = instantOf(value);
  if (time === null) throw invalid(`${field} ${INSTANT_RULE}`, { field });
  return time;
}

export function nullableInstant(value: unknown, field: string): number | null {
  return value === null || value === undefined ? null : instant(value, field);
}

/** The members that are not undefined: an absent member leaves a column alone. */
export function defined<T extends object>(
  members: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** A number as the columns hold it: they know one zero. */
export function unsignedZero<T>(value: T): T | 0 {
  return Object.is(value, -0) ? 0 : value;
}

/** Applies `encode` unless the input is undefined. */
export function given<In, Out>(value: In | undefined, encode: (value: In) => Out): Out | undefined {
  return value === undefined ? undefined : encode(value);
}
