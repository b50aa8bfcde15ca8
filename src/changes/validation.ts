/**
 * Checks a commit or queries that come from outside, whole, whatever the client has checked before.
 */
import { kindOfChange, type Change } from "./change.ts";
import { type Commit, commit as commitSchema } from "./commit.ts";
import { textLength } from "./wire.ts";
import {
  columnHolds,
  COMMIT_UNITS_MAX,
  decodeText,
  JSON_DEPTH_MAX,
  jsonShape,
  type LongTextTable,
  measureRow,
  parseJson,
  requireDepth,
  ROW_BYTES_MAX,
  signalPrefix,
  splitStageRecordId,
  tooLarge,
} from "../model/index.ts";
import type { Shape } from "../model/shape.ts";
import { type Query, queryList } from "../queries/index.ts";
import { isServiceError, ServiceError } from "../contract/index.ts";

/** @throws INVALID_ARGUMENT with the path of the culprit. */
export function validQueries(value: unknown): readonly Query[] {
  return valid(queryList, value, "queries");
}

/**
 * The commit, if it has the right shape, its rows fit, and its JSON can be read back.
 * @param valuesMax values in the JSON of all its rows together; default: as many as its text has
 * room for.
 * @throws INVALID_ARGUMENT with the path of the culprit; PAYLOAD_TOO_LARGE with `field`, `size`,
 * `limit`.
 */
export function validCommit(value: unknown, valuesMax = Infinity): Commit {
  const commit = valid(commitSchema, value, "commit");
  let count = 0;
  for (const change of commit.changes) {
    requireOwnId(change);
    for (const { table, values: row } of kindOfChange(change).texts(change)) {
      const { size, field } = measureRow(table, row);
      if (size > ROW_BYTES_MAX) throw tooLarge(field, size, ROW_BYTES_MAX);
      count += valuesIn(row, valuesMax);
      if (count > valuesMax) throw tooManyValues(valuesMax);
      requireDecodable(table, row);
    }
  }
  const size = textLength(commit.changes);
  if (size > COMMIT_UNITS_MAX) throw tooLarge("commit", size, COMMIT_UNITS_MAX);
  return commit;
}

function valid<T>(shape: Shape<T>, value: unknown, what: string): T {
  const found = shape.check(value);
  // What the shape takes is a T.
  if (found === null) return value as T;
  const field = [what, ...found.path].join(".");
  throw new ServiceError("INVALID_ARGUMENT", `${field}: ${found.message}`, { field });
}

/**
 * A stage's record id carries its run and stage, a signal's id its name. With one that carries others,
 * the row could not be found by them.
 */
function requireOwnId(change: Change): void {
  if (change.kind === "sendSignal") {
    const { id, name } = change.row;
    if (id.startsWith(signalPrefix(name))) return;
    throw new ServiceError("INVALID_ARGUMENT", "A signal's id does not belong to its name", {
      field: "id",
    });
  }
  if (change.kind !== "createStage" && change.kind !== "upsertStage") return;
  const { id, workflowRunId, stageId } = change.row;
  const key = splitStageRecordId(id);
  if (key?.workflowRunId === workflowRunId && key.stageId === stageId) return;
  throw new ServiceError("INVALID_ARGUMENT", "A stage's id does not belong to its run and stage", {
    field: "id",
  });
}

/** Values in a row's JSON. Free text counts as one value: nobody parses it. */
function valuesIn(row: Readonly<Record<string, unknown>>, max: number): number {
  if (max === Infinity) return 0;
  let count = 0;
  for (const text of Object.values(row)) {
    if (typeof text !== "string") continue;
    count += jsonShape(text, { depth: JSON_DEPTH_MAX, values: max }).values;
  }
  return count;
}

function tooManyValues(limit: number): ServiceError {
  const message = `The JSON of the commit's rows has more than ${limit} values`;
  return new ServiceError("INVALID_ARGUMENT", message, { field: "changes", limit });
}

function requireDecodable(table: LongTextTable, values: Readonly<Record<string, unknown>>): void {
  for (const [field, text] of Object.entries(values)) {
    if (typeof text !== "string") continue;
    const holds = columnHolds(table, field);
    if (holds === "json") requireDepth(text, field);
    try {
      if (holds === "text") requireString(decodeText(text));
      else if (holds === "json") parseJson(text, field);
    } catch (error) {
      if (isServiceError(error)) throw error;
      throw new ServiceError("INVALID_ARGUMENT", `${field} is not JSON text`, { field }, error);
    }
  }
}

/**
 * Marked text holds a JSON string. Another JSON value would be read back as a value that is no
 * text.
 */
function requireString(value: unknown): void {
  if (typeof value !== "string") throw new TypeError("Marked text holds no string");
}
