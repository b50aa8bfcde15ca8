/**
 * Hands the outbox to a publisher: at least once, and in order per run. An event that cannot be
 * published is found by halving, and is counted. It holds up its own run alone, and that run goes to
 * the end of the line.
 */
import type { Change, Store } from "../changes/index.ts";
import type { OutboxRecord, WorkflowPersistence } from "../contract/index.ts";
import { Search } from "./search.ts";
import {
  newCommitId,
  type OutboxEventRow,
  READ_QUERIES_MAX,
  toOutboxRecord,
  utf8Length,
} from "../model/index.ts";

/** Events of one page. If all of them fail, each is read again, by one query of a read. */
export const PAGE_MAX = READ_QUERIES_MAX;
/**
 * Bytes of the payloads of one page: none is taken after the event that takes the page beyond this.
 * As JSON values they take many times that in memory, and an isolate has 128 MB.
 */
const PAGE_BYTES = 1_000_000;
/**
 * Pages in a row that hold nothing but events that have failed before. A wake-up sends the runs of
 * this many pages to the end of the line, to get at new events behind them.
 */
const OLD_PAGES_MAX = 3;
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
  readonly store: Store;
  readonly persistence: WorkflowPersistence;
  readonly publish: Publish;
  /** An event with this many failures goes to the DLQ. */
  readonly attemptsMax: number;
  /** Calls of `publish` in one wake-up, and pages. The rest waits for the next wake-up, or the sweep. */
  readonly callsMax: number;
  /** Events of one page, from 1 to {@link PAGE_MAX}. */
  readonly pageMax: number;
  /**
   * The wake-up has come before, and its consumer may have died of an event. Then runs are put back
   * before their events are tried, and an event that is tried alone is counted before: so another
   * death leaves a trace.
   */
  readonly wary: boolean;
}

/**
 * Publishes the events that wait, and resolves to their number.
 * @throws the last error of `publish`, if it threw and nothing was published: the publisher may be
 * back when the wake-up comes again.
 */
export async function relayEvents(options: RelayOptions): Promise<number> {
  const relay = new Relay(options, await options.store.now());
  let pages = options.callsMax;
  do {
    while (pages > 0 && (await relay.page())) pages -= 1;
    pages -= 1;
  } while ((await relay.again()) && pages > 0);
  return relay.end();
}

/** How a failure counts, as the change `putBackEvent` says. */
type Blame = "none" | "suspected" | "certain";

class Relay {
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
  /** Ids of events that were in a call that failed, in this wake-up. */
  readonly #touched = new Set<string>();
  /** Ids of events that were in one before this wake-up. */
  readonly #suspected = new Set<string>();
  /** The events of `#suspected` that are still to be tried. */
  readonly #suspects: OutboxRecord[] = [];
  #suspectBytes = 0;
  #pagesWithoutNews = 0;

  constructor(options: RelayOptions, startedAt: number) {
    this.#options = options;
    this.#startedAt = startedAt;
  }

  /** Publishes the new events of the next page. Resolves to whether another page is worth a look. */
  async page(): Promise<boolean> {
    const { store, pageMax, wary } = this.#options;
    const [rows] = await store.read([
      { q: "unpublishedEvents", limit: pageMax, bytesMax: PAGE_BYTES },
    ]);
    const { fresh, suspects, spent } = this.#sort(rows);
    for (const { id } of spent) await this.#options.persistence.moveOutboxEventToDLQ(id);
    const full = rows.length === pageMax || bytesOf(rows) >= PAGE_BYTES;
    const heads = headsOf(fresh);
    if (wary) await this.#putBack(heads, fresh.length === 1 ? "suspected" : "none");
    // Other runs may wait behind them.
    if (full) await this.#putBack(suspects, "none");
    for (const suspect of suspects) this.#keep(suspect);
    const { published, calls } = this.#figures();
    const stuck: OutboxRecord[] = [];
    await this.#publishAll(fresh, stuck);
    await this.#count(stuck);
    // One of these fails, and it is not known which.
    const unknown = heads.filter(({ id }) => this.#touched.has(id) && !this.#failed.has(id));
    if (full && !wary) await this.#putBack(unknown, "none");
    if (fresh.length === 0) this.#pagesWithoutNews += suspects.length === 0 ? Infinity : 1;
    const goesOn = wary ? this.#calls > calls : this.#published > published;
    const news = goesOn || (fresh.length === 0 && this.#pagesWithoutNews <= OLD_PAGES_MAX);
    return full && news && !this.#isOver();
  }

  /**
   * Tries each event alone that was in a call that failed before: so it costs the others no call.
   * Resolves to whether any was published, since then the events behind it can be.
   */
  async again(): Promise<boolean> {
    const suspects = this.#suspects.splice(0).toSorted((a, b) => a.retryCount - b.retryCount);
    this.#suspectBytes = 0;
    const { published } = this.#figures();
    const stuck: OutboxRecord[] = [];
    while (suspects.length > 0 && !this.#isOver()) {
      const before = this.#published;
      const suspect = suspects.splice(0, 1);
      if (this.#options.wary) await this.#putBack(suspect, "suspected");
      await this.#publishAll(suspect, stuck);
      // The publisher was away, and is back: the rest can go together.
      if (this.#published > before && !this.#options.wary) {
        await this.#publishAll(suspects.splice(0), stuck);
      }
    }
    await this.#count(stuck);
    return this.#published > published && !this.#isOver();
  }

  /**
   * Sorts a page. `fresh`: the events of runs whose first event was in no call that failed.
   * `suspects`: the first events of the other runs. `spent`: those of them that have `attemptsMax`
   * failures already; the wake-up that counted the last one ended before it moved them to the DLQ.
   * Events that this wake-up has tried are left out.
   */
  #sort(rows: readonly OutboxEventRow[]) {
    const fresh: OutboxRecord[] = [];
    const suspects: OutboxRecord[] = [];
    const spent: OutboxRecord[] = [];
    for (const ofRun of Map.groupBy(rows, (row) => row.workflowRunId).values()) {
      const [first] = ofRun;
      if (first === undefined) continue;
      const events = ofRun.map(toOutboxRecord);
      const [head] = events;
      if (head === undefined || this.#failed.has(head.id) || this.#suspected.has(head.id)) continue;
      if (first.retryCount === 0 && first.countAfter === null) fresh.push(...events);
      else if (first.retryCount < this.#options.attemptsMax) suspects.push(head);
      else spent.push(head);
    }
    for (const { id } of suspects) this.#suspected.add(id);
    return { fresh, suspects, spent };
  }

  /** Keeps a suspect to be tried in this wake-up, unless as many bytes as a page has are kept. */
  #keep(suspect: OutboxRecord): void {
    if (this.#suspectBytes >= PAGE_BYTES) return;
    this.#suspectBytes += JSON.stringify(suspect.payload).length;
    this.#suspects.push(suspect);
  }

  #figures() {
    return { published: this.#published, calls: this.#calls };
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
    const search = new Search(events);
    while (!this.#isOver()) {
      const part = search.next(this.#taken);
      if (part === undefined) break;
      const taken = await this.#call(part.events);
      this.#late = (await this.#options.store.now()) - this.#startedAt >= TIME_MS_MAX;
      if (taken === null) {
        const only = search.failed(part);
        if (only === null) continue;
        stuck.push(only);
        this.#causes.set(only.id, this.#lastError);
        continue;
      }
      const { sent, stuck: missing } = sorted(part.events, taken);
      this.#taken ||= taken.size > 0;
      // Marked at once: if a later call fails, none of these is published a second time.
      await this.#options.persistence.markOutboxEventsPublished(sent.map(({ id }) => id));
      this.#published += sent.length;
      stuck.push(...missing);
      if (missing.length === 0) search.published(part);
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
      for (const { id } of events) this.#touched.add(id);
      return null;
    }
  }

  /**
   * Counts the failure of each stuck event; at `attemptsMax` it goes to the DLQ.
   *
   * If nothing at all was published, the publisher itself may be away. Then failures count after
   * pauses, however many wake-ups there are. A bad event that waits alone is counted in this way
   * too.
   */
  async #count(stuck: readonly OutboxRecord[]): Promise<void> {
    const counted = await this.#putBack(stuck, this.#taken ? "certain" : "suspected");
    for (const [index, event] of stuck.entries()) {
      this.#failed.add(event.id);
      const retryCount = counted[index]?.retryCount ?? event.retryCount;
      if (retryCount === event.retryCount) continue;
      if (retryCount >= this.#options.attemptsMax) {
        await this.#options.persistence.moveOutboxEventToDLQ(event.id);
      }
      console.warn("wfe-event-not-published", event.id, retryCount, this.#causes.get(event.id));
    }
  }

  /**
   * Sends the events' runs to the end of the line. Answers the events as they are then, or nothing
   * where there is no `blame`. To be applied twice does no harm.
   */
  async #putBack(
    events: readonly OutboxRecord[],
    blame: Blame,
  ): Promise<readonly (OutboxEventRow | null)[]> {
    if (events.length === 0) return [];
    const { store } = this.#options;
    const at = await store.now();
    const keys = events.map(({ workflowRunId, sequence }) => ({ workflowRunId, sequence }));
    const changes = events.map(({ retryCount }, index): Change => {
      const { workflowRunId = "", sequence = 0 } = keys[index] ?? {};
      return { kind: "putBackEvent", workflowRunId, sequence, seen: retryCount, blame, at };
    });
    await store.attempt({ id: newCommitId(at), guards: [], changes, reads: [] });
    return blame === "none"
      ? []
      : store.read(keys.map((key) => ({ q: "outboxEvent", ...key }) as const));
  }
}

/** The first event of each run. */
function headsOf(events: readonly OutboxRecord[]): OutboxRecord[] {
  const runs = Map.groupBy(events, (event) => event.workflowRunId);
  return [...runs.values()].flatMap(([first]) => first ?? []);
}

function bytesOf(rows: readonly OutboxEventRow[]): number {
  return rows.reduce((bytes, { payload }) => bytes + utf8Length(payload), 0);
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
