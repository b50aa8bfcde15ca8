/** How much is measured. */
import type { Load } from "./protocol.ts";

export interface Plan {
  /** Rounds of everything, thrown away. */
  readonly warmUps: number;
  /** Rounds, in each of which every contestant has its turn. */
  readonly rounds: Readonly<
    Record<"runs" | "long" | "burst" | "jobs" | "queue" | "routes" | "watched", number>
  >;
  /** The long runs. */
  readonly long: Load;
  /** Short runs of each contestant in a round. */
  readonly repeats: number;
  /** Runs at once. */
  readonly burst: number;
  /** Runs of which the bytes are weighed. */
  readonly weighed: number;
  /** Jobs of a turn, by how many are claimed at once. */
  readonly jobs: Readonly<Record<JobBatch, number>>;
  /** Jobs that go through the queue. */
  readonly queued: number;
  /** Calls of a route, of each way, in a round. */
  readonly calls: number;
  /** Commits to each run in a turn. */
  readonly commits: number;
}

export const JOB_BATCHES = [1, 25, 100] as const;
export type JobBatch = (typeof JOB_BATCHES)[number];

export const LOAD: Load = { steps: 8, valueBytes: 32 };
/** As the values of real stages are. */
export const LARGE: Load = { steps: 8, valueBytes: 1_500 };

export const FULL: Plan = {
  warmUps: 5,
  rounds: { runs: 15, long: 4, burst: 5, jobs: 15, queue: 5, routes: 15, watched: 15 },
  long: { ...LOAD, steps: 128 },
  repeats: 4,
  burst: 50,
  weighed: 50,
  jobs: { 1: 50, 25: 500, 100: 1_000 },
  queued: 1_000,
  calls: 15,
  commits: 25,
};

export const QUICK: Plan = {
  warmUps: 1,
  rounds: { runs: 1, long: 1, burst: 1, jobs: 1, queue: 1, routes: 1, watched: 1 },
  long: { ...LOAD, steps: 16 },
  repeats: 1,
  burst: 3,
  weighed: 3,
  jobs: { 1: 10, 25: 50, 100: 200 },
  queued: 100,
  calls: 5,
  commits: 10,
};
