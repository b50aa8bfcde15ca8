/**
 * Hands the outbox to a publisher: at least once, and in order per run. An event that cannot be
 * published is found by halving, is counted, and holds up its own run alone.
 */
import type { OutboxRecord, WorkflowPersistence } from "../contract/index.ts";

const PAGE = 100;
/** Pages of one wake-up; the rest waits for the next wake-up, or the sweep. */
const PAGES_MAX = 10;
/**
 * Calls that may fail in one wake-up before anything is published: enough to find one event of a
 * page, and to try others.
 */
const FAILURES_MAX = 12;
/**
 * No call begins later than this: a consumer has 15 minutes, and failures are still to be counted
 * then.
 */
const TIME_MS_MAX = 600_000;

/** Publishes events, and answers the ids of those that it has published. */
export type Publish = (events: OutboxRecord[]) => Promise<unknown>;

export interface RelayOptions {
  readonly publish: Publish;
  /** An event with this many failures goes to the DLQ. */
  readonly attemptsMax: number;
  /** Calls of `publish` in one wake-up. */
  readonly callsMax: number;
  /** Milliseconds. */
  readonly now: () => Promise<number>;
}

/**
 * Publishes the events that wait, and resolves to their number.
 * @throws the last error of `publish`, if it threw and nothing was published: the publisher may be
 * back when the wake-up comes again.
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

/**
 * Events to be published together, each run's in order. `rest`: the events of the same run behind
 * them.
 */
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
  /** Whether any event was published in this wake-up: then the publisher is not away. */
  #taken = false;
  #lastError: unknown = null;
  /**
   * The error of an event that was tried alone, by its id. An event that an answer left out has
   * none.
   */
  readonly #causes = new Map<string, unknown>();
  /**
   * Ids of events that could not be published. Events behind them wait, and none is counted twice
   * in one wake-up.
   */
  readonly #failed = new Set<string>();

  constructor(persistence: WorkflowPersistence, options: RelayOptions, startedAt: number) {
    this.#persistence = persistence;
    this.#options = options;
    this.#startedAt = startedAt;
  }

  /** Resolves to whether the next page is worth a look. */
  async page(): Promise<boolean> {
    const events = await this.#persistence.getUnpublishedOutboxEvents(PAGE);
    const runs = [...Map.groupBy(events, (event) => event.workflowRunId).values()];
    const before = this.#published;
    const stuck: OutboxRecord[] = [];
    // Events that have failed before are tried last and alone: they cost the others no call.
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
    return sent > 0 && !this.#isOver() && (events.length === PAGE || suspects.length > 0);
  }

  end(): number {
    if (!this.#taken && this.#lastError !== null) throw this.#lastError;
    return this.#published;
  }

  #isOver(): boolean {
    if (this.#late || this.#calls >= this.#options.callsMax) return true;
    return !this.#taken && this.#failedCalls >= FAILURES_MAX;
  }

  /**
   * Publishes the events that can be published; of each run, the first that cannot is added to
   * `stuck`.
   */
  async #publishAll(events: readonly OutboxRecord[], stuck: OutboxRecord[]): Promise<void> {
    const parts: Part[] = events.length === 0 ? [] : [{ events, rest: [] }];
    while (!this.#isOver()) {
      // The smallest part until one event is found that fails; from then on the largest, which is
      // the likeliest to show that other events do not fail.
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
      // Marked at once: if a later call fails, none of these is published a second time.
      await this.#persistence.markOutboxEventsPublished(sent.map(({ id }) => id));
      this.#published += sent.length;
      stuck.push(...missing);
      if (missing.length === 0 && part.rest.length > 0) parts.push({ events: part.rest, rest: [] });
    }
  }

  /**
   * The ids that were published; null: the call failed, and its events may or may not be published.
   */
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
   * Counts the failure of each stuck event; at `attemptsMax` it goes to the DLQ.
   *
   * If nothing at all was published, the publisher itself may be away. Then only the event with the
   * fewest failures is counted, so that the counts of all waiting events grow together and slowly.
   * A bad event that waits alone is counted all the same.
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

/**
 * What is left to try of a part that failed: two halves by runs; or, of one run, the first half,
 * with the second half behind it.
 */
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
 * Splits each run's events at the first one that was not published. Those that were published
 * behind it stay in the outbox, and are published again behind it: order matters more than a
 * double.
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
