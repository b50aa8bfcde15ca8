/** The service's clock, read once and reckoned from this machine's. */
export class RemoteClock {
  readonly #learnOffset: () => Promise<number>;
  #offset: Promise<number> | null = null;

  /** `learnOffset`: what to add to this machine's clock to have the service's. */
  constructor(learnOffset: () => Promise<number>) {
    this.#learnOffset = learnOffset;
  }

  /** Milliseconds. What could not be learned is asked again with the next call. */
  async now(): Promise<number> {
    this.#offset ??= this.#learnOffset();
    const offset = this.#offset;
    try {
      return Date.now() + (await offset);
    } catch (error) {
      if (this.#offset === offset) this.#offset = null;
      throw error;
    }
  }
}
