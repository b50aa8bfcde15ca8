/** Outbox events, over a unit of work. */
import {
  blank,
  encodeInstant,
  encodeJson,
  newOutboxEventRow,
  OUTBOX_PAGE_DEFAULT,
  OUTBOX_PAGE_MAX,
  splitEventId,
  tokenOf,
  toOutboxRecord,
} from "../model/index.ts";
import { type CreateOutboxEventInput, type OutboxRecord, ServiceError } from "../contract/index.ts";
import { asManyAsFit } from "./as-many-as-fit.ts";
import { afterFirstCommit } from "./auto-commit.ts";
import {
  checkedChanges,
  checkedQuery,
  invalid,
  requireList,
  requireObject,
  requireText,
} from "./encode.ts";
import { notFound } from "./faults.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

const BLANK = blank(newOutboxEventRow);

export async function appendOutboxEvents(
  unit: UnitOfWork,
  events: readonly CreateOutboxEventInput[],
): Promise<void> {
  if (requireList("appendOutboxEvents", events).length === 0) return;
  for (const event of events) requireObject("appendOutboxEvents", event);
  const changes = checkedChanges(
    "appendOutboxEvents",
    events.map((event) => ({
      kind: "appendOutboxEvent" as const,
      row: {
        ...BLANK,
        workflowRunId: event.workflowRunId,
        eventType: event.eventType,
        payload: encodeJson(event.payload, "payload"),
        causationId: event.causationId,
        occurredAt: encodeInstant(event.occurredAt, "occurredAt"),
        retryCount: 0,
      },
    })),
  );
  await unit.write({ changes });
}

/** @throws INVALID_ARGUMENT for more than OUTBOX_PAGE_MAX. */
export async function getUnpublishedOutboxEvents(
  unit: UnitOfWork,
  limit: number = OUTBOX_PAGE_DEFAULT,
): Promise<OutboxRecord[]> {
  if (limit > OUTBOX_PAGE_MAX) {
    throw invalid(`getUnpublishedOutboxEvents: limit must be at most ${OUTBOX_PAGE_MAX}`, {
      field: "limit",
      limit: OUTBOX_PAGE_MAX,
    });
  }
  const [rows] = await unit.read([
    checkedQuery("getUnpublishedOutboxEvents", { q: "unpublishedEvents", limit }),
  ]);
  return rows.map(toOutboxRecord);
}

/** Marks the events in as many commits as it takes: to mark one twice changes nothing. */
export async function markOutboxEventsPublished(
  unit: UnitOfWork,
  ids: readonly string[],
): Promise<void> {
  const at = await unit.now();
  const changes = [...new Set(requireList("markOutboxEventsPublished", ids))].flatMap((id) => {
    const key = splitEventId(requireText("markOutboxEventsPublished", id));
    return key === null ? [] : [{ kind: "publishOutboxEvent" as const, ...key, at }];
  });
  checkedChanges("markOutboxEventsPublished", changes);
  // A repeat marks events again that are marked already, so it does not matter how many of these
  // commits have landed.
  let current = unit;
  for (const portion of unit.portions(changes)) {
    await current.write({ changes: portion });
    current = afterFirstCommit(unit);
  }
}

function requireEvent(method: string, id: string) {
  const key = splitEventId(requireText(method, id));
  if (key === null) throw eventNotFound(id);
  return key;
}

function eventNotFound(id: string): ServiceError {
  return notFound("Outbox", id, `Outbox event ${id}`);
}

/**
 * @throws NOT_FOUND; UNAVAILABLE when the answer was lost and others have counted since, so that
 * the count is unknown.
 */
export async function incrementOutboxRetryCount(unit: UnitOfWork, id: string): Promise<number> {
  const key = requireEvent("incrementOutboxRetryCount", id);
  const written = await unit.write({
    guards: [{ on: "outboxEvent", ...key, expect: { is: "present" } }],
    changes: checkedChanges("incrementOutboxRetryCount", [{ kind: "countOutboxRetry", ...key }]),
    reads: () => [{ q: "outboxEvent", ...key }],
  });
  const row = written.applied ? written.results[0] : null;
  if (!written.applied || row === null) throw eventNotFound(id);
  if (written.late && tokenOf(row) !== written.commitId) {
    throw new ServiceError("UNAVAILABLE", "The answer was lost, and others have counted since");
  }
  return row.retryCount;
}

export async function moveOutboxEventToDLQ(unit: UnitOfWork, id: string): Promise<void> {
  const key = requireEvent("moveOutboxEventToDLQ", id);
  const at = await unit.now();
  const written = await unit.write({
    guards: [{ on: "outboxEvent", ...key, expect: { is: "present" } }],
    changes: checkedChanges("moveOutboxEventToDLQ", [
      { kind: "deadLetterOutboxEvent", ...key, at },
    ]),
  });
  if (!written.applied) throw eventNotFound(id);
}

/**
 * Page by page. Each page is guarded by the tokens of its events, so an event that somebody else
 * takes is not counted.
 */
export async function replayDLQEvents(unit: UnitOfWork, maxEvents: number): Promise<number> {
  if (!Number.isSafeInteger(maxEvents) || maxEvents < 0) {
    throw invalid("replayDLQEvents: maxEvents must be a whole number, 0 or more", {
      field: "maxEvents",
    });
  }
  let replayed = 0;
  while (replayed < maxEvents) {
    const wanted = Math.min(maxEvents - replayed, OUTBOX_PAGE_MAX);
    const current = replayed === 0 ? unit : afterFirstCommit(unit);
    const { rows, full } = await asManyAsFit(wanted, async (limit) => {
      const [page] = await current.read([{ q: "deadLetters", limit }]);
      return { rows: page, full: page.length === limit };
    });
    if (rows.length === 0) break;
    const keys = rows.map(({ workflowRunId, sequence }) => ({ workflowRunId, sequence }));
    const written = await current.write({
      guards: rows.map((row, index) => ({
        on: "outboxEvent" as const,
        workflowRunId: row.workflowRunId,
        sequence: keys[index]?.sequence ?? 0,
        expect: { is: "unchanged" as const, token: tokenOf(row) },
      })),
      changes: keys.map((key) => ({ kind: "replayOutboxEvent" as const, ...key })),
    });
    // Refused: somebody else took one of them. Look again.
    if (!written.applied) continue;
    replayed += rows.length;
    if (!full) break;
  }
  return replayed;
}
