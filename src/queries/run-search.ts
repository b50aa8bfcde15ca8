/**
 * How runs are searched. One filter leads: its index gives the runs by age. If other filters
 * remain, a page looks at a bounded number of these runs and drops those that do not pass. So a
 * page costs the same however many runs there are; it may be short, or empty, and still say where
 * to go on.
 */
import {
  object,
  nullable,
  optional,
  flag,
  oneOf,
  list,
  whole,
  refined,
  type TypeOf,
  type ObjectOf,
  type Optional,
} from "../model/shape.ts";
import {
  idField,
  instantField,
  jsonField,
  keyField,
  nameField,
  ordinalField,
  statusField,
} from "../model/fields.ts";
import { ANNOTATION_VALUE_FOUND_MAX, LONG_COLUMNS_MAX } from "../model/limits.ts";
import { LONG_TEXT, type RunRow } from "../model/rows.ts";
import { utf8Length } from "../model/text.ts";
import { storedQuery } from "./query-kind.ts";

/** Runs that one page looks at when a filter leads and others remain. */
export const RUNS_LOOKED_AT = 1_000;
/**
 * Up to this many workflows with their types and names, a type or a text in the name is looked for
 * among them; beyond, in each run.
 */
export const WORKFLOWS_MAX = 1_000;

/** A place in the order by age. */
const place = object({ createdAt: instantField, ordinal: ordinalField });
export type RunPlace = TypeOf<typeof place>;

/** Columns by whose value runs are found. */
export const FOUND_BY = ["workflowId", "workflowType", "status"] as const;
export type FoundBy = (typeof FOUND_BY)[number];
const foundBy = {
  workflowId: optional(idField),
  workflowType: optional(nameField),
  status: optional(statusField),
} satisfies { readonly [Column in FoundBy]: Optional<NonNullable<RunRow[Column]>> };
/** Those of them that have an index of their own (`RUNS_BY` in `store/names.ts`). */
export type IndexedBy = "workflowId" | "status";

const runFilters = object({
  ...foundBy,
  /** Text that the workflow's name contains; ASCII letters count without their case. */
  nameContains: optional(nameField),
  /**
   * An annotation of the run has this key and this value. The value is JSON as it is stored, at
   * most 256 bytes.
   */
  annotation: optional(
    object({
      key: keyField,
      value: refined(jsonField, (found) =>
        isFindable(found) ? null : { path: [], message: "must be at most 256 bytes of JSON" },
      ),
    }),
  ),
  createdFrom: optional(instantField),
  createdBefore: optional(instantField),
});
export type RunFilters = TypeOf<typeof runFilters>;

/** Whether runs are found by this value of an annotation. Longer values are not in the index. */
export function isFindable(value: string): boolean {
  return utf8Length(value) <= ANNOTATION_VALUE_FOUND_MAX;
}

/** Lower case of ASCII letters alone, as the database's lower() does it. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** One page of a search. */
export interface RunsPage {
  readonly rows: RunRow[];
  /**
   * Where the next page begins: after the last row of a full page, or after the last run that was
   * looked at. Null at the end.
   */
  readonly next: RunPlace | null;
}

export type LeadingFilter = IndexedBy | "annotation" | "kind" | "none";

/**
 * Chooses the filter that leaves the fewest runs to look at. An annotation is the most particular.
 * Few runs have a status other than COMPLETED; most are COMPLETED, so workflow and type come before
 * that one. `kind`: the type, the text in the name, or both. They lead to workflows, and these to
 * runs.
 */
export function leadingFilter(filters: RunFilters): LeadingFilter {
  if (filters.annotation !== undefined) return "annotation";
  if (filters.status !== undefined && filters.status !== "COMPLETED") return "status";
  if (filters.workflowId !== undefined) return "workflowId";
  if (filters.workflowType !== undefined) return "kind";
  if (filters.status !== undefined) return "status";
  return filters.nameContains === undefined ? "none" : "kind";
}

/**
 * The filters that are checked run by run, beside the leading one; null: none. The range of
 * createdAt is part of every walk. Type and name are checked too where they lead: runs of one
 * workflow may have several.
 */
export function remainingFilters(filters: RunFilters): RunFilters | null {
  const leading = leadingFilter(filters);
  const { createdFrom: _from, createdBefore: _before, ...given } = filters;
  if (leading === "none") return null;
  if (leading === "kind") return given;
  const { [leading]: _led, ...remaining } = given;
  return Object.values(remaining).every((value) => value === undefined) ? null : remaining;
}

const runsFields = {
  filters: runFilters,
  after: nullable(place),
  descending: flag,
  limit: whole({ min: 1, max: RUNS_LOOKED_AT }),
  omit: optional(list(oneOf(LONG_TEXT.runs), LONG_COLUMNS_MAX)),
  bytesMax: optional(whole({ min: 1 })),
};
export type RunsQuery = ObjectOf<typeof runsFields>;

export const runSearchQueries = {
  /**
   * Runs that pass all filters, by createdAt and ordinal (reversed when `descending`), the first
   * `limit` after the given place. Columns in `omit` are answered as the JSON null.
   */
  runs: storedQuery<RunsPage>()("runs", runsFields),
};
