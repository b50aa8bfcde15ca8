/**
 * How runs are looked for. One filter leads: its index gives the runs in order of age. Where others remain, each page looks at a
 * bounded number of those and leaves out what does not satisfy them, so a page costs the same however many runs there are; it may come
 * back short, with a place to go on from.
 */
import { ANNOTATION_VALUE_FOUND_MAX } from "./limits.ts";
import type { RunFilters } from "./runs-query.ts";
import { utf8Length } from "./text.ts";

/** Runs that a page looks at when one filter leads and others remain, or when several names contain a text. */
export const RUNS_LOOKED_AT = 1_000;
/** Distinct names of runs. Up to so many, text is looked for among them; beyond, run by run. */
export const RUN_NAMES_MAX = 200;

/** Runs of a page of so many names. Each name is asked for as many, so that a page looks at no more of all together. */
export function runsOfNames(names: number, limit: number): number {
  return Math.max(1, Math.min(limit, Math.floor(RUNS_LOOKED_AT / Math.max(1, names))));
}

/** Whether runs are found by an annotation's value: longer ones are kept out of the index. */
export function isFindable(value: string): boolean {
  return utf8Length(value) <= ANNOTATION_VALUE_FOUND_MAX;
}

/** As the database's lower(): only ASCII letters. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
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
