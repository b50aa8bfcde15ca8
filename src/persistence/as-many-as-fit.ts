/** Asks for fewer rows where an answer is too large. */
import { isTooLarge } from "./faults.ts";

/**
 * Asks for `count` rows, then for half as many, and so on, while the answer would be too large.
 * Nothing is done by a call that is refused for its size. One row always fits.
 */
export async function asManyAsFit<T>(
  count: number,
  ask: (count: number) => Promise<T>,
): Promise<T> {
  for (let limit = count; ; limit = Math.floor(limit / 2)) {
    try {
      return await ask(limit);
    } catch (error) {
      if (limit <= 1 || !isTooLarge(error)) throw error;
    }
  }
}
