/**
 * Hands the outbox to whoever publishes it: at least once, and in order per run. An event that cannot be published is found by
 * halves, counted, and holds up its own run alone, which goes to the end of the line.
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

/** Events of one page: as many as are asked for again, should they all fail. */
export const PAGE_MAX = READ_QUERIES_MAX;
/** Payloads of one page in bytes, but for the event that exceeds it: an isolate has 128 MB, and a message to another Worker holds 32 MiB. */
const PAGE_BYTES = 4_000_000;
/** Pages of one wake-up; what is left waits for the next one, or the sweep. */
const PAGES_MAX = 10;
/** Pages that hold nothing but events that have failed before: so many are sent behind what is new. */
const OLD_PAGES_MAX = 3;
/** Calls that fail in one wake-up before anything has been published: enough to find one event of a page, and to try others. */
const FAILURES_MAX = 12;
/** No call begins later: a consumer has 15 minutes, and what has failed is to be counted before they are over. */
const TIME_MS_MAX = 600_000;

export type Publish = (events: OutboxRecord[]) => Promise<unknown>;

export interface RelayOptions {
  readonly store: Store;
  readonly persistence: WorkflowPersistence;
  readonly publish: Publish;
  /** An event that could not be published so often goes to the DLQ. */
  readonly attemptsMax: number;
  /** Calls of `publish` in one wake-up. */
  readonly callsMax: number;
  /** Events of one page, from 1 to {@link PAGE_MAX}. */
  readonly pageMax: number;
  /**
   * The wake-up comes again, since its consumer may have died of what it published. What is tried is put back before, and counted
   * if it is one event, so that another death leaves a trace.
   */
  readonly wary: boolean;
}

/**
 * Resolves to the number of events that were published.
 * @throws what `publish` threw last, if it threw and nothing could be published: all may be well again when the wake-up comes back.
 */
export async function relayEvents(options: RelayOptions): Promise<number> {
  const relay = new Relay(options, await options.store.now());
  // Small pages are as many as there are calls.
  let pages = Math.max(PAGES_MAX, options.pageMax < PAGE_MAX ? options.callsMax : 0);
  do {
    while (pages > 0 && (await relay.page())) pages -= 1;
    pages -= 1;
  } while ((await relay.again()) && pages > 0);
  return relay.end();
}

type Blame = "none" | "suspected" | "certain";

class Relay {
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
  /** Events that were in a call that failed, by id. */
  readonly #touched = new Set<string>();
  /** Those that were so before, by id, and those of them that are still to be tried. */
  readonly #suspected = new Set<string>();
  readonly #suspects: OutboxRecord[] = [];
  #suspectBytes = 0;
  #pagesWithoutNews = 0;

  constructor(options: RelayOptions, startedAt: number) {
    this.#options = options;
    this.#startedAt = startedAt;
  }

  /** Publishes what is new of the next page. Resolves to whether another one is worth a look. */
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
    // Others may wait behind them.
    if (full) await this.#putBack(suspects, "none");
    for (const suspect of suspects) this.#keep(suspect);
    const { published, calls } = this.#figures();
    const stuck: OutboxRecord[] = [];
    await this.#publishAll(fresh, stuck);
    await this.#count(stuck);
    // Nobody knows which of these it is that fails.
    const unknown = heads.filter(({ id }) => this.#touched.has(id) && !this.#failed.has(id));
    if (full && !wary) await this.#putBack(unknown, "none");
    if (fresh.length === 0) this.#pagesWithoutNews += suspects.length === 0 ? Infinity : 1;
    const goesOn = wary ? this.#calls > calls : this.#published > published;
    const news = goesOn || (fresh.length === 0 && this.#pagesWithoutNews <= OLD_PAGES_MAX);
    return full && news && !this.#isOver();
  }

  /**
   * Tries what has been in a call that failed, each by itself: it costs the others no call. Resolves to whether any was published,
   * so that what is behind it can be.
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
      // The publisher was away, and is back.
      if (this.#published > before && !this.#options.wary) {
        await this.#publishAll(suspects.splice(0), stuck);
      }
    }
    await this.#count(stuck);
    return this.#published > published && !this.#isOver();
  }

  /**
   * Events that were in no call that failed; and of each run that has failed before, the first. Of the latter some have been counted as
   * often as they may, and whoever counted them has died. Those that this wake-up knows are left out.
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

  /** To be tried in this wake-up, unless there is enough of it in memory already. */
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

  /** Publishes what can be published of these; the first of each run that cannot be is added to `stuck`. */
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
      // At once: whatever comes next, nothing of it is published a second time.
      await this.#options.persistence.markOutboxEventsPublished(sent.map(({ id }) => id));
      this.#published += sent.length;
      stuck.push(...missing);
      if (missing.length === 0) search.published(part);
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
      for (const { id } of events) this.#touched.add(id);
      return null;
    }
  }

  /**
   * If nothing at all could be published, it may be the publisher that is away: then failures count slowly, however many wake-ups there
   * are. A bad event that is alone is counted all the same.
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

  /** Sends their runs to the end of the line. Answers the events as they are then. Applied twice, it does no harm. */
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

/** The first of each run. */
function headsOf(events: readonly OutboxRecord[]): OutboxRecord[] {
  const runs = Map.groupBy(events, (event) => event.workflowRunId);
  return [...runs.values()].flatMap(([first]) => first ?? []);
}

function bytesOf(rows: readonly OutboxEventRow[]): number {
  return rows.reduce((bytes, { payload }) => bytes + utf8Length(payload), 0);
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
