/** The search for the events that cannot be published, among those of which a call has failed. */
import type { OutboxRecord } from "../contract/index.ts";

/** Events to be published together, each run's in order. `rest`: what comes behind them, of their one run. */
interface Part {
  readonly events: readonly OutboxRecord[];
  readonly rest: readonly OutboxRecord[];
}

/**
 * By halves down to one event that fails, a call for each; then all that is left is tried together, since there is seldom a second one.
 */
export class Search {
  #parts: Part[];
  /** The other half of each. If the one is published, it is the other that fails, and needs no call to tell. */
  readonly #twins = new Map<Part, Part>();
  #found = false;
  #joined = false;

  constructor(events: readonly OutboxRecord[]) {
    this.#parts = events.length === 0 ? [] : [{ events, rest: [] }];
  }

  /** What is to be tried next. `taken`: something has been published, so that there is something to find. */
  next(taken: boolean): Part | undefined {
    if (!this.#found) return this.#parts.pop();
    if (!this.#joined) {
      this.#joined = true;
      this.#join();
    }
    const sizes = this.#parts.map(({ events }) => events.length);
    // While everything fails, one that does not is likeliest to be found by itself.
    const size = taken ? Math.max(...sizes) : Math.min(...sizes);
    const [part] = this.#parts.splice(sizes.indexOf(size), 1);
    return part;
  }

  /** The part cannot be published. Answers its event, if it is a single one. */
  failed(part: Part): OutboxRecord | null {
    const [only] = part.events;
    if (part.events.length > 1 || only === undefined) {
      this.#parts.push(...this.#halve(part));
      return null;
    }
    this.#found = true;
    return only;
  }

  published(part: Part): void {
    if (part.rest.length > 0) this.#parts.push({ events: part.rest, rest: [] });
    const twin = this.#twins.get(part);
    const place = twin === undefined ? -1 : this.#parts.indexOf(twin);
    if (twin === undefined || place === -1 || twin.events.length === 1) return;
    this.#parts.splice(place, 1, ...this.#halve(twin));
  }

  /** Two halves by runs; or of one run the first half, and the second one behind it. */
  #halve({ events, rest }: Part): Part[] {
    const runs = [...Map.groupBy(events, (event) => event.workflowRunId).values()];
    if (runs.length === 1) {
      const half = Math.ceil(events.length / 2);
      return [{ events: events.slice(0, half), rest: [...events.slice(half), ...rest] }];
    }
    // Cut anywhere: of the same page, the next wake-up tries others together.
    const start = Math.floor(Math.random() * runs.length);
    const around = [...runs.slice(start), ...runs.slice(0, start)];
    const half = Math.ceil(runs.length / 2);
    const one: Part = { events: around.slice(0, half).flat(), rest: [] };
    const other: Part = { events: around.slice(half).flat(), rest: [] };
    this.#twins.set(one, other).set(other, one);
    return [one, other];
  }

  #join(): void {
    const whole = this.#parts.filter(({ rest }) => rest.length === 0);
    const others = this.#parts.filter(({ rest }) => rest.length > 0);
    const events = whole.flatMap((part) => part.events);
    this.#parts = events.length === 0 ? others : [{ events, rest: [] }, ...others];
  }
}
