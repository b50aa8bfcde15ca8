/**
 * Lists across runs inside a transaction. They are read committed: fetched anew each time, with the
 * transaction's own rows in the place of the stored ones. Only single runs are guarded.
 */
import {
  type OutboxEventRow,
  READ_QUERIES_MAX,
  type RunRow,
  type StageRow,
} from "../../model/index.ts";
import {
  allPages,
  answer,
  type AnyResult,
  kindOfQuery,
  OUTBOX_READ_MAX,
  fullPage,
  type CallerQuery,
  type QueryOf,
  type ResultsOf,
  type RunPlace,
  type RunsPage,
  suspendedStagePlace,
  type SuspendedStagePlace,
} from "../../queries/index.ts";
import { byAge } from "../../queries/members.ts";
import { byId, byLastUpdate } from "../../queries/runs.ts";
import { byStagePoll, isDueForPoll } from "../../queries/stages.ts";
import { inTurn } from "../../model/order.ts";
import type { RowRef } from "../../model/row-ref.ts";
import { createState, isWaiting, keep, type State, type TableName } from "../../model/state.ts";
import { asManyAsFit } from "../as-many-as-fit.ts";
import type { LocalCopy } from "./local-copy.ts";

/**
 * PENDING runs that are fetched when a transaction first asks for some. Its further claims choose
 * from the same.
 */
const PENDING_LOOKED_AT = 10;

export interface AcrossRuns {
  readonly copy: LocalCopy;
  /** The rows that the transaction wrote, by their names. */
  readonly written: ReadonlyMap<string, RowRef>;
  readonly read: <const Qs extends readonly CallerQuery[]>(queries: Qs) => Promise<ResultsOf<Qs>>;
}

/** Whether no unit of one run answers the query. */
export function isAcrossRuns(query: CallerQuery): boolean {
  return kindOfQuery(query).loads(query) === null;
}

export async function acrossRuns(query: CallerQuery, context: AcrossRuns): Promise<AnyResult> {
  switch (query.q) {
    case "pendingRuns":
      return pendingRuns(query, context);
    case "runs":
      return matchingRuns(query, context);
    case "stuckRuns":
      return stuckRuns(query, context);
    case "suspendedStages":
      return suspendedStages(query, context);
    case "unpublishedEvents":
    case "deadLetters":
      return events(query, context);
    default: {
      const [result] = await context.read([query]);
      return result;
    }
  }
}

async function pendingRuns(
  query: QueryOf<"pendingRuns">,
  { copy, read }: AcrossRuns,
): Promise<RunRow[]> {
  const known = copy.pendingRuns;
  const left = (known?.rows ?? []).filter(({ id }) => stillPending(copy, id));
  if (known === null || (left.length === 0 && !known.all)) {
    const held = copy.runsHeld();
    const wanted = Math.max(query.limit, PENDING_LOOKED_AT);
    copy.pendingRuns = await asManyAsFit(wanted, async (count) => {
      const [rows] = await read([{ q: "pendingRuns", limit: count + held }]);
      return { rows, all: rows.length < count + held };
    });
  }
  const candidates = createState();
  for (const row of copy.pendingRuns?.rows ?? []) putUnlessHeld(candidates, copy, row);
  putHeld(candidates, copy);
  return answer(candidates, query);
}

/** Whether the run can still be claimed, as far as the transaction knows. */
function stillPending(copy: LocalCopy, id: string): boolean {
  const held = copy.holds({ of: "run", id });
  return !held || copy.local.runs.get(id, "")?.status === "PENDING";
}

function putUnlessHeld(state: State, copy: LocalCopy, row: RunRow): void {
  if (!copy.holds({ of: "run", id: row.id })) keep(state, "runs", row);
}

function putHeld(state: State, copy: LocalCopy): void {
  for (const row of copy.local.runs.all()) keep(state, "runs", row);
}

/** All runs with the status, oldest first, as one page. The contract asks for nothing else. */
async function matchingRuns(query: QueryOf<"runs">, { copy, read }: AcrossRuns): Promise<RunsPage> {
  const state = createState();
  const stored = await allPages(async (after: RunPlace | null) => {
    const [page] = await read([{ ...query, after }]);
    return page;
  });
  for (const row of stored) putUnlessHeld(state, copy, row);
  putHeld(state, copy);
  const { status } = query.filters;
  const rows = [...state.runs.all()].filter((run) => run.status === status);
  return { rows: rows.toSorted(inTurn(byAge, byId)), next: null };
}

/**
 * Stored runs without those that the transaction touched, and of these the ones that are stuck as
 * it leaves them.
 */
async function stuckRuns(
  query: QueryOf<"stuckRuns">,
  { copy, written, read }: AcrossRuns,
): Promise<RunRow[]> {
  const [rows] = await read([query]);
  const touched = runsOf(written, ["runs", "stages"]);
  const busy = runsOf(written, ["jobs"]);
  await copy.load(
    [...touched].flatMap((workflowRunId) => [
      { of: "run", id: workflowRunId },
      { of: "stages", workflowRunId },
      { of: "jobs", workflowRunId },
    ]),
  );
  const own = answer(copy.local, query).filter(({ id }) => touched.has(id));
  const others = rows.filter(({ id }) => !touched.has(id));
  // A run whose jobs the transaction writes is being taken care of.
  return [...others, ...own].filter(({ id }) => !busy.has(id)).toSorted(byLastUpdate);
}

/** The runs of those rows of these tables that the transaction wrote. */
function runsOf(
  written: ReadonlyMap<string, RowRef>,
  tables: readonly TableName[],
): ReadonlySet<string> {
  const rows = [...written.values()].filter(({ table }) => tables.includes(table));
  return new Set(rows.map(({ part }) => part));
}

/** The first page answers all of them, so a further page is empty. */
async function suspendedStages(
  query: QueryOf<"suspendedStages">,
  { copy, read }: AcrossRuns,
): Promise<StageRow[]> {
  if (query.after !== null) return [];
  const stored = await allPages(async (after: SuspendedStagePlace | null) => {
    const [page] = await read([{ ...query, after }]);
    return fullPage(page, suspendedStagePlace);
  });
  const rows = stored.filter(
    ({ workflowRunId, stageId }) => !copy.holds({ of: "stage", workflowRunId, stageId }),
  );
  const own = [...copy.local.stages.all()].filter((row) => isDueForPoll(row, query.before));
  return [...rows, ...own].toSorted(byStagePoll);
}

/** Stored events, with the transaction's own and without those that it took out of the list. */
async function events(
  query: QueryOf<"unpublishedEvents"> | QueryOf<"deadLetters">,
  { copy, written, read }: AcrossRuns,
): Promise<OutboxEventRow[]> {
  // As many more as the transaction may have taken out of the page.
  const own = [...written.values()].filter(({ table }) => table === "outboxEvents");
  const limit = Math.min(query.limit + own.length, OUTBOX_READ_MAX);
  const [page]: [OutboxEventRow[]] = await read([{ ...query, limit }]);
  const rows = [...page];
  if (query.q === "unpublishedEvents" && page.length === limit) {
    rows.push(...(await behindPage(page, own, { copy, read })));
  }
  const state = createState();
  for (const row of rows) {
    const { workflowRunId, sequence } = row;
    if (copy.holds({ of: "outboxEvent", workflowRunId, sequence })) continue;
    keep(state, "outboxEvents", row);
  }
  copy.applyDeferredTo(state, (change) => change.kind === "publishOutboxEvent");
  for (const row of copy.local.outboxEvents.all()) {
    const { workflowRunId, sequence } = row;
    if (!copy.holds({ of: "outboxEvent", workflowRunId, sequence })) continue;
    keep(state, "outboxEvents", row);
  }
  return answer(state, query);
}

/**
 * The next waiting events behind a full page, of runs that the transaction has written events of.
 * An event that the transaction has taken out counted on the page, so another one of its run may
 * come before others there. An event of its own that waits comes after the run's events before it,
 * and one of these is enough to keep it behind the page.
 */
async function behindPage(
  page: readonly OutboxEventRow[],
  own: readonly RowRef[],
  { copy, read }: Pick<AcrossRuns, "copy" | "read">,
): Promise<OutboxEventRow[]> {
  const queries = [...Map.groupBy(own, ({ part }) => part)].map(([workflowRunId, rows]) => {
    const last = page.findLast((row) => row.workflowRunId === workflowRunId);
    const after = { workflowRunId, sequence: last?.sequence ?? 0 };
    const waiting = rows.filter((row) => isHeldAndWaits(copy, row)).length;
    return {
      q: "outboxBacklog" as const,
      after,
      limit: rows.length - waiting + Math.min(waiting, 1),
    };
  });
  const behind: OutboxEventRow[] = [];
  for (let start = 0; start < queries.length; start += READ_QUERIES_MAX) {
    const asked = queries.slice(start, start + READ_QUERIES_MAX);
    for (const [index, found] of (await read(asked)).entries()) {
      const run = asked[index]?.after.workflowRunId;
      behind.push(...found.filter(({ workflowRunId }) => workflowRunId === run));
    }
  }
  return behind;
}

function isHeldAndWaits(copy: LocalCopy, { part: workflowRunId, key }: RowRef): boolean {
  const row = copy.local.outboxEvents.get(workflowRunId, key);
  const unit = { of: "outboxEvent" as const, workflowRunId, sequence: Number(key) };
  return row !== undefined && copy.holds(unit) && isWaiting(row);
}
