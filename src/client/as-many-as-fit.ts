/** How many rows are asked for at once, where their answer may be too large. */
import { isServiceError } from "../contract/index.ts";

/** With half as many, and so on, while the answer would be too large; nothing was done then. One row always fits. */
export async function asManyAsFit<T>(
  count: number,
  ask: (count: number) => Promise<T>,
): Promise<T> {
  for (let limit = count; ; limit = Math.floor(limit / 2)) {
    try {
      return await ask(limit);
    } catch (error) {
      const tooLarge = isServiceError(error) && error.code === "PAYLOAD_TOO_LARGE";
      if (limit <= 1 || !tooLarge) throw error;
    }
  }
}
