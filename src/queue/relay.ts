/** Hands the outbox to whoever publishes it: at least once, and in order per run. */
import type { OutboxRecord, WorkflowPersistence } from "../contract/index.ts";

const PAGE = 100;
/** Pages of one wake-up; what is left waits for the next one, or the sweep. */
const PAGES_MAX = 10;

export type Publish = (events: OutboxRecord[]) => Promise<readonly string[]>;

/** Resolves to the number of events that were published. */
export async function relayEvents(
  persistence: WorkflowPersistence,
  publish: Publish,
  attemptsMax: number,
): Promise<number> {
  let published = 0;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const events = await persistence.getUnpublishedOutboxEvents(PAGE);
    if (events.length === 0) break;
    const answered = new Set(await publish(events));
    const { sent, stuck } = sorted(events, answered);
    await persistence.markOutboxEventsPublished(sent.map(({ id }) => id));
    published += sent.length;
    for (const { id } of stuck) {
      const failures = await persistence.incrementOutboxRetryCount(id);
      if (failures >= attemptsMax) await persistence.moveOutboxEventToDLQ(id);
    }
    if (sent.length === 0 || events.length < PAGE) break;
  }
  return published;
}

/**
 * Of each run the events up to the first that was not published, and that one. What was published behind it stays in the
 * outbox, and comes again behind it: order matters more than a double.
 */
function sorted(events: readonly OutboxRecord[], published: ReadonlySet<string>) {
  const sent: OutboxRecord[] = [];
  const stuck: OutboxRecord[] = [];
  for (const ofRun of Map.groupBy(events, (event) => event.workflowRunId).values()) {
    const gap = ofRun.findIndex(({ id }) => !published.has(id));
    sent.push(...(gap === -1 ? ofRun : ofRun.slice(0, gap)));
    const first = gap === -1 ? undefined : ofRun[gap];
    if (first !== undefined) stuck.push(first);
  }
  return { sent, stuck };
}
