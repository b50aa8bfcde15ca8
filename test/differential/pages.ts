/**
 * A page of waiting events in a transaction that has itself written events. Which runs are at its end depends on a line that the
 * transaction does not know; all else about it does not.
 */
import type { OutboxRecord } from "../../src/contract/index.ts";
import { bySequence } from "../../src/queries/outbox.ts";

/** The fault of a page of waiting events, which are given in their order; null: none. */
export function faultOfPage(
  page: readonly OutboxRecord[],
  waiting: readonly OutboxRecord[],
  limit: number,
): string | null {
  if (page.length !== Math.min(limit, waiting.length)) {
    return `${page.length} events of ${waiting.length}, and not ${limit}`;
  }
  if (!page.every((event, at) => at === 0 || inOrder(page[at - 1], event))) return "out of order";
  const [shown, all] = [page, waiting].map((events) =>
    Map.groupBy(events, ({ workflowRunId }) => workflowRunId),
  );
  // No event may be there before the turn of its rank: every run has as many as any, but for one, or has no more.
  const most = Math.max(0, ...[...(shown?.values() ?? [])].map(({ length }) => length));
  for (const [run, events] of all ?? []) {
    const some = shown?.get(run) ?? [];
    if (some.some(({ id }, at) => id !== events[at]?.id)) return `not the first events of ${run}`;
    if (some.length < Math.min(most - 1, events.length)) {
      return `${some.length} events of ${run}, and ${most} of another`;
    }
  }
  return null;
}

function inOrder(before: OutboxRecord | undefined, event: OutboxRecord): boolean {
  return before !== undefined && bySequence(before, event) < 0;
}
