/** What arrives from another Worker is checked whole, whatever its client has checked before. */
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
  ROW_BYTES_MAX,
  splitStageRecordId,
  tooLarge,
} from "../model/index.ts";
import type { Shape } from "../model/shape.ts";
import { type Query, queryList } from "../queries/index.ts";
import { isServiceError, ServiceError } from "../contract/index.ts";

export function validQueries(value: unknown): readonly Query[] {
  return valid(queryList, value, "queries");
}

/**
 * `valuesMax`: values in all JSON of its rows together; default: as many as fit into its text.
 * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE
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

/** A stage's record id tells its run and stage; one that tells others would not be found again. */
function requireOwnId(change: Change): void {
  if (change.kind !== "createStage" && change.kind !== "upsertStage") return;
  const { id, workflowRunId, stageId } = change.row;
  const key = splitStageRecordId(id);
  if (key?.workflowRunId === workflowRunId && key.stageId === stageId) return;
  throw new ServiceError("INVALID_ARGUMENT", "A stage's id does not belong to its run and stage", {
    field: "id",
  });
}

/** Values in a row's JSON; those in free text, which nobody parses, do no harm. */
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
    try {
      if (holds === "text") requireString(decodeText(text));
      else if (holds === "json") parseJson(text, field);
    } catch (error) {
      if (isServiceError(error)) throw error;
      throw new ServiceError("INVALID_ARGUMENT", `${field} is not JSON text`, { field }, error);
    }
  }
}

/** Marked text is a JSON string; any other JSON value would be read back as what it is. */
function requireString(value: unknown): void {
  if (typeof value !== "string") throw new TypeError("Marked text holds no string");
}
