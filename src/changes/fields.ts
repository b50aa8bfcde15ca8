/**
 * The schemas of single fields, with their limits. Callers' inputs become changes made of these, and the
 * service checks everything that arrives against the very same ones.
 */
import * as z from "zod";
import {
  ID_BYTES_MAX,
  JOB_ERROR_BYTES_MAX,
  KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_ID_BYTES_MAX,
  ROW_BYTES_MAX,
} from "./limits.ts";
import { isStorable, utf8Length } from "./text.ts";

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

export const idField = text(ID_BYTES_MAX, 1);
export const recordIdField = text(RECORD_ID_BYTES_MAX, 1);
export const nameField = text(NAME_BYTES_MAX, 0);
export const keyField = text(KEY_BYTES_MAX, 0);
/** JSON text or encoded free text. Its size is checked with its row's. */
export const textField = text(ROW_BYTES_MAX, 0);
export const jobErrorField = text(JOB_ERROR_BYTES_MAX, 0);
export const ordinalField = z.string().regex(/^[0-9a-z]{1,64}$/, "must be an ordinal");
/** Milliseconds since 1970, within what a Date can hold. */
export const instantField = z.int().min(-8.64e15).max(8.64e15);
export const wholeField = z.int();
export const countField = z.int().min(0);
export const numberField = z.number().refine(Number.isFinite, "must be finite");
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
