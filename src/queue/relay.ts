/**
 * Hands the outbox to whoever publishes it: at least once, and in order per run. An event that cannot be published is found by
 * halves, counted, and holds up its own run alone.
 */
import type { OutboxRecord, WorkflowPersistence } from "../contract/index.ts";
import { asManyAsFit } from "../persistence/as-many-as-fit.ts";

const PAGE = 100;
/** Pages of one wake-up; what is left waits for the next one, or the sweep. */
const PAGES_MAX = 10;
/** Calls that fail in one wake-up before anything has been published: enough to find one event of a page, and to try others. */
const FAILURES_MAX = 12;
/** No call begins later: a consumer has 15 minutes, and what has failed is to be counted before they are over. */
const TIME_MS_MAX = 600_000;

export type Publish = (events: OutboxRecord[]) => Promise<unknown>;

export interface RelayOptions {
  readonly publish: Publish;
  /** An event that could not be published so often goes to the DLQ. */
  readonly attemptsMax: number;
  /** Calls of `publish` in one wake-up. */
  readonly callsMax: number;
  /** Milliseconds. */
  readonly now: () => Promise<number>;
}

/**
 * Resolves to the number of events that were published.
 * @throws what `publish` threw last, if it threw and nothing could be published: all may be well again when the wake-up comes back.
 */
export async function relayEvents(
  persistence: WorkflowPersistence,
  options: RelayOptions,
): Promise<number> {
  const relay = new Relay(persistence, options, await options.now());
  for (let page = 0; page < PAGES_MAX; page += 1) {
    if (!(await relay.page())) break;
  }
  return relay.end();
}

/** Events to be published together, each run's in order. `rest`: what comes behind them, of their one run. */
interface Part {
  readonly events: readonly OutboxRecord[];
  readonly rest: readonly OutboxRecord[];
}

class Relay {
  readonly #persistence: WorkflowPersistence;
  readonly #options: RelayOptions;
  readonly #startedAt: number;
  #calls = 0;
  #late = false;
  #failedCalls = 0;
  #published = 0;
  /** Whether any event was taken: then it is not the publisher that is away. */
  #taken = false;
  #lastError: unknown = null;
  /** What was thrown at an event that was given alone, by its id. One that was left out of an answer has no cause. */
  readonly #causes = new Map<string, unknown>();
  /** Events that could not be published, by id. Those behind them wait, and none is counted twice in one wake-up. */
  readonly #failed = new Set<string>();

  constructor(persistence: WorkflowPersistence, options: RelayOptions, startedAt: number) {
    this.#persistence = persistence;
    this.#options = options;
    this.#startedAt = startedAt;
  }

  /** Resolves to whether the next page is worth a look. */
  async page(): Promise<boolean> {
    const { events, full } = await asManyAsFit(PAGE, async (limit) => {
      const page = await this.#persistence.getUnpublishedOutboxEvents(limit);
      return { events: page, full: page.length === limit };
    });
    const runs = [...Map.groupBy(events, (event) => event.workflowRunId).values()];
    const before = this.#published;
    const stuck: OutboxRecord[] = [];
    // What has failed before is tried last, by itself: it costs the others no call.
    const suspects: OutboxRecord[] = [];
    const fresh: OutboxRecord[] = [];
    for (const ofRun of runs) {
      const first = ofRun[0];
      if (first === undefined || this.#failed.has(first.id)) continue;
      if (first.retryCount > 0) suspects.push(first);
      else fresh.push(...ofRun);
    }
    suspects.sort((a, b) => a.retryCount - b.retryCount);
    await this.#publishAll(fresh, stuck);
    for (const suspect of suspects) await this.#publishAll([suspect], stuck);
    await this.#count(stuck);
    const sent = this.#published - before;
    return sent > 0 && !this.#isOver() && (full || suspects.length > 0);
  }

  end(): number {
    if (!this.#taken && this.#lastError !== null) throw this.#lastError;
    return this.#published;
  }

  #isOver(): boolean {
    if (this.#late || this.#calls >= this.#options.callsMax) return true;
    return !this.#taken && this.#failedCalls >= FAILURES_MAX;
  }

  /** Publishes what can be published of these; the first of each run that cannot be is added to `stuck`. */
  async #publishAll(events: readonly OutboxRecord[], stuck: OutboxRecord[]): Promise<void> {
    const parts: Part[] = events.length === 0 ? [] : [{ events, rest: [] }];
    while (!this.#isOver()) {
      // First down to one event that fails; from then on the largest part, which is the likeliest to show that others do not.
      const part = stuck.length === 0 ? parts.pop() : parts.shift();
      if (part === undefined) break;
      const taken = await this.#call(part.events);
      this.#late = (await this.#options.now()) - this.#startedAt >= TIME_MS_MAX;
      if (taken === null) {
        parts.push(...halves(part));
        const [only] = part.events;
        if (only !== undefined && part.events.length === 1) {
          stuck.push(only);
          this.#causes.set(only.id, this.#lastError);
        }
        continue;
      }
      const { sent, stuck: missing } = sorted(part.events, taken);
      this.#taken ||= taken.size > 0;
      // At once: whatever comes next, nothing of it is published a second time.
      await this.#persistence.markOutboxEventsPublished(sent.map(({ id }) => id));
      this.#published += sent.length;
      stuck.push(...missing);
      if (missing.length === 0 && part.rest.length > 0) parts.push({ events: part.rest, rest: [] });
    }
  }

  /** The ids that were published; null: it failed, and nobody knows. */
  async #call(events: readonly OutboxRecord[]): Promise<ReadonlySet<unknown> | null> {
    this.#calls += 1;
    try {
      const answer = (await this.#options.publish([...events])) ?? [];
      if (!Array.isArray(answer)) {
        throw new TypeError(
          "publishEvents must answer the ids of the events that it has published",
        );
      }
      const ids = new Set(events.map(({ id }) => id));
      return new Set(answer.filter((id: unknown) => typeof id === "string" && ids.has(id)));
    } catch (error) {
      this.#failedCalls += 1;
      this.#lastError = error;
      return null;
    }
  }

  /**
   * If nothing at all could be published, it may be the publisher that is away: then one event is counted, the one that has failed
   * least, so that the counts of all that wait grow together and slowly. A bad event that is alone is counted all the same.
   */
  async #count(stuck: readonly OutboxRecord[]): Promise<void> {
    const [least] = stuck.toSorted((a, b) => a.retryCount - b.retryCount);
    const counted = this.#taken || least === undefined ? stuck : [least];
    for (const { id } of counted) {
      this.#failed.add(id);
      const failures = await this.#persistence.incrementOutboxRetryCount(id);
      if (failures >= this.#options.attemptsMax) await this.#persistence.moveOutboxEventToDLQ(id);
      console.warn("wfe-event-not-published", id, failures, this.#causes.get(id));
    }
  }
}

/** What is left to try of a part that failed: two halves by runs; or of one run the first half, and the second one behind it. */
function halves({ events, rest }: Part): Part[] {
  if (events.length === 1) return [];
  const runs = [...Map.groupBy(events, (event) => event.workflowRunId).values()];
  if (runs.length > 1) {
    const half = Math.ceil(runs.length / 2);
    return [runs.slice(0, half), runs.slice(half)].map((list) => ({
      events: list.flat(),
      rest: [],
    }));
  }
  const half = Math.ceil(events.length / 2);
  return [{ events: events.slice(0, half), rest: [...events.slice(half), ...rest] }];
}

/**
 * Of each run the events up to the first that was not published, and that one. What was published behind it stays in the
 * outbox, and comes again behind it: order matters more than a double.
 */
function sorted(events: readonly OutboxRecord[], published: ReadonlySet<unknown>) {
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
