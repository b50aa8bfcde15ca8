/**
 * How runs are looked for. One filter leads: its index gives the runs in order of age. Where others remain, each page looks at a
 * bounded number of those and leaves out what does not satisfy them, so a page costs the same however many runs there are; it may come
 * back short, with a place to go on from.
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
} from "../model/shape.ts";
import {
  idField,
  instantField,
  keyField,
  nameField,
  ordinalField,
  statusField,
  textField,
} from "../model/fields.ts";
import { ANNOTATION_VALUE_FOUND_MAX, LONG_COLUMNS_MAX } from "../model/limits.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { LONG_TEXT, longTextOfAll, type RunRow, withinBytes } from "../model/rows.ts";
import { type State, without } from "../model/state.ts";
import { utf8Length } from "../model/text.ts";
import { queryKind } from "./query-kind.ts";

/** Runs that a page looks at when one filter leads and others remain. */
export const RUNS_LOOKED_AT = 1_000;
/** Workflows with their types and names. Up to so many, a type or a text in the name is looked for among them; beyond, run by run. */
export const WORKFLOWS_MAX = 1_000;

/** A place in the order of age. */
const place = object({ createdAt: instantField, ordinal: ordinalField });
export type RunPlace = TypeOf<typeof place>;

const runFilters = object({
  status: optional(statusField),
  workflowId: optional(idField),
  workflowType: optional(nameField),
  /** Text that the workflow's name contains; ASCII letters count without their case. */
  nameContains: optional(nameField),
  /** An annotation of the run with this key and this value, as it is stored: JSON of at most 256 bytes. */
  annotation: optional(
    object({
      key: keyField,
      value: refined(textField, (found) =>
        isFindable(found) ? null : { path: [], message: "must be at most 256 bytes of JSON" },
      ),
    }),
  ),
  createdFrom: optional(instantField),
  createdBefore: optional(instantField),
});
export type RunFilters = TypeOf<typeof runFilters>;

/** Whether runs are found by an annotation's value: longer ones are kept out of the index. */
export function isFindable(value: string): boolean {
  return utf8Length(value) <= ANNOTATION_VALUE_FOUND_MAX;
}

/** As the database's lower(): only ASCII letters. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

export interface RunsPage {
  readonly rows: RunRow[];
  /** Where to go on: after the last row of a full page, or the last run that was looked at; null at the end. */
  readonly next: RunPlace | null;
}

export type LeadingFilter = "annotation" | "status" | "workflowId" | "kind" | "none";

/**
 * The filter whose index gives the runs. An annotation is the most particular. A status other than COMPLETED is one of few runs; most
 * are COMPLETED, so workflow and type come before it. `kind`: the type, the name or both, which lead to workflows, and these to runs.
 */
export function leadingFilter(given: RunFilters): LeadingFilter {
  if (given.annotation !== undefined) return "annotation";
  if (given.status !== undefined && given.status !== "COMPLETED") return "status";
  if (given.workflowId !== undefined) return "workflowId";
  if (given.workflowType !== undefined) return "kind";
  if (given.status !== undefined) return "status";
  return given.nameContains === undefined ? "none" : "kind";
}

/**
 * Filters that the leading one leaves to be checked run by run; null: none. The range of createdAt is part of every walk. A workflow may have
 * had other types and names, so these are checked too where they lead.
 */
export function remainingFilters(given: RunFilters): RunFilters | null {
  const leading = leadingFilter(given);
  const { createdFrom: _from, createdBefore: _before, ...filters } = given;
  if (leading === "none" || leading === "kind") return leading === "none" ? null : filters;
  const { [leading]: _led, ...remaining } = filters;
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
type RunsQuery = ObjectOf<typeof runsFields>;

const byAge: Compare<RunPlace> = inTurn(
  byNumber((row) => row.createdAt),
  byText((row) => row.ordinal),
);

const byId: Compare<RunRow> = byText((run) => run.id);

function searched(state: State, query: RunsQuery): RunsPage {
  const { after, limit } = query;
  const order = query.descending ? descending(byAge) : byAge;
  const { leads, remaining, most } = wayThrough(state, query);
  const walk = [...state.runs.all()]
    .filter((run) => isInRange(run, query.filters) && leads(run))
    .filter((run) => after === null || order(run, after) > 0)
    .toSorted(inTurn(order, query.descending ? descending(byId) : byId));
  const looked = walk.slice(0, most);
  const fitting = looked.filter((run) => fits(state, run, remaining ?? {})).slice(0, limit);
  const rows = withinBytes("runs", fitting, query);
  const full = rows.length === limit || isFull(rows, query);
  const last = full ? rows.at(-1) : looked[most - 1];
  return {
    rows: rows.map((row) => without(row, query.omit)),
    next: last ? { createdAt: last.createdAt, ordinal: last.ordinal } : null,
  };
}

function isFull(rows: readonly RunRow[], { omit, bytesMax = Infinity }: RunsQuery): boolean {
  return rows.length > 0 && longTextOfAll("runs", rows, omit) >= bytesMax;
}

interface Way {
  readonly leads: (run: RunRow) => boolean;
  /** Null: whatever the leading filter gives is answered. */
  readonly remaining: RunFilters | null;
  /** Runs that are looked at. */
  readonly most: number;
}

function wayThrough(state: State, { filters, limit }: RunsQuery): Way {
  const leading = leadingFilter(filters);
  const remaining = remainingFilters(filters);
  if (leading === "none") return { leads: () => true, remaining, most: limit };
  if (leading !== "kind") {
    const led = { [leading]: filters[leading] };
    const most = remaining === null ? limit : RUNS_LOOKED_AT;
    return { leads: (run) => fits(state, run, led), remaining, most };
  }
  const { workflowType, nameContains, status } = filters;
  const ofType = [...state.runs.all()].filter((run) => fits(state, run, { workflowType }));
  const kinds = new Set(
    ofType.map((run) => JSON.stringify([run.workflowType, run.workflowId, run.workflowName])),
  );
  if (kinds.size > WORKFLOWS_MAX) return { leads: () => true, remaining, most: RUNS_LOOKED_AT };
  const named = ofType.filter((run) => contains(run.workflowName, nameContains));
  const workflows = new Set(named.map((run) => run.workflowId));
  const most = status === undefined ? limit : RUNS_LOOKED_AT;
  return { leads: (run) => workflows.has(run.workflowId), remaining, most };
}

function contains(name: string, text = ""): boolean {
  return lowerAscii(name).includes(lowerAscii(text));
}

function isInRange(run: RunRow, { createdFrom, createdBefore }: RunFilters): boolean {
  return (
    (createdFrom === undefined || run.createdAt >= createdFrom) &&
    (createdBefore === undefined || run.createdAt < createdBefore)
  );
}

function fits(state: State, run: RunRow, filters: RunFilters): boolean {
  const { status, workflowId, workflowType, nameContains, annotation } = filters;
  return (
    (status === undefined || run.status === status) &&
    (workflowId === undefined || run.workflowId === workflowId) &&
    (workflowType === undefined || run.workflowType === workflowType) &&
    contains(run.workflowName, nameContains) &&
    (annotation === undefined ||
      [...state.annotations.part(run.id).values()].some(
        ({ key, value }) =>
          key === annotation.key && value === annotation.value && isFindable(value),
      ))
  );
}

export const runSearchQueries = {
  /**
   * Runs that satisfy all filters, by (createdAt, ordinal), reversed when `descending`, after the given place, the first `limit`. Columns
   * in `omit` are answered as the JSON null.
   */
  runs: queryKind("runs", runsFields, { answer: searched }),
};
