/**
 * The service's clock, computed from readings of it. Between two readings time is counted by this
 * machine's monotonic clock, which nobody sets. The wall clock only tells that one of the two
 * clocks has jumped.
 */

/**
 * The service's clock as a request brought it. It was read between the two instants, most likely in
 * the middle.
 */
export interface ClockReading {
  /** Milliseconds since 1970. */
  readonly now: number;
  /**
   * By {@link monotonic}, of the request that was answered: without pauses before it, or the
   * opening of a session.
   */
  readonly askedAt: number;
  readonly answeredAt: number;
}

interface Held extends ClockReading {
  /** By how much the wall clock was ahead of the monotonic one. */
  readonly lead: number;
}

/** A reading older than this is renewed, if the clock is still in use. Milliseconds. */
const REFRESH_MS = 300_000;
/** A reading older than this is dropped: the two clocks have drifted apart. */
const KEEP_MS = 900_000;
/**
 * When the lead changes by more, the wall clock was set, or the monotonic one stood still while the
 * machine slept.
 */
const STEP_MS = 1_000;

/** Milliseconds by a clock that only goes forward, since some instant. */
export function monotonic(): number {
  return performance.now();
}

/** Tells the service's time. One request fetches a reading for all callers that wait. */
export class RemoteClock {
  readonly #read: () => Promise<ClockReading>;
  #readings: Held[] = [];
  #reading: Promise<void> | null = null;

  constructor(read: () => Promise<ClockReading>) {
    this.#read = read;
  }

  /**
   * Milliseconds since 1970. A reading that failed is tried again with the next call.
   * @throws what the reading throws, when there is no older one to go by.
   */
  async now(): Promise<number> {
    const lead = Date.now() - monotonic();
    this.#readings = this.#readings.filter(
      (held) => Math.abs(held.lead - lead) <= STEP_MS && monotonic() - held.answeredAt <= KEEP_MS,
    );
    const newest = this.#readings.at(-1);
    if (newest === undefined || monotonic() - newest.answeredAt > REFRESH_MS) {
      await this.#refresh(newest === undefined);
    }
    // A shorter round trip leaves less to guess.
    const [best] = this.#readings.toSorted((a, b) => roundTrip(a) - roundTrip(b));
    if (best === undefined) return this.now();
    return Math.round(best.now + monotonic() - (best.askedAt + best.answeredAt) / 2);
  }

  /** One reading at a time, shared by all callers that wait for it. */
  async #refresh(needed: boolean): Promise<void> {
    this.#reading ??= (async () => {
      try {
        const reading = await this.#read();
        this.#readings.push({ ...reading, lead: Date.now() - monotonic() });
      } finally {
        this.#reading = null;
      }
    })();
    try {
      await this.#reading;
    } catch (error) {
      // An older reading will do. If the service has a problem, the call itself will meet it.
      if (needed) throw error;
    }
  }
}

function roundTrip({ askedAt, answeredAt }: ClockReading): number {
  return answeredAt - askedAt;
}
