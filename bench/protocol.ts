/**
 * What the driver asks of the Worker, and what the Worker answers: JSON by POST, with a path for
 * each question. Times are in milliseconds.
 */

/** All of them do the same work. */
export const CONTESTANTS = [
  "floor",
  "workflows",
  "tanstack",
  "engine",
  "engineBound",
  "embedded",
  "bound",
] as const;
export type Contestant = (typeof CONTESTANTS)[number];

/**
 * The contestants whose every call to D1 can be counted. The others' calls are made by another
 * Worker, or they make none.
 */
export const COUNTED = ["floor", "tanstack", "engine", "embedded"] as const satisfies Contestant[];
export type CountedContestant = (typeof COUNTED)[number];

export const QUEUES = ["floor", "embedded", "bound"] as const;
export type JobQueueName = (typeof QUEUES)[number];

export const ROUTES = [
  "GET /runs/{id}",
  "GET /runs/{id}/status",
  "GET /runs/{id}/stages/{stage}",
  "GET /jobs/stats",
  "POST /runs",
  "PATCH /runs/{id}",
  "POST /runs/{id}/stages",
  "POST /outbox-events",
  "POST /annotations",
  "POST /jobs",
  "POST /jobs/dequeue",
] as const;
export type RouteName = (typeof ROUTES)[number];

export const WAYS = ["embedded", "bound", "http"] as const;
export type Way = (typeof WAYS)[number];

/** The service's only token. `worker/service.toml` has its hash. */
export const TOKEN = "bench-token";

/** The shape of each run. */
export interface Load {
  readonly steps: number;
  /** Of the text that each step answers. */
  readonly valueBytes: number;
}

export interface Timing {
  /** From the call that starts a run until its first step begins. */
  readonly start: number;
  /** From the beginning of a step to that of the next one. */
  readonly step: number;
  /** From the call that starts the run, or all of them, until its starter knows that it has ended. */
  readonly whole: number;
}

/** All jobs of a turn, without the time to enqueue them. */
export interface JobTiming {
  readonly claim: number;
  readonly complete: number;
}

/** What something asked of D1, by D1's own count. */
export interface Cost {
  readonly roundTrips: number;
  readonly statements: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** What a run cost, and parts of it. */
export interface RunCost {
  /** Until the first step begins. */
  readonly start: Cost;
  /**
   * The part of the start until the run is stored. Missing where the starter does not learn that.
   */
  readonly created?: Cost;
  /** From the beginning of each step but the last to that of the next one. */
  readonly steps: readonly Cost[];
  readonly whole: Cost;
}

export interface Protocol {
  /** Makes all tables. `migrations` are this project's, a statement each. */
  "/setup": { ask: { readonly migrations: readonly string[] }; answer: null };
  /** This many runs, side by side. Answers the means. */
  "/runs": {
    ask: Load & { readonly contestant: Contestant; readonly atOnce: number };
    answer: Timing;
  };
  /** One run, every call to D1 counted. */
  "/cost": { ask: Load & { readonly contestant: CountedContestant }; answer: RunCost };
  /** The size of a contestant's database in bytes. */
  "/size": { ask: { readonly contestant: CountedContestant }; answer: number };
  /** Claims jobs, `batch` at a time, and completes them, until all are done. */
  "/jobs": {
    ask: { readonly queue: JobQueueName; readonly batch: number; readonly total: number };
    answer: JobTiming;
  };
  /** Jobs that do nothing, from the first call that enqueues them until the last is done. */
  "/queue": { ask: { readonly queue: "raw" | "engine"; readonly total: number }; answer: number };
  /** The means of this many calls of each way, one after the other, in turn. */
  "/route": {
    ask: { readonly route: RouteName; readonly calls: number };
    answer: Record<Way, number>;
  };
  /**
   * The mean of this many commits with one event each, with a pause before each that is not
   * counted.
   */
  "/commits": {
    ask: { readonly runId: string; readonly commits: number; readonly pauseMs: number };
    answer: number;
  };
}

export type Path = keyof Protocol;
