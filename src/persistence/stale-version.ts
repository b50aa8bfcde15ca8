/** The error of a stale version, of the class that the connection was given. */
import { type Staleness, type StaleVersionErrorClass } from "../contract/index.ts";

export type Stale = (entity: string, id: string, expected: number, actual: number) => Error;

/**
 * Makes errors of this class with our code and details. A class that has members of these names
 * keeps its own.
 */
export function staleOf(StaleVersion: StaleVersionErrorClass): Stale {
  return (entity, id, expected, actual) => {
    const error = new StaleVersion(entity, id, expected, actual);
    const details: Staleness = { entity, id, expected, actual };
    for (const [name, value] of Object.entries({ code: "STALE_VERSION", details })) {
      if (name in error || !Object.isExtensible(error)) continue;
      Object.defineProperty(error, name, { value, enumerable: true });
    }
    return error;
  };
}
