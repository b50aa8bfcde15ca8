/** Counts the cells of the matrix, and those that ended in UNAVAILABLE. */
import { afterAll } from "vitest";
import { faultOf, type Played } from "./play.ts";

export class Tally {
  readonly #cells = new Map<string, { cells: number; unavailable: number }>();

  /** Says at the end of the file what it came to. */
  constructor(name: string) {
    afterAll(() => {
      const families = [...this.#cells].map(
        ([family, { cells, unavailable }]) => `${family} ${cells} (${unavailable} UNAVAILABLE)`,
      );
      console.info(`cells of ${name}: ${families.join(", ")}`);
    });
  }

  add(family: string, played: Played): Played {
    const count = this.#cells.get(family) ?? { cells: 0, unavailable: 0 };
    count.cells += 1;
    if (faultOf(played.outcome) === "UNAVAILABLE") count.unavailable += 1;
    this.#cells.set(family, count);
    return played;
  }
}
