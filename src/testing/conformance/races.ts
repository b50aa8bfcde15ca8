import { isServiceError } from "../../contract/index.ts";
import type { ConformanceBackend, Fixture } from "./harness.ts";
import { outcomesOf, upTo } from "./support.ts";

export const RACERS = 10;

/** Has a number of connections do the same thing at once. */
export async function race<T>(
  { connect }: Fixture,
  racers: number,
  work: (backend: ConformanceBackend, index: number) => Promise<T>,
): Promise<{ values: T[]; errors: unknown[] }> {
  const backends: ConformanceBackend[] = [];
  for (const n of upTo(racers)) backends.push(await connect({ workerId: `worker-${n}` }));
  return outcomesOf(backends.map((backend, index) => work(backend, index)));
}

export function codesOf(errors: readonly unknown[]): string[] {
  return errors.map((error) => (isServiceError(error) ? error.code : String(error)));
}

/** A meeting point: nobody passes before all have come. */
export function barrier(parties: number): () => Promise<void> {
  let waiting = parties;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    waiting -= 1;
    if (waiting === 0) open();
    await opened;
  };
}
