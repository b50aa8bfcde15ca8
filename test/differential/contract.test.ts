/**
 * The contract, on D1 and in memory: random sequences of calls, the same on both sides, must be answered alike and
 * leave the same rows behind, modulo the ids that each side makes. A step is one of three:
 * - a call: compared at once;
 * - a transaction: also compared with its calls made one by one, and with nothing at all if it is taken back;
 * - several calls and transactions at once: memory must come to the same in one of the possible orders.
 * It goes on until each operation has succeeded and failed. Three take no argument and fail for want of a database
 * only (steps.ts: WITHOUT_ARGUMENTS); `logCall` never throws, and fails by reporting (perform.ts: reported).
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { compare, Tally } from "./both.ts";
import type { Coverage } from "./coverage.ts";
import { reported } from "./perform.ts";
import { sequence } from "./steps.ts";

/** Set both to what a failure reports to see it again, or the first to a new seed; null: the seeds below. */
const FAST_CHECK_SEED: number | null = null;
const FAST_CHECK_PATH: string | null = null;
const SEEDS = [1, 2_024] as const;
/** Sequences of each seed. */
const NUM_RUNS = 45;
/** Further seeds are tried, from this one on, while there is an operation that has not both succeeded and failed. */
const FURTHER_SEED = 3_000;
const SEEDS_MAX = 10;
/** Bounds the search for a smaller sequence that fails. */
const TIME_LIMIT_MS = 120_000;

/** Every kind of fault of the contract that needs neither a broken database nor 25 conflicts in a row. */
const FAULTS = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "LEASE_LOST",
  "PAYLOAD_TOO_LARGE",
  "STALE_VERSION",
];

describe("Random sequences of calls", () => {
  beforeEach(() => {
    reported.length = 0;
    vi.spyOn(console, "error").mockImplementation((...args: unknown[]) => {
      reported.push(args);
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it(
    "are answered alike by D1 and memory, and leave the same rows, whatever else is called at once",
    async () => {
      const tally = new Tally();
      for (const seed of seeds(tally)) await check(seed, tally);
      const { coverage, ...totals } = tally;
      console.log([JSON.stringify(totals), JSON.stringify(coverage.codes())].join("\n"));
      console.log(coverage.table());
      // Seen again, one failure need not show all the rest.
      if (FAST_CHECK_SEED !== null) return;
      expect(missing(coverage)).toEqual([]);
      // Most contests are fought in the database; and some are lost, so that a callback runs again.
      expect(tally.overlapping).toBeGreaterThan(tally.contests / 2);
      expect(tally.reruns).toBeGreaterThan(0);
    },
    3 * TIME_LIMIT_MS,
  );
});

function missing(coverage: Coverage): string[] {
  const met = coverage.codes();
  const faults = FAULTS.filter((code) => met[code] === undefined);
  return [...coverage.missing(), ...faults.map((code) => `${code} has not been thrown`)];
}

function* seeds({ coverage }: Tally): Iterable<number> {
  if (FAST_CHECK_SEED !== null) {
    yield FAST_CHECK_SEED;
    return;
  }
  yield* SEEDS;
  for (let more = 0; more < SEEDS_MAX && missing(coverage).length > 0; more += 1) {
    yield FURTHER_SEED + more;
  }
}

/** Fails with the seed, the path, and the smallest sequence found. */
async function check(seed: number, tally: Tally): Promise<void> {
  console.log(`fast-check seed ${seed}, ${NUM_RUNS} sequences`);
  await fc.assert(
    fc.asyncProperty(sequence, (taken) => compare(taken, tally)),
    {
      seed,
      numRuns: NUM_RUNS,
      interruptAfterTimeLimit: TIME_LIMIT_MS,
      ...(FAST_CHECK_PATH === null ? {} : { path: FAST_CHECK_PATH }),
    },
  );
}
