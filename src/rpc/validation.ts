/** What arrives from another Worker is checked whole, whatever its client has checked before. */
import type * as z from "zod";
import {
  type Change,
  textLength,
  type Commit,
  COMMIT_UNITS_MAX,
  decodeText,
  JSON_DEPTH_MAX,
  jsonShape,
  LONG_TEXT,
  measureRow,
  type LongTextTable,
  parseJson,
  type Query,
  ROW_BYTES_MAX,
  splitStageRecordId,
  tooLarge,
} from "../changes/index.ts";
import { commit as commitSchema, queryList } from "../changes/schemas.ts";
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
    for (const { table, values: row } of longTexts(change)) {
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

function valid<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = [what, ...(issue?.path ?? []).map(String)].join(".");
  throw new ServiceError("INVALID_ARGUMENT", `${field}: ${issue?.message ?? "is invalid"}`, {
    field,
  });
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

interface LongTexts {
  readonly table: LongTextTable;
  readonly values: Readonly<Record<string, unknown>>;
}

function longTexts(change: Change): LongTexts[] {
  switch (change.kind) {
    case "createRun":
      return [{ table: "runs", values: change.row }];
    case "updateRun":
      return [{ table: "runs", values: change.set }];
    case "createStage":
      return [{ table: "stages", values: change.row }];
    case "upsertStage":
      return [
        { table: "stages", values: change.row },
        { table: "stages", values: change.set },
      ];
    case "updateStage":
      return [{ table: "stages", values: change.set }];
    case "createLog":
      return [{ table: "logs", values: change.row }];
    case "saveArtifact":
      return [{ table: "artifacts", values: change.row }];
    case "appendAnnotation":
      return [{ table: "annotations", values: change.row }];
    case "appendOutboxEvent":
      return [{ table: "outboxEvents", values: change.row }];
    case "completeIdempotencyKey":
      return [{ table: "idempotencyKeys", values: { result: change.result } }];
    case "enqueueJob":
      return [{ table: "jobs", values: change.row }];
    case "failJob":
    case "returnJob":
    case "releaseJob":
      return [{ table: "jobs", values: { lastError: change.error } }];
    case "recordAiCall":
      return [{ table: "aiCalls", values: change.row }];
    default:
      return [];
  }
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

/** Columns that hold free text; the other ones of LONG_TEXT hold JSON. */
const FREE_TEXT = new Set(["message", "errorMessage", "lastError", "prompt", "response"]);

function requireDecodable(table: LongTextTable, values: Readonly<Record<string, unknown>>): void {
  const json: readonly string[] = LONG_TEXT[table];
  for (const [field, text] of Object.entries(values)) {
    if (typeof text !== "string") continue;
    try {
      if (FREE_TEXT.has(field)) requireString(decodeText(text));
      else if (json.includes(field)) parseJson(text, field);
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
