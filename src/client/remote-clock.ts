/**
 * The service's clock, reckoned from readings of it. Between readings time is counted by this machine's monotonic clock, which nobody sets:
 * the one on the wall only tells that something happened to either of the two.
 */

/** The service's clock, as a request brought it: it was read somewhere between the two instants, most likely in the middle. */
export interface ClockReading {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** By {@link monotonic}, of the request that was answered alone: no pause before it, and no opening of a session. */
  readonly askedAt: number;
  readonly answeredAt: number;
}

interface Held extends ClockReading {
  /** By how much the clock on the wall was ahead of the monotonic one. */
  readonly lead: number;
}

/** The age, in milliseconds, at which a reading of the service's clock is renewed, if the clock is still in use. */
const REFRESH_MS = 300_000;
/** Readings that are older tell of clocks that have drifted apart since. */
const KEEP_MS = 900_000;
/** Apart by more, the clock on the wall was set, or the other one stood still while the machine slept. */
const STEP_MS = 1_000;

/** Milliseconds since some instant, by a clock that only goes forward. */
export function monotonic(): number {
  return performance.now();
}

export class RemoteClock {
  readonly #read: () => Promise<ClockReading>;
  #readings: Held[] = [];
  #reading: Promise<void> | null = null;

  constructor(read: () => Promise<ClockReading>) {
    this.#read = read;
  }

  /** Milliseconds. What could not be read is asked again with the next call. */
  async now(): Promise<number> {
    const lead = Date.now() - monotonic();
    this.#readings = this.#readings.filter(
      (held) => Math.abs(held.lead - lead) <= STEP_MS && monotonic() - held.answeredAt <= KEEP_MS,
    );
    const newest = this.#readings.at(-1);
    if (newest === undefined || monotonic() - newest.answeredAt > REFRESH_MS) {
      await this.#refresh(newest === undefined);
    }
    // The shorter a round trip, the less is left to guess.
    const [best] = this.#readings.toSorted((a, b) => roundTrip(a) - roundTrip(b));
    if (best === undefined) return this.now();
    return Math.round(best.now + monotonic() - (best.askedAt + best.answeredAt) / 2);
  }

  /** One reading at a time, for all that wait for it. */
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
      // An older one will do; what the service has to say is said to the call itself.
      if (needed) throw error;
    }
  }
}

function roundTrip({ askedAt, answeredAt }: ClockReading): number {
  return answeredAt - askedAt;
}
