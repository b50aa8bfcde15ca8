/**
 * The schemas of single fields, with their limits. Callers' inputs become changes made of these, and the
 * service checks everything that arrives against the very same ones.
 */
import * as z from "zod";
import { INSTANT_MAX, INSTANT_MIN } from "./instant.ts";
import {
  CALL_TOKENS_MAX,
  COST_MAX,
  ID_BYTES_MAX,
  JOB_ERROR_BYTES_MAX,
  KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_ID_BYTES_MAX,
  ROW_BYTES_MAX,
} from "./limits.ts";
import { isPathStep, isStorable, utf8Length } from "./text.ts";

function text(bytesMax: number, charsMin: number) {
  return z.string().superRefine((value, context) => {
    if (value.length < charsMin) {
      context.addIssue({ code: "custom", message: "must not be empty" });
    }
    if (!isStorable(value)) {
      context.addIssue({ code: "custom", message: "must not hold NUL or a lone surrogate" });
    }
    // Every UTF-16 unit is at least one byte, so the exact count is only needed near the limit.
    const size = value.length > bytesMax ? value.length : utf8Length(value);
    if (size > bytesMax) {
      context.addIssue({
        code: "custom",
        message: `must be at most ${bytesMax} bytes of UTF-8, got ${size}`,
        params: { limit: bytesMax, size },
      });
    }
  });
}

/** What names a row, and so stands in a path. */
function name(bytesMax: number, charsMin: number) {
  return text(bytesMax, charsMin).refine(
    (value) => !isPathStep(value),
    'must not be "." or "..", which no path can carry',
  );
}

export const idField = name(ID_BYTES_MAX, 1);
/** A run's id, or "" for no run. */
export const runOrNoneField = name(ID_BYTES_MAX, 0);
export const recordIdField = text(RECORD_ID_BYTES_MAX, 1);
export const nameField = text(NAME_BYTES_MAX, 0);
export const keyField = text(KEY_BYTES_MAX, 0);
export const artifactKeyField = name(KEY_BYTES_MAX, 1);
/** The id of a batch of AI calls, or "" for a call of its own. */
export const batchOrNoneField = name(KEY_BYTES_MAX, 0);
/** JSON text or encoded free text. Its size is checked with its row's. */
export const textField = text(ROW_BYTES_MAX, 0);
export const jobErrorField = text(JOB_ERROR_BYTES_MAX, 0);
export const ordinalField = z.string().regex(/^[0-9a-z]{1,64}$/, "must be an ordinal");
/** Milliseconds since 1970, of the years 0001 to 9999. */
export const instantField = z.int().min(INSTANT_MIN).max(INSTANT_MAX);
export const wholeField = z.int();
export const countField = z.int().min(0);
export const numberField = z.number().refine(Number.isFinite, "must be finite");
/** Tokens of one AI call. */
export const tokensField = countField.max(CALL_TOKENS_MAX);
export const costField = z.number().min(0).max(COST_MAX);
/** At most so many members, which are looked at only if they are not more: each that is wrong costs more than its text. */
export function listField<Member extends z.ZodType>(member: Member, max: number) {
  return z.array(z.unknown()).max(max).pipe(z.array(member));
}
export const statusField = z.enum([
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
]);
export const logLevelField = z.enum(["DEBUG", "INFO", "WARN", "ERROR"]);
export const artifactTypeField = z.enum(["STAGE_OUTPUT", "ARTIFACT", "METADATA"]);
