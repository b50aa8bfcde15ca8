/**
 * What a transaction is: its calls, one after the other, all of them or none. Both sides run the same code for
 * transactions; this holds that code against calls that are made without one.
 */
import { isServiceError, type OutboxRecord } from "../../src/contract/index.ts";
import { OUTBOX_PAGE_DEFAULT, OUTBOX_PAGE_MAX } from "../../src/model/index.ts";
import type { Method } from "./calls.ts";
import { OUTSIDE } from "./steps.ts";
import { differenceOfAnswers } from "./outcomes.ts";
import { faultOfPage } from "./pages.ts";
import { Pairs } from "./pairs.ts";
import { type Answer, type Performed, performWithout, type TransactionPart } from "./perform.ts";
import { replayed, type Taken } from "./together.ts";
import { type Row, type Tables, withoutLateResults } from "./world.ts";

/** Where the transaction differs from its calls without it; null when nowhere. */
export async function differenceFromCalls(
  part: TransactionPart,
  { answers }: Performed,
  { before, after, now }: { before: Tables; after: Tables; now: number },
  history: readonly Taken[],
): Promise<string | null> {
  // What acts at once does not see what the transaction has not committed yet.
  if (part.calls.some(({ call }) => OUTSIDE.includes(call.method))) return null;
  const last = answers.at(-1);
  const landed = last?.outcome.ok === true;
  if (!landed) {
    if (isConflict(last)) return "It is alone, and ends in CONFLICT";
    const pairs = new Pairs();
    const found = pairs.difference(withoutLateResults(before), withoutLateResults(after), "rows");
    if (found !== null) return prefixed("taken back", found);
  }
  // Which of several calls comes first is for nobody to know before they are awaited.
  if (part.together) return null;

  const world = await replayed(history);
  world.clock.now = now;
  const pairs = new Pairs();
  const unlike = pairs.difference(before, world.tables, "before");
  if (unlike !== null) return prefixed("replayed", unlike);
  for (const [index, expected] of (await performWithout(world, part)).entries()) {
    const answer = answers[index];
    if (answer === undefined) return `call ${index} has no answer`;
    if (isLeftOpen(part.calls, index)) continue;
    const found = endIsLeftOpen(part.calls, index, expected)
      ? await faultOfPageAt(part, index, answer, now, history)
      : differenceOfAnswers(answer, expected, pairs);
    if (found !== null) return prefixed(`call ${index}`, found);
  }
  if (!landed) return null;
  await world.look();
  const rows = pairs.difference(withoutCommits(after), withoutCommits(world.tables), "rows");
  return prefixed("committed", rows);
}

function isConflict(answer: Answer | undefined): boolean {
  const error = answer?.outcome.ok === false ? answer.outcome.error : null;
  return isServiceError(error) && error.code === "CONFLICT";
}

/** Whether the call lists what need not be the same without a transaction: runs whose jobs it has written are not stuck. */
function isLeftOpen(calls: TransactionPart["calls"], index: number): boolean {
  const earlier = calls.slice(0, index).map(({ call }) => call);
  return calls[index]?.call.method === "getStuckRuns" && earlier.some(({ on }) => on === "jobs");
}

/** Whether the call is answered a page of events whose last runs need not be those that it has without a transaction. */
function endIsLeftOpen(
  calls: TransactionPart["calls"],
  index: number,
  { method, outcome }: Answer,
): boolean {
  const earlier = calls.slice(0, index).map(({ call }) => call);
  return (
    method === "getUnpublishedOutboxEvents" &&
    outcome.ok &&
    earlier.some((call) => WRITES_EVENTS.includes(call.method))
  );
}

const WRITES_EVENTS: readonly Method[] = [
  "appendOutboxEvents",
  "markOutboxEventsPublished",
  "incrementOutboxRetryCount",
  "moveOutboxEventToDLQ",
  "replayDLQEvents",
];

async function faultOfPageAt(
  part: TransactionPart,
  index: number,
  { method, outcome }: Answer,
  now: number,
  history: readonly Taken[],
): Promise<string | null> {
  const world = await replayed(history);
  world.clock.now = now;
  await performWithout(world, { ...part, calls: part.calls.slice(0, index) });
  const waiting =
    await world.connections[0].persistence.getUnpublishedOutboxEvents(OUTBOX_PAGE_MAX);
  if (!outcome.ok) return `${method} failed: ${String(outcome.error)}`;
  const page = outcome.value as OutboxRecord[];
  const limit = Number(part.calls[index]?.call.args[0] ?? OUTBOX_PAGE_DEFAULT);
  const shown = page.map(({ id }) => waiting.find((event) => event.id === id));
  return faultOfPage(page, waiting, limit) ?? new Pairs().difference(page, shown, method);
}

function prefixed(what: string, found: string | null): string | null {
  return found === null ? null : `Without a transaction, ${what}: ${found}`;
}

/** One commit or several: that is the difference. */
function withoutCommits(tables: Tables): Record<string, readonly Row[]> {
  return Object.fromEntries(
    Object.entries(withoutLateResults(tables)).map(([name, rows]) => [
      name,
      rows.map(({ commits: _, ...row }) => row),
    ]),
  );
}
