/** The search for runs. */
import { descending, inTurn } from "../../model/order.ts";
import { longTextOfAll, type RunRow, withinBytes } from "../../model/rows.ts";
import { type State, without } from "../../model/state.ts";
import { byAge } from "../../queries/members.ts";
import {
  FOUND_BY,
  isFindable,
  leadingFilter,
  lowerAscii,
  remainingFilters,
  type RunFilters,
  RUNS_LOOKED_AT,
  WORKFLOWS_MAX,
  type RunsPage,
  type RunsQuery,
} from "../../queries/run-search.ts";
import { byId } from "../../queries/runs.ts";
import type { StoredAnswers } from "./answers.ts";

/** The page, as the SQL of `store/run-search.ts` gives it. */
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

/** Whether the page has all the text that it may have. */
function isFull(rows: readonly RunRow[], { omit, bytesMax = Infinity }: RunsQuery): boolean {
  return rows.length > 0 && longTextOfAll("runs", rows, omit) >= bytesMax;
}

/** How a page is found. */
interface Way {
  readonly leads: (run: RunRow) => boolean;
  /** Null: every run that the leading filter gives is answered. */
  readonly remaining: RunFilters | null;
  /** Runs that are looked at, at most. */
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
  const { nameContains, annotation } = filters;
  return (
    FOUND_BY.every((column) => (filters[column] ?? run[column]) === run[column]) &&
    contains(run.workflowName, nameContains) &&
    (annotation === undefined ||
      [...state.annotations.part(run.id).values()].some(
        ({ key, value }) =>
          key === annotation.key && value === annotation.value && isFindable(value),
      ))
  );
}

export const runSearchAnswers = { runs: searched } satisfies Partial<StoredAnswers>;
