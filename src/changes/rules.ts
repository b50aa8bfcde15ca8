/**
 * What a value of a field must be, without a schema: what a client can carry. The service's schemas of texts (`fields.ts`) are made of
 * these; a test holds those of numbers against them. Pure.
 */
import type { ArtifactType, LogLevel, Status } from "../contract/index.ts";
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

export interface FieldProblem {
  /** To follow the field's name. */
  readonly message: string;
  readonly limit?: number;
  readonly size?: number;
}

/** What is wrong with a value; null for nothing. */
export type Rule = (value: unknown) => FieldProblem | null;

function text(bytesMax: number, charsMin: number): Rule {
  return (value) => {
    if (typeof value !== "string") return { message: "must be a string" };
    if (value.length < charsMin) return { message: "must not be empty" };
    if (!isStorable(value)) return { message: "must not hold NUL or a lone surrogate" };
    // Every UTF-16 unit is at least one byte, so the exact count is only needed near the limit.
    const size = value.length > bytesMax ? value.length : utf8Length(value);
    return size > bytesMax
      ? {
          message: `must be at most ${bytesMax} bytes of UTF-8, got ${size}`,
          limit: bytesMax,
          size,
        }
      : null;
  };
}

/** What names a row, and so stands in a path. */
function name(bytesMax: number, charsMin: number): Rule {
  const isText = text(bytesMax, charsMin);
  return (value) =>
    isText(value) ??
    (typeof value === "string" && isPathStep(value)
      ? { message: 'must not be "." or "..", which no path can carry' }
      : null);
}

function ordinal(charsMax: number): Rule {
  return (value) =>
    typeof value === "string" && value.length <= charsMax && /^[0-9a-z]+$/.test(value)
      ? null
      : { message: "must be an ordinal" };
}

/** A number within a range; `whole`: exactly what a double holds. */
function number(whole: boolean, min: number, max: number): Rule {
  const what = whole ? "a whole number" : "a number";
  const known = whole ? Number.isSafeInteger : Number.isFinite;
  return (value) => {
    if (!known(value) || typeof value !== "number") return { message: `must be ${what}` };
    if (value < min) return { message: `must be ${what} of at least ${min}`, limit: min };
    return value > max ? { message: `must be ${what} of at most ${max}`, limit: max } : null;
  };
}

function oneOf<T extends string>(values: Readonly<Record<T, true>>): Rule {
  return (value) =>
    typeof value === "string" && Object.hasOwn(values, value)
      ? null
      : { message: `must be one of ${Object.keys(values).join(", ")}` };
}

export function nullable(rule: Rule): Rule {
  return (value) => (value === null ? null : rule(value));
}

export const idRule = /* @__PURE__ */ name(ID_BYTES_MAX, 1);
export const runOrNoneRule = /* @__PURE__ */ name(ID_BYTES_MAX, 0);
export const recordIdRule = /* @__PURE__ */ text(RECORD_ID_BYTES_MAX, 1);
export const nameRule = /* @__PURE__ */ text(NAME_BYTES_MAX, 0);
export const keyRule = /* @__PURE__ */ text(KEY_BYTES_MAX, 0);
export const artifactKeyRule = /* @__PURE__ */ name(KEY_BYTES_MAX, 1);
export const batchOrNoneRule = /* @__PURE__ */ name(KEY_BYTES_MAX, 0);
export const textRule = /* @__PURE__ */ text(ROW_BYTES_MAX, 0);
export const jobErrorRule = /* @__PURE__ */ text(JOB_ERROR_BYTES_MAX, 0);
export const ordinalRule = /* @__PURE__ */ ordinal(64);
export const callOrdinalRule = /* @__PURE__ */ ordinal(80);
export const instantRule = /* @__PURE__ */ number(true, INSTANT_MIN, INSTANT_MAX);
export const wholeRule = /* @__PURE__ */ number(true, -Infinity, Infinity);
export const countRule = /* @__PURE__ */ number(true, 0, Infinity);
export const atLeastOneRule = /* @__PURE__ */ number(true, 1, Infinity);
export const numberRule = /* @__PURE__ */ number(false, -Infinity, Infinity);
export const tokensRule = /* @__PURE__ */ number(true, 0, CALL_TOKENS_MAX);
export const costRule = /* @__PURE__ */ number(false, 0, COST_MAX);
export const statusRule = /* @__PURE__ */ oneOf<Status>({
  PENDING: true,
  RUNNING: true,
  SUSPENDED: true,
  COMPLETED: true,
  FAILED: true,
  CANCELLED: true,
  SKIPPED: true,
});
export const logLevelRule = /* @__PURE__ */ oneOf<LogLevel>({
  DEBUG: true,
  INFO: true,
  WARN: true,
  ERROR: true,
});
export const artifactTypeRule = /* @__PURE__ */ oneOf<ArtifactType>({
  STAGE_OUTPUT: true,
  ARTIFACT: true,
  METADATA: true,
});
