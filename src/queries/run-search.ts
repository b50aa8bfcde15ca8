/** Looks for runs. `changes/run-search.ts` tells what is answered, and which runs are looked at. Pure. */
import { longTextOfAll, type RunRow, withinBytes } from "../model/index.ts";
import {
  isFindable,
  leadingFilter,
  lowerAscii,
  type QueryOf,
  remainingFilters,
  RUN_NAMES_MAX,
  type RunFilters,
  type RunPlace,
  RUNS_LOOKED_AT,
  runsOfNames,
  type RunsPage,
} from "./index.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { type State, without } from "../model/state.ts";

const byAge: Compare<RunPlace> = inTurn(
  byNumber((row) => row.createdAt),
  byText((row) => row.ordinal),
);

const byId: Compare<RunRow> = byText((run) => run.id);

export function runs(state: State, query: QueryOf<"runs">): RunsPage {
  const { after, limit } = query;
  const order = query.descending ? descending(byAge) : byAge;
  const { leading, remaining, most } = wayThrough(state, query);
  const walk = [...state.runs.all()]
    .filter((run) => isInRange(run, query.filters) && fits(state, run, leading))
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

function isFull(rows: readonly RunRow[], { omit, bytesMax = Infinity }: QueryOf<"runs">): boolean {
  return rows.length > 0 && longTextOfAll("runs", rows, omit) >= bytesMax;
}

interface Way {
  readonly leading: RunFilters;
  /** Null: whatever the leading filter gives is answered. */
  readonly remaining: RunFilters | null;
  /** Runs that are looked at. */
  readonly most: number;
}

function wayThrough(state: State, { filters, limit }: QueryOf<"runs">): Way {
  const leading = leadingFilter(filters);
  if (leading === "none") return { leading: {}, remaining: null, most: limit };
  if (leading !== "nameContains") {
    const remaining = remainingFilters(filters);
    const most = remaining === null ? limit : RUNS_LOOKED_AT;
    return { leading: { [leading]: filters[leading] }, remaining, most };
  }
  const byName = { nameContains: filters.nameContains };
  const names = new Set([...state.runs.all()].map((run) => run.workflowName));
  if (names.size > RUN_NAMES_MAX) return { leading: {}, remaining: byName, most: RUNS_LOOKED_AT };
  const found = [...names].filter((name) => contains(name, filters.nameContains));
  return { leading: byName, remaining: null, most: runsOfNames(found.length, limit) };
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
