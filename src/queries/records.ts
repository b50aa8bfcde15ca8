/**
 * Queries of artifacts, annotations, outbox events and AI calls. What each answers is told in
 * changes/query.ts. Pure.
 */
import {
  type AiCallTotalRow,
  type AnnotationRow,
  type ArtifactRow,
  type OutboxEventRow,
  withinBytes,
} from "../model/index.ts";
import { type AnnotationRowFilters, PAGE_ROWS, type QueryOf, type QueryResults } from "./index.ts";
import { byNumber, byText, type Compare, compareUtf8, inTurn } from "../model/order.ts";
import { isWaiting, type State, without } from "../model/state.ts";

export function artifacts(state: State, query: QueryOf<"artifacts">): ArtifactRow[] {
  return [...state.artifacts.part(query.workflowRunId).values()].toSorted(byText((row) => row.key));
}

const byAge: Compare<Pick<AnnotationRow, "createdAt" | "ordinal">> = inTurn(
  byNumber((row) => row.createdAt),
  byText((row) => row.ordinal),
);

export function annotations(state: State, query: QueryOf<"annotations">): AnnotationRow[] {
  const { workflowRunId, filters, after = null, omit } = query;
  const listed = [...state.annotations.part(workflowRunId).values()]
    .filter((row) => passes(row, filters) && (after === null || byAge(row, after) > 0))
    .toSorted(byAge)
    .slice(0, filters.limit);
  return withinBytes("annotations", listed, query).map((row) => without(row, omit));
}

function passes(row: AnnotationRow, filters: AnnotationRowFilters): boolean {
  const { key, keyPrefix, since, until } = filters;
  if (key === undefined) {
    if (keyPrefix !== undefined && !row.key.startsWith(keyPrefix)) return false;
  } else if (row.key !== key) return false;
  if (since !== undefined && row.createdAt < since) return false;
  if (until !== undefined && row.createdAt > until) return false;
  return (
    matches(row.scope, filters.scope) &&
    matches(row.scopeId, filters.scopeId) &&
    matches(row.actorId, filters.actorId) &&
    matches(row.actorKind, filters.actorKind) &&
    matches(row.attempt, filters.attempt)
  );
}

/** An absent filter lets everything pass; null lets only null pass. */
function matches<T>(value: T, filter: T | undefined): boolean {
  return filter === undefined || value === filter;
}

const bySequence: Compare<Pick<OutboxEventRow, "workflowRunId" | "sequence">> = inTurn(
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

export function unpublishedEvents(
  state: State,
  { limit }: QueryOf<"unpublishedEvents">,
): OutboxEventRow[] {
  const seen = new Map<string, number>();
  const ranked = waitingInOrder(state).map((event) => {
    const rank = (seen.get(event.workflowRunId) ?? 0) + 1;
    seen.set(event.workflowRunId, rank);
    // A transaction's copy knows no turns.
    return { event, rank, turn: state.outboxEvents.turns.get(event.workflowRunId) ?? 0 };
  });
  // Sorting is stable, so events of one rank and turn stay in the order of their runs.
  return ranked
    .toSorted(
      inTurn(
        byNumber(({ rank }) => rank),
        byNumber(({ turn }) => turn),
      ),
    )
    .slice(0, limit)
    .map(({ event }) => event)
    .toSorted(bySequence);
}

function waitingInOrder(state: State): OutboxEventRow[] {
  return [...state.outboxEvents.all()].filter(isWaiting).toSorted(bySequence);
}

export function outboxBacklog(
  state: State,
  { after, limit }: QueryOf<"outboxBacklog">,
): OutboxEventRow[] {
  return waitingInOrder(state)
    .filter((event) => after === null || bySequence(event, after) > 0)
    .slice(0, limit);
}

const byDeath: Compare<Pick<OutboxEventRow, "dlqAt" | "workflowRunId" | "sequence">> = inTurn(
  byNumber((event) => event.dlqAt ?? 0),
  byText((event) => event.workflowRunId),
  byNumber((event) => event.sequence),
);

export function deadLetters(state: State, query: QueryOf<"deadLetters">): OutboxEventRow[] {
  const { after = null, limit } = query;
  return [...state.outboxEvents.all()]
    .filter((event) => event.dlqAt !== null && (after === null || byDeath(event, after) > 0))
    .toSorted(byDeath)
    .slice(0, limit);
}

const byTopic: Compare<Pick<AiCallTotalRow, "topic" | "modelKey">> = inTurn(
  byText((total) => total.topic),
  byText((total) => total.modelKey),
);

export function aiCallTotals(state: State, query: QueryOf<"aiCallTotals">): AiCallTotalRow[] {
  const { prefix, after } = query;
  return [...state.aiCallTotals.all()]
    .filter((total) => total.topic.startsWith(prefix))
    .filter((total) => after === null || byTopic(total, after) > 0)
    .toSorted(byTopic)
    .slice(0, PAGE_ROWS);
}

export function waitingEvents(state: State, { limit }: QueryOf<"waitingEvents">): number {
  const waiting = [...state.outboxEvents.all()].filter(isWaiting);
  return Math.min(waiting.length, limit);
}

const KEYS = {
  logs: "ordinal",
  artifacts: "key",
  outboxEvents: "sequence",
  jobs: "ordinal",
} as const;

export function page(state: State, query: QueryOf<"page">): QueryResults["page"] {
  const { of, workflowRunId, after, descending: backwards, limit, omit } = query;
  const inRow = (row: object) => omit?.filter((name) => name in row);
  const keyOf = (row: object) => String(Reflect.get(row, KEYS[of]));
  const compare = (a: string, b: string) =>
    of === "outboxEvents" ? Number(a) - Number(b) : compareUtf8(a, b);
  const rows: QueryResults["page"] = [...state[of].part(workflowRunId).values()];
  const listed = rows
    .toSorted((a, b) => compare(keyOf(a), keyOf(b)) * (backwards ? -1 : 1))
    .filter((row) => after === null || compare(keyOf(row), after) * (backwards ? -1 : 1) > 0)
    .slice(0, limit);
  return withinBytes(of, listed, query).map((row) => without(row, inRow(row)));
}
