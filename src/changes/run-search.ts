/**
 * How runs are looked for. One filter leads: its index gives the runs in order of age. Where others remain, each page looks at a
 * bounded number of those and leaves out what does not satisfy them, so a page costs the same however many runs there are; it may come
 * back short, with a place to go on from.
 */
import * as z from "zod";
import {
  countField,
  idField,
  instantField,
  keyField,
  listField,
  nameField,
  ordinalField,
  statusField,
  textField,
} from "./fields.ts";
import { ANNOTATION_VALUE_FOUND_MAX, LONG_COLUMNS_MAX } from "./limits.ts";
import { LONG_TEXT, type RunRow } from "./rows.ts";
import { utf8Length } from "./text.ts";

/** Runs that a page looks at when one filter leads and others remain, or when several names contain a text. */
export const RUNS_LOOKED_AT = 1_000;
/** Distinct names of runs. Up to so many, text is looked for among them; beyond, run by run. */
export const RUN_NAMES_MAX = 200;

/** Runs of a page of so many names. Each name is asked for as many, so that a page looks at no more of all together. */
export function runsOfNames(names: number, limit: number): number {
  return Math.max(1, Math.min(limit, Math.floor(RUNS_LOOKED_AT / Math.max(1, names))));
}

/** A place in the order of age. */
const place = z.strictObject({ createdAt: instantField, ordinal: ordinalField });
export type RunPlace = z.infer<typeof place>;

const filters = z.strictObject({
  status: statusField.optional(),
  workflowId: idField.optional(),
  workflowType: nameField.optional(),
  /** Text that the workflow's name contains; ASCII letters count without their case. */
  nameContains: nameField.optional(),
  /** An annotation of the run with this key and this value, as it is stored: JSON of at most 256 bytes. */
  annotation: z
    .strictObject({
      key: keyField,
      value: textField.refine(isFindable, "must be at most 256 bytes of JSON"),
    })
    .optional(),
  createdFrom: instantField.optional(),
  createdBefore: instantField.optional(),
});
export type RunFilters = z.infer<typeof filters>;

/** Whether runs are found by an annotation's value: longer ones are kept out of the index. */
export function isFindable(value: string): boolean {
  return utf8Length(value) <= ANNOTATION_VALUE_FOUND_MAX;
}

/** As the database's lower(): only ASCII letters. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * Runs that satisfy all filters, by (createdAt, ordinal), reversed when `descending`, after the given place, the first `limit`. Columns
 * in `omit` are answered as the JSON null.
 */
export const runsQuery = z.strictObject({
  q: z.literal("runs"),
  filters,
  after: place.nullable(),
  descending: z.boolean(),
  limit: countField.min(1).max(RUNS_LOOKED_AT),
  omit: listField(z.enum(LONG_TEXT.runs), LONG_COLUMNS_MAX).optional(),
  bytesMax: countField.min(1).optional(),
});

export interface RunsPage {
  readonly rows: RunRow[];
  /** Where to go on: after the last row of a full page, or the last run that was looked at; null at the end. */
  readonly next: RunPlace | null;
}

export type LeadingFilter =
  | "annotation"
  | "status"
  | "workflowId"
  | "workflowType"
  | "nameContains"
  | "none";

/**
 * The filter whose index gives the runs. An annotation is the most particular. A status other than COMPLETED is one of few runs; most
 * are COMPLETED, so workflow and type come before it.
 */
export function leadingFilter(given: RunFilters): LeadingFilter {
  if (given.annotation !== undefined) return "annotation";
  if (given.status !== undefined && given.status !== "COMPLETED") return "status";
  if (given.workflowId !== undefined) return "workflowId";
  if (given.workflowType !== undefined) return "workflowType";
  if (given.status !== undefined) return "status";
  return given.nameContains === undefined ? "none" : "nameContains";
}

/** Filters that the leading one leaves to be checked run by run; null: none. The range of createdAt is part of every walk. */
export function remainingFilters(given: RunFilters): RunFilters | null {
  const leading = leadingFilter(given);
  if (leading === "none" || leading === "nameContains") return null;
  const { createdFrom: _from, createdBefore: _before, [leading]: _led, ...remaining } = given;
  return Object.values(remaining).every((value) => value === undefined) ? null : remaining;
}
