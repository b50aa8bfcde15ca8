/** The search for the events that cannot be published, among the events of a call that failed. */
import type { OutboxRecord } from "../contract/index.ts";

/**
 * Events to be published together, each run's in order. `rest`: the events of the same run behind
 * them.
 */
interface Part {
  readonly events: readonly OutboxRecord[];
  readonly rest: readonly OutboxRecord[];
}

/**
 * Halves the events down to one that fails, with a call for each half. Then it tries all others
 * together, since there is seldom a second one.
 */
export class Search {
  #parts: Part[];
  /** The other half of each part. If one is published, the other one must fail: no call is needed. */
  readonly #twins = new Map<Part, Part>();
  #found = false;
  #joined = false;

  constructor(events: readonly OutboxRecord[]) {
    this.#parts = events.length === 0 ? [] : [{ events, rest: [] }];
  }

  /** The part to be tried next. `taken`: whether any event was published in this wake-up. */
  next(taken: boolean): Part | undefined {
    if (!this.#found) return this.#parts.pop();
    if (!this.#joined) {
      this.#joined = true;
      this.#join();
    }
    const sizes = this.#parts.map(({ events }) => events.length);
    // While everything fails, a small part is the likeliest one to be published.
    const size = taken ? Math.max(...sizes) : Math.min(...sizes);
    const [part] = this.#parts.splice(sizes.indexOf(size), 1);
    return part;
  }

  /** The part failed. Answers its event if it has a single one, else null. */
  failed(part: Part): OutboxRecord | null {
    const [only] = part.events;
    if (part.events.length > 1 || only === undefined) {
      this.#parts.push(...this.#halve(part));
      return null;
    }
    this.#found = true;
    return only;
  }

  /** The part was published. */
  published(part: Part): void {
    if (part.rest.length > 0) this.#parts.push({ events: part.rest, rest: [] });
    const twin = this.#twins.get(part);
    const place = twin === undefined ? -1 : this.#parts.indexOf(twin);
    if (twin === undefined || place === -1 || twin.events.length === 1) return;
    this.#parts.splice(place, 1, ...this.#halve(twin));
  }

  /** Two halves by runs; or, of one run, the first half, with the second half behind it. */
  #halve({ events, rest }: Part): Part[] {
    const runs = [...Map.groupBy(events, (event) => event.workflowRunId).values()];
    if (runs.length === 1) {
      const half = Math.ceil(events.length / 2);
      return [{ events: events.slice(0, half), rest: [...events.slice(half), ...rest] }];
    }
    // The cut is random, so that the next wake-up tries other runs of the same page together.
    const start = Math.floor(Math.random() * runs.length);
    const around = [...runs.slice(start), ...runs.slice(0, start)];
    const half = Math.ceil(runs.length / 2);
    const one: Part = { events: around.slice(0, half).flat(), rest: [] };
    const other: Part = { events: around.slice(half).flat(), rest: [] };
    this.#twins.set(one, other).set(other, one);
    return [one, other];
  }

  /** Puts all parts that have nothing behind them into one. */
  #join(): void {
    const whole = this.#parts.filter(({ rest }) => rest.length === 0);
    const others = this.#parts.filter(({ rest }) => rest.length > 0);
    const events = whole.flatMap((part) => part.events);
    this.#parts = events.length === 0 ? others : [{ events, rest: [] }, ...others];
  }
}
