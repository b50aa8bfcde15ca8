/**
 * Lists across runs inside a transaction. They are read committed: fetched anew, with the transaction's own rows in
 * the place of the stored ones. Only single runs are guarded.
 */
import {
  type AnyResult,
  type OutboxEventRow,
  OUTBOX_READ_MAX,
  PAGE_ROWS,
  type Query,
  type QueryOf,
  type ResultsOf,
  type RunPlace,
  type RunRow,
  type RunsPage,
  type StageRow,
} from "../changes/index.ts";
import { type HeldQuery, isHeld } from "../memory/queries-held.ts";
import { deadLetters, unpublishedEvents } from "../memory/queries-records.ts";
import { pendingRuns as pendingIn, stuckRuns as stuckIn } from "../memory/queries-runs.ts";
import { runs as runsIn } from "../memory/run-search.ts";
import { createState, type State } from "../memory/state.ts";
import type { LocalCopy } from "./local-copy.ts";

/** Looked at when a transaction first asks for PENDING runs: further claims choose from the same. */
const PENDING_LOOKED_AT = 10;

export interface AcrossRuns {
  readonly copy: LocalCopy;
  /** Names of the rows that the transaction wrote. */
  readonly written: ReadonlySet<string>;
  readonly read: <const Qs extends readonly Query[]>(queries: Qs) => Promise<ResultsOf<Qs>>;
}

export function isAcrossRuns(query: Query): query is Exclude<Query, HeldQuery> {
  return !isHeld(query);
}

export async function acrossRuns(query: Query, context: AcrossRuns): Promise<AnyResult> {
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
    const limit = Math.max(query.limit, PENDING_LOOKED_AT) + copy.runsHeld();
    const [rows] = await read([{ q: "pendingRuns", limit }]);
    copy.pendingRuns = { rows, all: rows.length < limit };
  }
  const candidates = createState();
  for (const row of copy.pendingRuns?.rows ?? []) putUnlessHeld(candidates, copy, row);
  putHeld(candidates, copy);
  return pendingIn(candidates, query);
}

function stillPending(copy: LocalCopy, id: string): boolean {
  const held = copy.holds({ of: "run", id });
  return !held || copy.local.runs.get(id, "")?.status === "PENDING";
}

function putUnlessHeld(state: State, copy: LocalCopy, row: RunRow): void {
  if (!copy.holds({ of: "run", id: row.id })) state.runs.set(row.id, "", row);
}

function putHeld(state: State, copy: LocalCopy): void {
  for (const row of copy.local.runs.all()) state.runs.set(row.id, "", row);
}

/** All of them in one page. Asked for by status alone, as the contract does. */
async function matchingRuns(query: QueryOf<"runs">, { copy, read }: AcrossRuns): Promise<RunsPage> {
  const state = createState();
  let after: RunPlace | null = query.after;
  do {
    const [page]: [RunsPage] = await read([{ ...query, after }]);
    for (const row of page.rows) putUnlessHeld(state, copy, row);
    after = page.next;
  } while (after !== null);
  putHeld(state, copy);
  const rows: RunRow[] = [];
  do {
    const page: RunsPage = runsIn(state, { ...query, after });
    rows.push(...page.rows);
    after = page.next;
  } while (after !== null);
  return { rows, next: null };
}

async function stuckRuns(
  query: QueryOf<"stuckRuns">,
  { copy, written, read }: AcrossRuns,
): Promise<RunRow[]> {
  const [rows] = await read([query]);
  const touched = runsOf(written, ["run", "stage"]);
  const busy = runsOf(written, ["job"]);
  await copy.load([...touched].map((workflowRunId) => ({ of: "jobs", workflowRunId })));
  const own = stuckIn(copy.local, query).filter(({ id }) => touched.has(id));
  const others = rows.filter(({ id }) => !touched.has(id));
  // A run whose jobs the transaction writes is being taken care of.
  return [...others, ...own]
    .filter(({ id }) => !busy.has(id))
    .toSorted((a, b) => a.updatedAt - b.updatedAt || (a.ordinal < b.ordinal ? -1 : 1));
}

/** The runs of the rows of these kinds that the transaction wrote. */
function runsOf(written: ReadonlySet<string>, kinds: readonly string[]): Set<string> {
  const runs = new Set<string>();
  for (const name of written) {
    const [kind, run] = name.split("\0");
    if (kind !== undefined && run !== undefined && kinds.includes(kind)) runs.add(run);
  }
  return runs;
}

async function suspendedStages(
  query: QueryOf<"suspendedStages">,
  { copy, read }: AcrossRuns,
): Promise<StageRow[]> {
  if (query.after !== null) return [];
  const rows: StageRow[] = [];
  let after: QueryOf<"suspendedStages">["after"] = null;
  for (;;) {
    const [page]: [StageRow[]] = await read([{ ...query, after }]);
    rows.push(...page.filter((row) => !copy.holds({ of: "run", id: row.workflowRunId })));
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) break;
    const { workflowRunId, stageId } = last;
    after = { nextPollAt: last.nextPollAt ?? query.before, workflowRunId, stageId };
  }
  const due = (row: StageRow) =>
    row.status === "SUSPENDED" && row.nextPollAt !== null && row.nextPollAt <= query.before;
  return [...rows, ...[...copy.local.stages.all()].filter(due)].toSorted(
    (a, b) => (a.nextPollAt ?? 0) - (b.nextPollAt ?? 0),
  );
}

async function events(
  query: QueryOf<"unpublishedEvents"> | QueryOf<"deadLetters">,
  { copy, written, read }: AcrossRuns,
): Promise<OutboxEventRow[]> {
  // As many more as the transaction may have taken out of the page.
  const limit = Math.min(query.limit + written.size, OUTBOX_READ_MAX);
  const [rows]: [OutboxEventRow[]] = await read([{ ...query, limit }]);
  const state = createState();
  for (const row of rows) {
    const { workflowRunId, sequence } = row;
    if (copy.holds({ of: "outboxEvent", workflowRunId, sequence })) continue;
    state.outboxEvents.set(workflowRunId, String(sequence), row);
  }
  copy.applyDeferredTo(state, (change) => change.kind === "publishOutboxEvent");
  for (const row of copy.local.outboxEvents.all()) {
    const { workflowRunId, sequence } = row;
    if (!copy.holds({ of: "outboxEvent", workflowRunId, sequence })) continue;
    state.outboxEvents.set(workflowRunId, String(sequence), row);
  }
  return query.q === "deadLetters" ? deadLetters(state, query) : unpublishedEvents(state, query);
}
